import json
from pathlib import Path

import numpy as np
import pytest

from beholder.annotation.joining.aggregate import by_votes
from beholder.annotation.mapping import TaskSides, read_mapping
from beholder.annotation.reading.label_studio import parse_export, read_export
from beholder.quickstart.annotators import ANNOTATORS, OVERLAP, Question, SimulatedAnnotator, ask
from beholder.types import ASPECTS, Comparison


def question(number: int, rng: np.random.Generator) -> Question:
    first, second = (dict(zip(ASPECTS, rng.random(4).tolist(), strict=True)) for _ in range(2))
    names = (f"{number}-a.png", f"{number}-b.png")
    return Question(
        key=f"q{number}",
        prompt="a cat",
        a=names[0],
        b=names[1],
        qualities_a=first,
        qualities_b=second,
        made_by=("simulated-late", "simulated-early"),
    )


def asked(folder: Path, count: int = 200) -> tuple[list[Question], list[Comparison]]:
    rng = np.random.default_rng(0)
    questions = [question(number, rng) for number in range(count)]
    ask(questions, folder, rng)
    sides = read_mapping(folder / "mapping.jsonl", TaskSides)
    comparisons, report = parse_export(read_export(folder / "export.json"), mapping=sides)
    assert not report.problems
    assert report.unreadable == 0
    return questions, comparisons


def test_every_pair_is_answered_by_three_besides_skips(tmp_path: Path) -> None:
    questions, comparisons = asked(tmp_path)
    answered = [c.key for c in comparisons if "skipped" not in c.flags]
    assert sorted(answered) == sorted(q.key for q in questions for _ in range(OVERLAP))
    assert any("skipped" in c.flags for c in comparisons)
    assert len({c.annotator for c in comparisons}) == len(ANNOTATORS) >= 5


def test_the_aggregated_answers_recover_the_true_order(tmp_path: Path) -> None:
    questions, comparisons = asked(tmp_path)
    truth = {q.key: q for q in questions}
    for aspect in ASPECTS:
        right = []
        for preference in by_votes(comparisons):
            q = truth[preference.key]
            true = {q.a: q.qualities_a[aspect], q.b: q.qualities_b[aspect]}
            better = next(v for k, v in true.items() if preference.first.endswith(k))
            worse = next(v for k, v in true.items() if preference.second.endswith(k))
            if preference.p_first[aspect] != 0.5:
                right.append((preference.p_first[aspect] > 0.5) == (better > worse))
        assert np.mean(right) > 0.9


def test_the_pictures_sides_are_drawn_and_undone(tmp_path: Path) -> None:
    asked(tmp_path)
    shown = [
        task["data"]["image_left"] for task in json.loads((tmp_path / "export.json").read_text())
    ]
    assert 0.35 < np.mean([name.endswith("-a.png") for name in shown]) < 0.65


def test_an_export_never_tells_who_made_a_picture_nor_how_good_it_is(tmp_path: Path) -> None:
    asked(tmp_path, 5)
    text = (tmp_path / "export.json").read_text()
    assert "simulated-" not in text
    assert "qualities" not in text


def test_a_notice_says_that_nobody_looked(tmp_path: Path) -> None:
    asked(tmp_path, 1)
    assert "simulated" in (tmp_path / "SIMULATED.md").read_text().lower()


def test_the_same_seed_gives_the_same_export(tmp_path: Path) -> None:
    asked(tmp_path / "one", 5)
    asked(tmp_path / "two", 5)
    one, two = ((tmp_path / f / "export.json").read_bytes() for f in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("annotator", "difference", "expected"),
    [
        (SimulatedAnnotator(number=1, noise=0), 0.2, "left"),
        (SimulatedAnnotator(number=1, noise=0), -0.2, "right"),
        (SimulatedAnnotator(number=1, noise=0, tie_below=0.1), 0.09, "tie"),
        (SimulatedAnnotator(number=1, noise=0, tie_below=0.1, left_bias=0.05), 0.09, "left"),
        (SimulatedAnnotator(number=1, noise=0, left_bias=0.4), -0.2, "left"),
    ],
)
def test_an_annotator_without_noise_follows_the_difference_tie_and_bias(
    annotator: SimulatedAnnotator, difference: float, expected: str
) -> None:
    assert annotator.answer(difference, np.random.default_rng(0)) == expected


def test_a_careless_annotator_guesses() -> None:
    guesser = SimulatedAnnotator(number=1, careless=1.0)
    rng = np.random.default_rng(0)
    answers = [guesser.answer(0.9, rng) for _ in range(600)]
    assert all(150 < answers.count(label) < 250 for label in ("left", "tie", "right"))
