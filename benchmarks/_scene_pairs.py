"""Pairs of composed pictures of one prompt, whose quality in four dimensions is known exactly.

Each picture misses some of what its prompt asks for (another thing, colour, number or side), has
faults as a whole (dull, too dark or bright, a colour cast), and has lost detail (planted defects,
softness, noise). The three are drawn apart, so that none tells of another. Qualities lie in [0, 1]:

- alignment: 1 less the share of the prompt's facts that are missed; a noun counts twice.
- aesthetics: the product over the faults of 1 - 0.6 severity.
- detail: the product over the planted defects of 1 - severity (0.35 + 0.55 min(1, share / 0.08)),
  times 1 - 0.6 softness, times 1 - 0.6 noise.
- overall: 0.4 alignment + 0.3 aesthetics + 0.3 detail, the quickstart's weights.

Three of the quickstart's simulated annotators answer each pair through noise, with ties; nobody
looked at these pictures. For a training prompt, pictures of other prompts are judged as well, so
that one picture tells about several prompts. Training and test share neither prompts nor cut-outs;
the few photographs that they stand on are the same, in other parts of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from beholder.annotation.records.dataset import read_preferences, write_preferences
from beholder.annotation.sources._scenes import cutouts
from beholder.annotation.sources._scenes.chance import pick, weighted
from beholder.annotation.sources._scenes.compose import compose
from beholder.annotation.sources._scenes.defects import plant, plausibility
from beholder.annotation.sources._scenes.faults import aesthetics, degrade
from beholder.annotation.sources._scenes.photographs import background, photographs
from beholder.annotation.sources._scenes.pixels import Values, to_bytes, to_picture, to_values
from beholder.annotation.sources._scenes.scene import Material
from beholder.errors import DataError, MissingDependencyError
from beholder.quickstart.annotators import ANNOTATORS, NOTICE, OVERLAP
from beholder.quickstart.degrade import WEIGHTS
from beholder.quickstart.material import Part
from beholder.types import ASPECTS, Preference
from benchmarks._scene_wishes import Wish, agreement, describe, group, shown_for, wishes

SIDE = 160
"""Height and width of every picture, in pixels."""

FAULTS = ("dull", "exposure", "cast")
SPLITS: Mapping[Part, tuple[str, ...]] = {"train": ("train",), "test": ("dev", "test")}
"""Part -> the splits of cut-outs that it is made of."""

_COST = 0.6
_FAINTEST = 0.4
_SPOILT = (0.3, 0.35, 0.25, 0.1)  # shares of the pictures that have 0, 1, 2, 3 faults
_PLANTED = (0.6, 0.3, 0.1)  # that have 0, 1, 2 defects
_LOST = 0.4  # that are soft, and that are noisy
_SHARE = {"left": 1.0, "tie": 0.5, "right": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is made.

    Attributes:
        train_prompts, test_prompts: of each part.
        pictures: of each prompt.
        borrowed: pictures of other prompts that are judged for a training prompt as well.
    """

    train_prompts: int = 480
    test_prompts: int = 120
    pictures: int = 3
    borrowed: int = 3


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture file, what it shows, and how well it is made: aesthetics and detail."""

    file: Path
    shown: Wish
    looks: Mapping[str, float]

    def qualities(self, wish: Wish) -> dict[str, float]:
        """Its true qualities as an answer to a wish."""
        three = {**self.looks, "alignment": agreement(wish, self.shown)}
        return three | {"overall": sum(WEIGHTS[aspect] * three[aspect] for aspect in three)}


@dataclass(frozen=True, slots=True)
class ScenePairs:
    """What was made.

    Attributes:
        preferences: part -> the pairs.
        qualities: prompt -> picture file -> aspect -> true quality.
    """

    preferences: Mapping[Part, list[Preference]]
    qualities: Mapping[str, Mapping[str, Mapping[str, float]]]


def scene_pairs(folder: Path, sizes: Sizes | None = None, *, seed: int = 0) -> ScenePairs:
    """The pairs in `folder`; pictures and answers are made if it does not hold them yet.

    Raises MissingDependencyError if the cut-outs are not installed, DataError if the folder holds
    pairs of other settings.
    """
    sizes = sizes or Sizes()
    settings = json.dumps({"seed": seed, "side": SIDE, **asdict(sizes)})
    mark = folder / "scene_pairs.json"
    if not mark.is_file():
        require_cutouts()
        told = {k: v for part in SPLITS for k, v in _make(folder, part, sizes, seed).items()}
        (folder / "qualities.json").write_text(json.dumps(told), encoding="utf-8")
        mark.write_text(settings, encoding="utf-8")
    if mark.read_text(encoding="utf-8") != settings:
        raise DataError(f"{folder} holds pairs of other settings; choose another folder")
    return ScenePairs(
        {part: read_preferences(folder / part) for part in SPLITS},
        json.loads((folder / "qualities.json").read_text(encoding="utf-8")),
    )


def require_cutouts() -> None:
    """Raise MissingDependencyError unless the photographed cut-outs are installed."""
    if not cutouts.STAMPS.is_dir():
        raise MissingDependencyError(
            f"composed scenes need the cut-outs in {cutouts.STAMPS}: "
            "apt-get install --no-install-recommends tuxpaint-stamps-default"
        )


def material_of(part: Part) -> Material:
    """The cut-outs of one part, and every photograph."""
    things = [t for t in cutouts.cutouts(cutouts.STAMPS) if t.split in SPLITS[part]]
    return Material(part, things, photographs(None))


def _make(
    folder: Path, part: Part, sizes: Sizes, seed: int
) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """Draw and judge one part; gives the true qualities by prompt and picture file."""
    rng = np.random.default_rng([seed, list(SPLITS).index(part)])
    count = sizes.train_prompts if part == "train" else sizes.test_prompts
    borrowed = sizes.borrowed if part == "train" else 0
    material = material_of(part)
    asked = wishes(material.things, count, rng)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    names = [folder / "pictures" / f"{part}-{k:04d}-" for k in range(count)]
    own = [
        [draw(w, material, Path(f"{name}{j}.png"), rng) for j in range(sizes.pictures)]
        for w, name in zip(asked, names, strict=True)
    ]
    told: dict[str, Mapping[str, Mapping[str, float]]] = {}
    said: list[Preference] = []
    for k, wish in enumerate(asked):
        others = [picture for drawn in (*own[:k], *own[k + 1 :]) for picture in drawn]
        chosen = [others[j] for j in rng.permutation(len(others))[:borrowed]]
        qualities = {str(p.file): p.qualities(wish) for p in (*own[k], *chosen)}
        said += judged(names[k].name, describe(wish), qualities, rng)
        told[describe(wish)] = qualities
    write_preferences(said, folder / part, notice=NOTICE)
    return told


def draw(wish: Wish, material: Material, file: Path, rng: np.random.Generator) -> Drawn:
    """One picture that was meant for a wish, written to `file`."""
    shown = shown_for(wish, material.things, rng)
    picture = background(pick(material.photographs, rng), SIDE, rng)
    placed = compose(picture, [group(one, rng) for one in shown])
    values, _, defects = plant(to_values(picture), placed, weighted(_PLANTED, rng), rng)
    kinds = rng.permutation(FAULTS)[: weighted(_SPOILT, rng)]
    faults = {kind: float(rng.uniform(_FAINTEST, 1)) for kind in FAULTS if kind in kinds}
    softness, noise = _severity(rng), _severity(rng)
    values = degrade(_softened(values, softness), {**faults, "noise": noise}, rng)
    Image.fromarray(to_bytes(values)).save(file, "PNG", compress_level=1)
    detail = plausibility(defects) * (1 - _COST * softness) * (1 - _COST * noise)
    return Drawn(file, shown, {"aesthetics": aesthetics(faults), "detail": detail})


def judged(
    key: str, prompt: str, qualities: Mapping[str, Mapping[str, float]], rng: np.random.Generator
) -> list[Preference]:
    """What annotators say of every two pictures, given as file -> its true qualities."""
    return [
        Preference(
            key=f"{key}{number}",
            prompt=prompt,
            first=first,
            second=second,
            p_first={a: _p_first(qualities[first][a] - qualities[second][a], rng) for a in ASPECTS},
            votes=dict.fromkeys(ASPECTS, OVERLAP),
        )
        for number, (first, second) in enumerate(combinations(qualities, 2))
    ]


def _p_first(better: float, rng: np.random.Generator) -> float:
    """The mean answer of some annotators, a tie being half of one."""
    asked = rng.permutation(len(ANNOTATORS))[:OVERLAP]
    return float(np.mean([_SHARE[ANNOTATORS[k].answer(better, rng)] for k in asked]))


def _severity(rng: np.random.Generator) -> float:
    return float(rng.uniform(_FAINTEST, 1)) if rng.random() < _LOST else 0.0


def _softened(values: Values, severity: float) -> Values:
    """A Gaussian blur; its deviation is 2 pixels at most."""
    if not severity:
        return values
    return to_values(to_picture(values).filter(ImageFilter.GaussianBlur(2 * severity)))
