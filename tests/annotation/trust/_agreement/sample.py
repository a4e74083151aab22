"""Judgements of simulated annotators with known habits, on photographs and blurred copies."""

import random
from pathlib import Path

from PIL import ImageFilter

from beholder.annotation.mapping import TaskPicture, TaskSides
from beholder.types import ASPECTS, MAPS, RATED, Comparison, Point, Rating
from tests._page.photographs import HOSTILE, LONG, PHOTOGRAPHS, photograph

PEOPLE = {
    "annotator-3f9c81b2d4e5": 0.9,
    "annotator-77aa01c3be90": 0.8,
    "annotator-b01dfa2277c1": 0.75,
    "annotator-e8840cc0ffee": 0.7,
    "annotator-0000hastyleft": 0.0,
}
"""Annotator -> how often the answer is the true one; the last clicks left, and fast."""

HASTY = list(PEOPLE)[-1]
_RANKS = {-1: (1, 2), 0: (1, 1), 1: (2, 1)}


def write_pictures(folder: Path) -> list[tuple[str, Path, Path]]:
    """(prompt, sharp, blurred) of each photograph."""
    found = []
    for name, prompt in PHOTOGRAPHS.items():
        whole = photograph(name)
        paths = folder / f"{name}.png", folder / f"{name}-blurred.png"
        whole.save(paths[0])
        whole.filter(ImageFilter.GaussianBlur(3)).save(paths[1])
        found.append((prompt, *paths))
    return found


def pairs(folder: Path, tasks: int = 60) -> tuple[list[Comparison], dict[str, TaskSides]]:
    """Every fourth task is a repeat of the one before, every tenth gold."""
    chance = random.Random(5)
    pictures = write_pictures(folder)
    rows: list[Comparison] = []
    sides: dict[str, TaskSides] = {}
    truth: dict[str, dict[str, int]] = {}
    for n in range(tasks):
        key = f"t{n:03}"
        prompt, a, b = pictures[n // 4 % len(pictures)]
        kind = "repeat" if n % 4 == 3 else "gold" if n % 10 == 0 else "ask"
        before = sides[f"t{n - 1:03}"] if kind == "repeat" else None
        left_is = chance.choice("ab") if before is None else "ba"["ab".index(before.left_is)]
        truth[key] = (
            {aspect: chance.choice((-1, -1, 0, 1)) for aspect in ASPECTS}
            if before is None
            else truth[before.task_key]
        )
        gold = {a: ("a", "tie", "b")[v + 1] for a, v in truth[key].items()}
        sides[key] = TaskSides(
            task_key=key,
            image_a=str(a),
            image_b=str(b),
            left_is="a" if left_is == "a" else "b",
            kind=kind,  # type: ignore[arg-type]
            repeats=before.task_key if before else "",
            gold=gold if kind == "gold" else {},
        )
        hard = {0: HOSTILE, 1: LONG}.get(n, prompt)
        for who in PEOPLE if n % 3 else list(PEOPLE)[:1]:
            answers = {x: _answer(chance, who, truth[key][x], sides[key]) for x in ASPECTS}
            rows.append(
                Comparison(
                    key=key,
                    prompt=hard,
                    images=(str(a), str(b)),
                    ranks={aspect: _RANKS[value] for aspect, value in answers.items()},
                    annotator=who,
                    seconds=chance.lognormvariate(0.2 if who == HASTY else 2.6, 0.35),
                    flags=frozenset() if kind == "ask" else frozenset({kind}),
                )
            )
    return rows, sides


def _answer(chance: random.Random, who: str, true: int, task: TaskSides) -> int:
    if who == HASTY:
        return -1 if task.left_is == "a" else 1
    return true if chance.random() < PEOPLE[who] else chance.choice((-1, 0, 1))


def ratings(folder: Path, tasks: int = 24) -> tuple[list[Rating], dict[str, TaskPicture]]:
    """Three people mark and rate every picture; one of them rates low."""
    chance = random.Random(7)
    pictures = write_pictures(folder)
    rows: list[Rating] = []
    asked: dict[str, TaskPicture] = {}
    for n in range(tasks):
        key = f"r{n:03}"
        prompt, sharp, blurred = pictures[n % len(pictures)]
        image = str(blurred if n % 2 else sharp)
        gold = dict.fromkeys(RATED, "0.75") if n % 6 == 5 else {}
        asked[key] = TaskPicture(
            task_key=key, image=image, kind="gold" if gold else "ask", gold=gold
        )
        level = chance.choice((1, 2, 3))
        fault = Point(chance.uniform(0.2, 0.8), chance.uniform(0.2, 0.8))
        for person, who in enumerate(list(PEOPLE)[:3]):
            shift = -1 if person == 2 else 0
            stars = {a: min(max(level + shift + chance.choice((-1, 0, 0, 1)), 0), 4) for a in RATED}
            rows.append(
                Rating(
                    key=key,
                    prompt=prompt,
                    image=image,
                    values={aspect: value / 4 for aspect, value in stars.items()},
                    points={kind: _near(chance, fault) for kind in MAPS[: 1 + n % 2]},
                    misaligned=((2, prompt.index(" ", 2)),) if chance.random() < 0.6 else (),
                    annotator=who,
                    seconds=chance.lognormvariate(3.4, 0.4),
                    flags=frozenset({"gold"}) if gold else frozenset(),
                )
            )
    return rows, asked


def _near(chance: random.Random, place: Point) -> tuple[Point, ...]:
    def shifted(at: float) -> float:
        return min(max(at + chance.gauss(0, 0.03), 0.0), 1.0)

    return tuple(
        Point(shifted(place.x), shifted(place.y)) for _ in range(chance.choice((0, 1, 1, 2)))
    )
