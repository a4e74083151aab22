"""Which questions to ask, in which order and on which side: balanced, blind, with checks.

A question shows one picture or two of one prompt. Questions are chosen so that prompts, pairs of
checkpoints and pictures are asked about evenly; sides are drawn so that each of two checkpoints
stands on the left as often as on the right.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from beholder.annotation.asking.media import Picture
from beholder.annotation.mapping import AnyTask, Kind, Side, TaskPicture, TaskSides


@dataclass(frozen=True, slots=True)
class Question:
    """One picture, or two in canonical order, of one prompt.

    Attributes:
        gold: aspect -> the known answer; see `Asked.gold`.
        extra: what else the mapping keeps of it, such as why it was chosen.
    """

    pictures: tuple[Picture, ...]
    gold: Mapping[str, str] = field(default_factory=dict, hash=False)
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def prompt(self) -> str:
        """The prompt of all its pictures."""
        return self.pictures[0].prompt

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Who made the pictures, in canonical order."""
        return tuple(p.checkpoint for p in self.pictures)

    def key(self, salt: str, kind: Kind = "ask") -> str:
        """The task's key: equal for equal questions, and nothing can be read from it."""
        shown = "\0".join([kind, self.prompt, *(p.file for p in self.pictures)])
        digest = hashlib.blake2b(shown.encode(), key=salt.encode(), digest_size=10)
        return digest.hexdigest()


def pair_questions(pictures: Iterable[Picture]) -> list[Question]:
    """Every two different pictures of a prompt, of two checkpoints where there is more than one.

    A pair is asked once, though several checkpoints may have made the same picture.
    """
    groups: defaultdict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[picture.prompt].append(picture)
    several = len({p.checkpoint for group in groups.values() for p in group}) > 1
    questions = [
        Question((a, b))
        for group in groups.values()
        for a, b in combinations(sorted(group, key=lambda p: (p.checkpoint, p.file)), 2)
        if a.file != b.file and not (several and a.checkpoint == b.checkpoint)
    ]
    return list({_shown(question): question for question in reversed(questions)}.values())[::-1]


def picture_questions(pictures: Iterable[Picture]) -> list[Question]:
    """Every picture of a prompt once, though several checkpoints may have made the same."""
    distinct = {(p.prompt, p.file): p for p in pictures}
    return [Question((picture,)) for picture in distinct.values()]


def balanced(
    questions: Sequence[Question],
    count: int | None,
    rng: np.random.Generator,
    asked: Iterable[Question] = (),
) -> list[Question]:
    """At most `count` questions in random order; None takes all.

    One after another, the prompt with the fewest questions gets the one whose pair of checkpoints,
    then whose pictures, were asked about least; `asked` before count too, ties are drawn.
    """
    mixed = [questions[k] for k in rng.permutation(len(questions))]
    if count is None or count >= len(mixed):
        return mixed
    uses = Counter(group for question in asked for group in _groups(question))
    left: defaultdict[str, list[Question]] = defaultdict(list)
    for question in mixed:
        left[question.prompt].append(question)
    queue = [(uses["prompt", prompt], place, prompt) for place, prompt in enumerate(left)]
    heapq.heapify(queue)
    chosen: list[Question] = []
    while queue and len(chosen) < count:
        times, place, prompt = heapq.heappop(queue)
        chosen.append(_take_least_used(left[prompt], uses))
        if left[prompt]:
            heapq.heappush(queue, (times + 1, place, prompt))
    return [chosen[k] for k in rng.permutation(len(chosen))]


def pair_tasks(
    questions: Sequence[Question], kind: Kind, salt: str, rng: np.random.Generator
) -> list[TaskSides]:
    """A row of the mapping for each question of two pictures, its side drawn."""
    sides = _draw_sides(questions, rng)
    return [
        TaskSides(
            task_key=question.key(salt, kind),
            image_a=f"media/{question.pictures[0].file}",
            image_b=f"media/{question.pictures[1].file}",
            left_is=side,
            kind=kind,
            gold=question.gold,
            extra={"prompt": question.prompt, **_origins(question), **question.extra},
        )
        for question, side in zip(questions, sides, strict=True)
    ]


