"""RichHF-18K: scores, heatmaps, misaligned words of Pick-a-Pic pictures (Liang et al., CVPR 2024).

The published TFRecord files hold neither pictures nor prompts: only the picture's uid in
Pick-a-Pic v1, which gives both. The hub's repository holds the same rows with both inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import final

from jaxtyping import UInt8
from torch import Tensor
from typing_extensions import override

from beholder._inputs.prompt_files import PromptOf, prompts_for
from beholder.annotation.sources._cells import LeftOutError, Row
from beholder.annotation.sources._example import read_example
from beholder.annotation.sources._place import inside, open_place, parquet_rows
from beholder.annotation.sources._source import (
    MISSING_PICTURE,
    Published,
    Reading,
    Source,
    SourceCard,
    unpacked,
)
from beholder.annotation.sources._tfrecord import Frame, read_frames
from beholder.annotation.sources.pickapic import look_up
from beholder.errors import DataError, ImageError
from beholder.images import read_image
from beholder.types import Feedback, WordLabel
from beholder.words import richhf_spans

Cells = Mapping[str, object]

_SCORES = {
    "plausibility": "artifact_score",
    "alignment": "misalignment_score",
    "aesthetics": "aesthetics_score",
    "overall": "overall_score",
}
_MAPS = {"implausibility": "artifact_map", "misalignment": "misalignment_map"}
_LABELS = "prompt_misalignment_label"
_TEXTS = ("filename", _LABELS)
_COLUMNS = (*_TEXTS, *_SCORES.values(), *_MAPS.values(), "image", "prompt", "caption")
_ANNOTATORS = 3
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_PICKAPIC = "yuvalkirstain/pickapic_v1"
_IN_PICKAPIC = {"train": "train", "dev": "train", "test": "test"}

NO_PROMPT = "no prompt was found; the record has no words"
UNLIKE_PROMPT = "not as many labels as words of the prompt; the record has no words"


@final
@dataclass(frozen=True, kw_only=True)
class RichHF18K(Source):
    """The reader of RichHF-18K.

    A record whose prompt is not found, or has not as many words as labels, comes out without
    words; one whose picture is not found names it as the files do. Both are noted in the tally.

    Attributes:
        pictures: a folder with the pictures, named as in the files (train/<uid>.png) or by their
            uid alone; pictures that travel inside rows are written there, named by their content.
        prompts: a JSON object or manifest that gives each uid or file name its prompt; without
            it, a .txt file beside the picture does.
        pickapic: a folder, or a hub repository "user/name", with the parquet files of Pick-a-Pic
            v1, whose rows give prompts and, if they hold them and `pictures` is given, pictures.
    """

    pictures: str | Path | None = None
    prompts: str | Path | None = None
    pickapic: str | Path | None = None

    @property
    @override
    def card(self) -> SourceCard:
        """The TFRecord files are published on GitHub; the hub's repository adds the pictures."""
        return SourceCard(
            name="richhf18k",
            paper="Liang et al., CVPR 2024, arXiv:2312.10240",
            repository="Exploration/richhf_18k_with_images",
            licence="not stated",
            kind="feedback",
            splits={
                "train": [Published(15_810)],
                "dev": [Published(995)],
                "test": [Published(955)],
            },
            ties="None: scores and maps are means over three annotators, words their majority.",
        )

    @override
    def rows(self, reading: Reading) -> Iterator[object]:
        prompt_of = prompts_for(self.prompts, lambda: sum(1 for _ in _published(reading)))
        joined = self._look_up(reading)
        for number, cells in enumerate(_published(reading)):
            if isinstance(cells, LeftOutError):
                yield cells
                continue
            name = str(cells["filename"])
            caption, unpacked_file = joined.get(_uid(name), (None, None))
            picture = self._file(name) or unpacked_file
            given = self._prompt(prompt_of, number, name, picture)
            prompt = given or cells.get("prompt") or cells.get("caption") or caption
            yield {**cells, "prompt": prompt, "picture": picture}

    @override
    def read(self, row: Row, reading: Reading) -> Iterable[Feedback]:
        yield Feedback(
            key=f"{self.card.name}/{_uid(row.text('filename'))}",
            prompt=row.text("prompt") if row.cells["prompt"] else "",
            values={aspect: _score(row, column) for aspect, column in _SCORES.items()},
            maps={kind: _heatmap(row, column) for kind, column in _MAPS.items()},
            words=_words(row, reading),
            image=self._picture(row, reading),  # after all that may leave the row out
            votes=_ANNOTATORS,
        )

    def _look_up(self, reading: Reading) -> Mapping[str, tuple[str, str | None]]:
        """Prompt and picture by uid, from Pick-a-Pic, which holds the dev split in its train."""
        if self.pickapic is None:
            return {}
        place = open_place(self.pickapic, _PICKAPIC)
        rows = (cells for cells in _published(reading) if not isinstance(cells, LeftOutError))
        uids = {_uid(str(cells["filename"])) for cells in rows}
        return look_up(place, _IN_PICKAPIC[reading.split], uids, self.pictures)

    def _prompt(
        self, prompt_of: PromptOf, number: int, name: str, picture: str | None
    ) -> str | None:
        """What `prompts` says of the uid or the file name; else the text beside the picture."""
        if self.prompts is not None:
            path = Path(name)
            return prompt_of(number, _uid(name), path) or prompt_of(number, name, path)
        return prompt_of(number, name, Path(picture)) if picture else None

    def _picture(self, row: Row, reading: Reading) -> str:
        """The file that was found, or the bytes of the row as one, or else the published name."""
        name, data = row.text("filename"), _bytes(row.cells.get("image"))
        if row.cells["picture"]:
            return row.text("picture")
        if data and self.pictures is not None:
            return unpacked(data, f"{_uid(name)}.jpg", Path(self.pictures))
        reading.tally.note(row.at, MISSING_PICTURE)
        return name

    def _file(self, name: str) -> str | None:
        if self.pictures is None:
            return None
        stems = PurePosixPath(name).with_suffix(""), _uid(name)
        paths = (Path(self.pictures) / f"{stem}{end}" for stem in stems for end in _SUFFIXES)
        return next((str(path) for path in paths if path.is_file()), None)


