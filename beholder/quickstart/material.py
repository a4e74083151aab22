"""What a user would bring along: pictures of three checkpoints and what annotators said of them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from beholder.quickstart.annotators import Question, ask
from beholder.quickstart.degrade import (
    CHECKPOINTS,
    Faults,
    degrade,
    differences,
    draw_faults,
    misread,
    qualities,
)
from beholder.quickstart.scenes import Pixels, Scene, Thing, render, scenes

Part = Literal["train", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is made; the default takes about five minutes in all.

    Attributes:
        train_prompts, test_prompts: each has one picture of every checkpoint.
        borrowed: pictures of other prompts that are judged for a training prompt as well, so that
            one picture tells about several prompts.
    """

    train_prompts: int = 700
    test_prompts: int = 100
    borrowed: int = 3


@dataclass(frozen=True, slots=True)
class Drawn:
    """One picture and all that is true of it.

    Attributes:
        file: its name; a hash, as annotators must not learn from it who made the picture.
        made_by: the checkpoint.
    """

    file: str
    scene: Scene
    thing: Thing
    faults: Faults
    made_by: str

    def qualities(self, scene: Scene) -> dict[str, float]:
        """Its true qualities as an answer to a scene's prompt."""
        wrong = differences(self.thing, scene.thing)
        return qualities(replace(self.faults, wrong=wrong))


def write_material(
    folder: Path, sizes: Sizes, *, seed: int, progress: Callable[[int], object]
) -> dict[Part, list[Drawn]]:
    """The pictures of each part, all written; `progress` is called with 1 after each.

    The folder gets pictures/, manifest.csv of the test pictures (key, image, prompt, model) and
    train.csv of the others, and, for each part, annotations/<part> with an export, its mapping and
    a notice.
    """
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    made: dict[Part, list[Drawn]] = {"train": [], "test": []}
    counts: dict[Part, int] = {"train": sizes.train_prompts, "test": sizes.test_prompts}
    for number, (part, count) in enumerate(counts.items()):
        rng = np.random.default_rng([seed, number])
        for scene in scenes(count, rng, held_out=part == "test"):
            for checkpoint in CHECKPOINTS:
                made[part].append(_make(scene, checkpoint, folder / "pictures", rng))
                progress(1)
        borrowed = sizes.borrowed if part == "train" else 0
        ask(questions(made[part], borrowed, rng), folder / "annotations" / part, rng)
    _write_manifest(made["train"], folder / "train.csv")
    _write_manifest(made["test"], folder / "manifest.csv")
    return made


def questions(drawn: Sequence[Drawn], borrowed: int, rng: np.random.Generator) -> list[Question]:
    """Every two pictures of each prompt, its own and `borrowed` ones of the same photograph."""
    own: dict[Scene, list[Drawn]] = defaultdict(list)
    alike: dict[str, list[Drawn]] = defaultdict(list)
    for picture in drawn:
        own[picture.scene].append(picture)
        alike[picture.scene.photograph.file].append(picture)
    asked: list[Question] = []
    for scene, mine in own.items():
        others = [p for p in alike[scene.photograph.file] if p.scene is not scene]
        chosen = rng.permutation(len(others))[:borrowed]
        asked += _pairs(scene, [*mine, *(others[k] for k in chosen)])
    return asked


def _pairs(scene: Scene, pictures: Iterable[Drawn]) -> list[Question]:
    return [
        Question(
            key=f"{scene.key}-{number:02d}",
            prompt=scene.prompt,
            a=a.file,
            b=b.file,
            qualities_a=a.qualities(scene),
            qualities_b=b.qualities(scene),
            made_by=(a.made_by, b.made_by),
        )
        for number, (a, b) in enumerate(combinations(pictures, 2))
    ]


def _make(scene: Scene, checkpoint: str, folder: Path, rng: np.random.Generator) -> Drawn:
    faults = draw_faults(CHECKPOINTS[checkpoint], rng)
    thing = misread(scene.thing, faults.wrong, rng)
    pixels = degrade(render(scene, thing, rng), faults, rng)
    return Drawn(_save(pixels, folder), scene, thing, faults, checkpoint)


def _save(pixels: Pixels, folder: Path) -> str:
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG", compress_level=1)
    name = f"{hashlib.sha256(packed.getvalue()).hexdigest()[:20]}.png"
    (folder / name).write_bytes(packed.getvalue())
    return name


def _write_manifest(drawn: Sequence[Drawn], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image", "prompt", "model"])
        for number, p in enumerate(drawn):
            key = f"{p.scene.key}-{number % len(CHECKPOINTS)}"
            writer.writerow([key, f"pictures/{p.file}", p.scene.prompt, p.made_by])
