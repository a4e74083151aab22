"""Scenes with exactly known truth: photographed things on photographs, with planted defects.

Nothing is published and nobody was asked: pictures, prompts, maps, words and values are made here,
from what is installed. Things are the cut-outs of Debian's package tuxpaint-stamps-default (GPL-2,
used where it is installed and never shipped) or, without it, drawn shapes. They stand on the
photographs of scikit-image and scikit-learn, of Debian's mate-backgrounds where it is installed,
and of a folder of your own. Nothing of one split is seen in another, neither thing nor photograph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import UInt8
from torch import Tensor
from typing_extensions import override

from beholder.annotation.sources._cells import LeftOutError, Row
from beholder.annotation.sources._place import Folder
from beholder.annotation.sources._scenes.splits import SPLITS
from beholder.annotation.sources._source import MISSING_PICTURE, Reading, Source, SourceCard
from beholder.errors import AnnotationError, ConfigError
from beholder.images import read_image
from beholder.types import MAPS, Feedback
from beholder.words import label_words

_LEAST = {"size": 64, "count": 1, "seed": 0, "processes": 1}


@final
@dataclass(frozen=True, kw_only=True)
class Scenes(Source):
    """The maker and reader of scenes: one to three groups of things on a square photograph.

    A scene is drawn once, below the place that is read or `folder`, with all the truth beside it.
    The same seed and material give the same bytes, however many processes draw; what was stopped
    goes on where it was. Values and maps are exact functions of the truth:

    - plausibility: the product over the defects of 1 - severity (0.35 + 0.55 min(1, share / 0.08)),
      `share` being the part of the picture that shows the defect.
    - alignment: 1 less the share of the prompt's facts that are altered; a noun counts twice.
    - aesthetics: the product over the faults of the whole picture (dull, exposure, cast, vignette,
      noise) of 1 - 0.6 severity.
    - overall: 0.35 plausibility + 0.35 alignment + 0.3 aesthetics.
    - implausibility: 255 severity where a defect shows, feathered.
    - misalignment: 255 on the things that an altered word speaks of; empty if they are not there.

    Attributes:
        size: height and width of pictures and maps, in pixels.
        count: scenes of a split.
        seed: of everything.
        processes: that draw; a script that asks for several must guard its main part.
        folder: where scenes are drawn if no place is given; made if needed.
        photographs: a folder with photographs of your own, for scenes to stand on as well.
    """

    size: int = 224
    count: int = 20_000
    seed: int = 0
    processes: int = 1
    folder: str | Path | None = None
    photographs: str | Path | None = None

    def __post_init__(self) -> None:
        for option, least in _LEAST.items():
            if getattr(self, option) < least:
                raise ConfigError(
                    f"{option} of scenes is {getattr(self, option)}, expected {least} or more"
                )

    @property
    @override
    def card(self) -> SourceCard:
        """It is made here; the licences are those of what is installed."""
        return SourceCard(
            name="scenes",
            paper="made by beholder, exact by construction",
            repository="tuxpaint-stamps-default/scikit-image",
            licence="that of the installed pictures; tuxpaint-stamps-default is GPL-2",
            kind="feedback",
            splits=dict.fromkeys(SPLITS, ()),
            ties="None: values, maps and words are planted truth, not judgements.",
        )

    def truth(
        self, place: str | Path | None = None, split: str = "test"
    ) -> Iterator[dict[str, Any]]:
        """What is known of each scene of `records`, as plain values: things, facts, faults, ...

        Raises AnnotationError as `records` does.
        """
        return self._drawn(self._root(place), split)

    @override
    def rows(self, reading: Reading) -> Iterator[object]:
        place = reading.place
        root = self._root(place.root if isinstance(place, Folder) else None)
        for scene in self._drawn(root, reading.split):
            yield {**scene, "picture": str(root / reading.split / scene["picture"])}

    @override
    def read(self, row: Row, reading: Reading) -> Iterable[Feedback]:
        scene: dict[str, Any] = dict(row.cells)
        picture = Path(scene["picture"])
        if not picture.is_file():
            raise LeftOutError(MISSING_PICTURE, str(picture))
        wrong = [(s["start"], s["end"]) for s in scene["statements"] if s["altered"]]
        yield Feedback(
            key=f"{self.card.name}/{reading.split}/{scene['index']:06d}",
            prompt=scene["prompt"],
            image=str(picture),
            values=scene["values"],
            maps={kind: self._map(picture, kind) for kind in MAPS},
            words=label_words(scene["prompt"], [wrong]),
            votes=1,
        )

    def _root(self, place: str | Path | None) -> Path:
        root = self.folder if place is None else place
        if root is None:
            raise AnnotationError(
                "scenes are drawn on this machine; give a folder to draw into, --set folder=scenes"
            )
        return Path(root)

    def _drawn(self, root: Path, split: str) -> Iterator[dict[str, Any]]:
        from beholder.annotation.sources._scenes.store import Settings, draw  # noqa: PLC0415

        own = None if self.photographs is None else Path(self.photographs)
        settings = Settings(self.size, self.seed, own)
        return draw(root, split, self.count, settings, self.processes)

    def _map(self, picture: Path, kind: str) -> UInt8[Tensor, "h w"]:
        from beholder.annotation.sources._scenes.store import map_file  # noqa: PLC0415

        file = map_file(picture, kind)
        if not file.is_file():
            return torch.zeros((self.size, self.size), dtype=torch.uint8)
        return read_image(str(file))[0].contiguous()
