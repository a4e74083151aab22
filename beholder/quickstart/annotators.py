"""Simulated annotators: they see true qualities through noise and answer like a real export.

Nobody looked at these pictures. Everything that leaves this module says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from beholder.annotation.mapping import Side, TaskSides, write_mapping
from beholder.annotation.reading.label_studio_export import export_annotation, export_task
from beholder.types import ASPECTS

Answer = Literal["left", "tie", "right"]

NOTICE = (
    "The annotators of this quickstart are simulated: programs that know how each picture was "
    "degraded answered through noise, with ties, skips, a bias to one side and a careless one "
    "among them. No human judgement is in this data."
)
OVERLAP = 3
"""Annotators who answer each pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAnnotator:
    """How one simulated person answers.

    Attributes:
        number: the id in the export; 9001 and up, so that nobody takes it for a person's.
        noise: standard deviation of what is seen around a true difference of qualities.
        tie_below: a difference that seems smaller is answered as a tie.
        left_bias: what is added in favour of the picture on the left.
        skips: probability of skipping a task.
        careless: probability of answering at random without looking.
        seconds: mean time for a task.
    """

    number: int
    noise: float = 0.04
    tie_below: float = 0.1
    left_bias: float = 0.0
    skips: float = 0.02
    careless: float = 0.0
    seconds: float = 14.0

    def answer(self, difference: float, rng: np.random.Generator) -> Answer:
        """What is said of a pair whose left picture is better by `difference`."""
        if rng.random() < self.careless:
            return ("left", "tie", "right")[rng.integers(3)]
        seen = difference + self.left_bias + self.noise * rng.standard_normal()
        if abs(seen) < self.tie_below:
            return "tie"
        return "left" if seen > 0 else "right"


ANNOTATORS = (
    SimulatedAnnotator(number=9001, noise=0.025, seconds=21),
    SimulatedAnnotator(number=9002, tie_below=0.15),
    SimulatedAnnotator(number=9003, left_bias=0.02),
    SimulatedAnnotator(number=9004, noise=0.06, tie_below=0.12, skips=0.06),
    SimulatedAnnotator(number=9005, noise=0.03, tie_below=0.07, seconds=9),
    SimulatedAnnotator(number=9006, careless=0.3, skips=0.0, seconds=4),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One pair of pictures of a prompt.

    Attributes:
        key: the task's key.
        a, b: file names of the pictures.
        qualities_a, qualities_b: aspect -> true quality in [0, 1].
        made_by: the checkpoints that made a and b; annotators never see them.
    """

    key: str
    prompt: str
    a: str
    b: str
    qualities_a: Mapping[str, float]
    qualities_b: Mapping[str, float]
    made_by: tuple[str, str]


def ask(questions: Sequence[Question], folder: Path, rng: np.random.Generator) -> None:
    """Write folder/export.json in Label Studio's format, folder/mapping.jsonl and a notice.

    The sides are drawn for each question; the mapping undoes that.
    """
    sides = [_sides(question, rng) for question in questions]
    tasks = [
        _task(number, question, side.left_is, rng)
        for number, (question, side) in enumerate(zip(questions, sides, strict=True), start=1)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "export.json").write_text(json.dumps(tasks) + "\n", encoding="utf-8")
    write_mapping(sides, folder / "mapping.jsonl")
    (folder / "SIMULATED.md").write_text(f"# Simulated annotators\n\n{NOTICE}\n", encoding="utf-8")


def _sides(question: Question, rng: np.random.Generator) -> TaskSides:
    left_is: Side = "a" if rng.random() < 0.5 else "b"
    checkpoint_a, checkpoint_b = question.made_by
    return TaskSides(
        task_key=question.key,
        image_a=question.a,
        image_b=question.b,
        left_is=left_is,
        extra={"checkpoint_a": checkpoint_a, "checkpoint_b": checkpoint_b},
    )


def _task(
    number: int, question: Question, left_is: Side, rng: np.random.Generator
) -> dict[str, object]:
    sign = 1 if left_is == "a" else -1
    better = {a: sign * (question.qualities_a[a] - question.qualities_b[a]) for a in ASPECTS}
    left, right = (question.a, question.b)[::sign]
    data = {
        "task_key": question.key,
        "prompt": question.prompt,
        "image_left": left,
        "image_right": right,
    }
    return export_task(data, _annotations(number, better, rng), task_id=number)


def _annotations(
    task: int, better: Mapping[str, float], rng: np.random.Generator
) -> list[dict[str, object]]:
    """Answers in random order of people until OVERLAP of them answered; a skip does not count."""
    annotations: list[dict[str, object]] = []
    answered = 0
    for place in rng.permutation(len(ANNOTATORS)):
        if answered == OVERLAP:
            break
        annotator = ANNOTATORS[place]
        skipped = bool(rng.random() < annotator.skips)
        answers = {aspect: annotator.answer(better[aspect], rng) for aspect in ASPECTS}
        annotations.append(
            export_annotation(
                {} if skipped else answers,
                annotator=annotator.number,
                annotation_id=task * len(ANNOTATORS) + int(place),
                seconds=round(annotator.seconds * float(rng.lognormal(0, 0.4)), 3),
                skipped=skipped,
            )
        )
        answered += not skipped
    return annotations