def _published(reading: Reading) -> Iterator[Cells | LeftOutError]:
    """The rows as they are published, from TFRecord or parquet; each names its picture."""
    place, split = reading.place, reading.split
    names = place.find(f"{split}.tfrecord", f"data/{split}-*.parquet", f"{split}-*.parquet")
    if names[0].endswith(".parquet"):
        yield from map(_named, parquet_rows(place, names, _COLUMNS))
        return
    with place.opened(names[0]) as file:
        yield from map(_decoded, read_frames(file, f"{place}/{names[0]}"))


def _decoded(frame: Frame) -> Cells | LeftOutError:
    if not frame.intact:
        return LeftOutError("the record's check sum is wrong", f"byte {frame.offset}")
    try:
        features = read_example(frame.data)
        first = {name: values[0] for name, values in features.items() if values}
        texts = {n: v.decode() for n in _TEXTS if isinstance(v := first.get(n), bytes)}
    except (DataError, UnicodeDecodeError) as error:
        return LeftOutError("the record is no Example", f"byte {frame.offset}: {error}")
    return _named({**first, **texts})


def _named(cells: Cells) -> Cells | LeftOutError:
    try:
        inside(Row(0, cells).text("filename"))
    except LeftOutError as error:
        return error
    return cells


def _score(row: Row, column: str) -> float:
    value = row.number(column)
    if not 0 <= value <= 1:
        raise LeftOutError(f"{column} is not in [0, 1]", str(value))
    return value


def _heatmap(row: Row, column: str) -> UInt8[Tensor, "h w"]:
    data = _bytes(row.cells.get(column))
    if data is None:
        raise LeftOutError(f"{column} is no picture")
    try:
        grey: Tensor = read_image(data)[0]
    except ImageError as error:
        raise LeftOutError(f"{column} is no picture", str(error)) from error
    return grey.contiguous()


def _words(row: Row, reading: Reading) -> Sequence[WordLabel]:
    """The words of the prompt with their labels; none, and a note, if they do not fit."""
    labels = row.text(_LABELS).split()
    if not set(labels) <= {"0", "1"}:
        raise LeftOutError(f"{_LABELS} holds other labels than 0 and 1", " ".join(labels))
    if not row.cells["prompt"]:
        reading.tally.note(row.at, NO_PROMPT)
        return ()
    prompt = row.text("prompt")
    spans = richhf_spans(prompt)
    if len(spans) != len(labels):
        reading.tally.note(row.at, UNLIKE_PROMPT)
        return ()
    return [
        WordLabel(prompt[start:end], start, end, float(label == "0"))
        for (start, end), label in zip(spans, labels, strict=True)
    ]


def _uid(name: str) -> str:
    return PurePosixPath(name).stem


def _bytes(cell: object) -> bytes | None:
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    return data if isinstance(data, bytes) and data else None
