"""Judged pairs with known truth, for `recipes`: the quickstart's pictures, and composed scenes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from beholder.annotation.reading.importing import import_export
from beholder.annotation.records.dataset import read_preferences
from beholder.quickstart.annotators import NOTICE
from beholder.quickstart.material import Drawn, Part, Sizes, write_material
from beholder.types import ASPECTS, Preference, Scores
from benchmarks._scene_pairs import Sizes as SceneSizes
from benchmarks._scene_pairs import scene_pairs

Qualities = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Prompt -> picture file -> aspect -> true quality."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What rewards learn from and what they are judged by, which share no prompt and no picture."""

    name: str
    train: Sequence[Preference]
    test: Sequence[Preference]
    qualities: Qualities

    def pictures(self) -> list[str]:
        """All files, sorted."""
        return sorted({f for p in (*self.train, *self.test) for f in (p.first, p.second)})


@dataclass(frozen=True, slots=True)
class PerfectJudge:
    """A reward that knows the true qualities: what the annotators' noise leaves of it is the most
    that any reward can reach."""

    qualities: Qualities

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        rows = [self.qualities[p][i] for i, p in zip(images, prompts, strict=True)]
        aspects = {aspect: torch.tensor([row[aspect] for row in rows]) for aspect in ASPECTS}
        return Scores(aspects["overall"], aspects)


def scenes(folder: Path, sizes: SceneSizes, seed: int) -> Judged:
    """Pairs of composed scenes; MissingDependencyError where the cut-outs are not installed."""
    made = scene_pairs(folder, sizes, seed=seed)
    return Judged("scenes", made.preferences["train"], made.preferences["test"], made.qualities)


def quickstart(folder: Path, sizes: Sizes, seed: int) -> Judged:
    """The pairs of the quickstart, made anew."""
    drawn = write_material(folder, sizes, seed=seed, progress=lambda _: None)
    said = {part: _imported(folder, part) for part in drawn}
    qualities: defaultdict[str, dict[str, Mapping[str, float]]] = defaultdict(dict)
    for part, pictures in drawn.items():
        _tell(qualities, said[part], pictures)
    return Judged("quickstart", said["train"], said["test"], qualities)


def _tell(
    qualities: Mapping[str, dict[str, Mapping[str, float]]],
    said: Sequence[Preference],
    drawn: Sequence[Drawn],
) -> None:
    by_name = {picture.file: picture for picture in drawn}
    asked = {picture.scene.prompt: picture.scene for picture in drawn}
    for p in said:
        for file in (p.first, p.second):
            picture = by_name[Path(file).name]
            qualities[p.prompt][file] = picture.qualities(asked[p.prompt])


def _imported(folder: Path, part: Part) -> list[Preference]:
    answers, judged = folder / "annotations" / part, folder / "judgements" / part
    import_export(
        [answers / "export.json"],
        judged,
        mapping=answers / "mapping.jsonl",
        images_root=folder / "pictures",
        notice=NOTICE,
    )
    return read_preferences(judged / "preferences")
