"""One whole scene: its picture, its two maps and the truth about it, from a seed and a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import ImageFilter

from beholder.annotation.sources._scenes import cutouts
from beholder.annotation.sources._scenes.chance import pick, weighted
from beholder.annotation.sources._scenes.compose import Placed, compose
from beholder.annotation.sources._scenes.cutouts import CutOut
from beholder.annotation.sources._scenes.defects import Defect, plant, plausibility
from beholder.annotation.sources._scenes.facts import Statement, alignment
from beholder.annotation.sources._scenes.faults import aesthetics, degrade, draw_faults
from beholder.annotation.sources._scenes.layout import Group, lay_out
from beholder.annotation.sources._scenes.photographs import Photograph, background, photographs
from beholder.annotation.sources._scenes.pixels import Grey, Mask, to_bytes, to_picture, to_values
from beholder.annotation.sources._scenes.prompts import describe
from beholder.annotation.sources._scenes.splits import SPLITS

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"plausibility": 0.35, "alignment": 0.35, "aesthetics": 0.3}
)
"""What each value counts in the overall one."""

_DEFECTS = (0.34, 0.32, 0.22, 0.12)


@dataclass(frozen=True, slots=True)
class Material:
    """The things and the photographs of one split."""

    split: str
    things: Sequence[CutOut]
    photographs: Sequence[Photograph]

    @classmethod
    def of(cls, split: str, folder: Path | None = None) -> Material:
        """What is installed, and the photographs below `folder`."""
        return cls(
            split,
            [thing for thing in cutouts.cutouts(cutouts.STAMPS) if thing.split == split],
            [photograph for photograph in photographs(folder) if photograph.split == split],
        )


@dataclass(frozen=True, slots=True)
class Truth:
    """All that is known about a scene, but for its pixels.

    Attributes:
        photograph: the name of the file that it stands on.
        faults: of the whole picture, kind -> severity.
    """

    prompt: str
    photograph: str
    groups: Sequence[Group]
    statements: Sequence[Statement]
    defects: Sequence[Defect]
    faults: Mapping[str, float]

    @property
    def values(self) -> dict[str, float]:
        """Aspect -> value in [0, 1]."""
        parts = {
            "plausibility": plausibility(self.defects),
            "alignment": alignment([statement.fact for statement in self.statements]),
            "aesthetics": aesthetics(self.faults),
        }
        overall = sum(WEIGHTS[aspect] * value for aspect, value in parts.items())
        return {**parts, "overall": min(overall, 1.0)}

    def as_json(self) -> dict[str, Any]:
        """The same as plain values; a cut-out goes by the name of its file."""
        plain = asdict(self)
        for group in plain["groups"]:
            what = group.pop("what")
            group["noun"], group["cut_out"] = what["noun"], Path(what["file"]).name
        for statement in plain["statements"]:
            fact = statement.pop("fact")
            statement |= {**fact, "altered": fact["true"] != fact["said"]}
        return {**plain, "values": self.values}


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture, where it is implausible and where it misses its prompt, and all the truth."""

    picture: Grey
    implausibility: Grey
    misalignment: Grey
    truth: Truth


def make_scene(material: Material, index: int, *, size: int, seed: int) -> Scene:
    """Scene `index` of a split: the same whenever and wherever it is made of the same material."""
    rng = np.random.default_rng([seed, SPLITS.index(material.split), index])
    photograph = pick(material.photographs, rng)
    groups = lay_out(material.things, rng)
    prompt, statements = describe(groups, photograph.setting, material.things, rng)
    picture = background(photograph, size, rng)
    placed = compose(picture, groups)
    values, heat, defects = plant(to_values(picture), placed, weighted(_DEFECTS, rng), rng)
    faults = draw_faults(rng)
    return Scene(
        to_bytes(degrade(values, faults, rng)),
        to_bytes(heat * 255),
        _missed(placed, statements, size),
        Truth(prompt, photograph.name, groups, statements, defects, faults),
    )


def _missed(placed: Sequence[Placed], statements: Sequence[Statement], size: int) -> Grey:
    """Everything that an altered statement speaks of, a little soft at its edge."""
    groups = {k for s in statements if s.fact.is_altered for k in s.fact.about}
    cover: Mask = np.zeros((size, size), dtype=np.float32)
    for one in placed:
        if one.group in groups:
            cover = np.maximum(cover, one.cover(size))
    return np.asarray(to_picture(cover * 255).filter(ImageFilter.GaussianBlur(size / 224)))