def picture_tasks(questions: Sequence[Question], kind: Kind, salt: str) -> list[TaskPicture]:
    """A row of the mapping for each question of one picture."""
    return [
        TaskPicture(
            task_key=question.key(salt, kind),
            image=f"media/{question.pictures[0].file}",
            kind=kind,
            gold=question.gold,
            extra={"prompt": question.prompt, **_origins(question), **question.extra},
        )
        for question in questions
    ]


def repeats(
    tasks: Sequence[AnyTask], percent: float, salt: str, rng: np.random.Generator
) -> list[AnyTask]:
    """`percent` of the tasks a second time under keys of their own; a pair with sides exchanged.

    They are drawn from the first half of the tasks, so that `in_order` can keep them apart.
    """
    count = min(round(len(tasks) * percent / 100), (len(tasks) + 1) // 2)
    early = rng.permutation((len(tasks) + 1) // 2)[:count]
    return [_again(tasks[k], salt) for k in sorted(early)]


def in_order(
    asked: Sequence[AnyTask],
    again: Sequence[AnyTask],
    gold: Sequence[AnyTask],
    rng: np.random.Generator,
) -> list[AnyTask]:
    """All tasks in the order of asking.

    Gold tasks are spread evenly; a repeat comes at least half of the questions after its original.
    """
    first = {task.task_key: place for place, task in enumerate(asked)}
    places: list[tuple[float, AnyTask]] = [(float(k), task) for k, task in enumerate(asked)]
    half = len(asked) / 2
    places += [
        (float(rng.uniform(first[t.repeats] + half, max(len(asked), first[t.repeats] + half))), t)
        for t in again
    ]
    step = max(len(asked), 1) / max(len(gold), 1)
    places += [((k + float(rng.uniform(0, 1))) * step, task) for k, task in enumerate(gold)]
    return [task for _, task in sorted(places, key=lambda place: place[0])]


def _again(task: AnyTask, salt: str) -> AnyTask:
    key = hashlib.blake2b(
        f"repeat\0{task.task_key}".encode(), key=salt.encode(), digest_size=10
    ).hexdigest()
    again = replace(task, task_key=key, kind="repeat", repeats=task.task_key)
    if isinstance(again, TaskSides):
        return replace(again, left_is="b" if again.left_is == "a" else "a")
    return again


def _shown(question: Question) -> Hashable:
    return question.prompt, frozenset(p.file for p in question.pictures)


def _groups(question: Question) -> list[Hashable]:
    """What `balanced` counts: the prompt, the checkpoints together, each picture."""
    pictures = [("picture", p.file) for p in question.pictures]
    return [("prompt", question.prompt), ("versus", question.checkpoints), *pictures]


def _take_least_used(left: list[Question], uses: Counter[Hashable]) -> Question:
    """Remove and count the question whose checkpoints, then pictures, were used least."""

    def used(place: int) -> tuple[int, int]:
        question = left[place]
        pictures = sum(uses["picture", p.file] for p in question.pictures)
        return uses["versus", question.checkpoints], pictures

    question = left.pop(min(range(len(left)), key=used))
    uses.update(_groups(question))
    return question


def _draw_sides(questions: Sequence[Question], rng: np.random.Generator) -> list[Side]:
    """Which picture stands left: of each pair of checkpoints one half and the other, at random."""
    groups: defaultdict[Collection[str], list[int]] = defaultdict(list)
    for place, question in enumerate(questions):
        groups[question.checkpoints].append(place)
    sides: list[Side] = ["a"] * len(questions)
    for places in groups.values():
        start = rng.integers(2)
        for turn, k in enumerate(rng.permutation(len(places))):
            sides[places[k]] = "b" if (turn + start) % 2 else "a"
    return sides


def _origins(question: Question) -> dict[str, str]:
    """Who made the pictures and where they came from; what is unknown is left out."""
    names = ("",) if len(question.pictures) == 1 else ("_a", "_b")
    found = {
        f"{kind}{name}": value
        for name, p in zip(names, question.pictures, strict=True)
        for kind, value in (("checkpoint", p.checkpoint), ("source", p.source))
    }
    return {name: value for name, value in found.items() if value}
