"""Ratings of many annotators -> one feedback a picture, and feedback as a data set on disk."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

from jaxtyping import UInt8
from torch import Tensor

from beholder.annotation.joining.answers import DOUBTFUL
from beholder.annotation.joining.heatmaps import PAPER, HeatConfig, heatmap
from beholder.annotation.records.card import FeedbackTally
from beholder.annotation.records.embedding import embed_picture, unpack_picture
from beholder.annotation.records.parquet import Columns, Row, items, read_rows, write_folder
from beholder.errors import DataError, ImageError
from beholder.images import read_image
from beholder.types import MAPS, RATED, Feedback, Rating, WordLabel
from beholder.words import label_words

_COLUMNS: Columns = {
    "key": "string",
    "prompt": "string",
    "image": "string",
    **dict.fromkeys(RATED, "float64"),
    **{f"map_{kind}": "image" for kind in MAPS},
    "words": [{"word": "string", "start": "int32", "end": "int32", "p_misaligned": "float64"}],
    "votes": "int32",
}


def aggregate_ratings(
    ratings: Iterable[Rating], *, heat: HeatConfig = PAPER, exclude: Iterable[str] = DOUBTFUL
) -> Iterator[Feedback]:
    """One feedback a picture: mean values, mean maps, and the share of marks on each word.

    Ratings with an `exclude` flag do not count; see `DOUBTFUL`. A partial one counts in the
    aspects that it answers; no point and no marked word is an answer too: no fault was seen.
    A picture without any rating that counts gives no feedback. One whose own size is asked for
    by `heat` but that cannot be read has no maps. Maps are made one picture at a time.
    """
    unwanted = frozenset(exclude)
    groups: defaultdict[tuple[str, str, str], list[Rating]] = defaultdict(list)
    for rating in ratings:
        if not rating.flags & unwanted:
            groups[rating.key, rating.prompt, rating.image].append(rating)
    return (_feedback(group, heat) for group in groups.values())


def write_feedback(
    records: Iterable[Feedback], folder: Path, *, embed: bool = False, notice: str = ""
) -> None:
    """Write one row a picture; it stays a path or, with `embed`, travels inside the parquet.

    Columns: key, prompt, image, the aspects of `RATED` and map_<kind> of `MAPS` (null where there
    is none; maps are grey PNG), words (word, start, end, p_misaligned) and votes. Records are
    taken one after another, 100 in memory. The card opens with `notice`.
    Raises DataError for feedback of another aspect or kind, or a picture that cannot be embedded.
    """
    tally = FeedbackTally()

    def rows() -> Iterator[Row]:
        for feedback in records:
            tally.add(feedback)
            yield _row(feedback, embed)

    columns = {**_COLUMNS, "image": "image" if embed else "string"}
    write_folder(folder, columns, rows(), lambda: tally.card(notice))


def read_feedback(folder: Path, *, pictures: Path | None = None) -> Iterator[Feedback]:
    """What `write_feedback` wrote, one after another; DataError if it is another's or damaged.

    `folder` may also be the one that `import_export` wrote, which holds it. Embedded pictures are
    unpacked once, named by their content, into `pictures` (by default `folder/pictures`).
    """
    folder = folder / "feedback" if (folder / "feedback").is_dir() else folder
    for row in read_rows(folder, _COLUMNS, {}, "write_feedback"):
        yield _from_row(row, pictures or folder / "pictures")


def holds_feedback(folder: Path) -> bool:
    """Whether `read_feedback` reads this folder, as far as its columns tell."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    if (folder / "feedback").is_dir():
        return True
    files = sorted((folder / "data").glob("*.parquet"))
    return bool(files) and set(_COLUMNS) <= set(pq.read_schema(files[0]).names)


def _feedback(ratings: Sequence[Rating], heat: HeatConfig) -> Feedback:
    first = ratings[0]
    values: defaultdict[str, list[float]] = defaultdict(list)
    for rating in ratings:
        for aspect, value in rating.values.items():
            values[aspect].append(value)
    return Feedback(
        key=first.key,
        prompt=first.prompt,
        image=first.image,
        values={aspect: fmean(given) for aspect, given in values.items()},
        maps=_maps(ratings, heat),
        words=label_words(first.prompt, [rating.misaligned for rating in ratings]),
        votes=len(ratings),
    )


def _maps(ratings: Sequence[Rating], heat: HeatConfig) -> dict[str, UInt8[Tensor, "h w"]]:
    try:
        size = heat.size or _size(ratings[0].image)
    except ImageError:
        return {}
    kinds = dict.fromkeys([*MAPS, *(kind for r in ratings for kind in r.points)])
    return {k: heatmap([r.points.get(k, ()) for r in ratings], size, heat) for k in kinds}


def _size(image: str) -> tuple[int, int]:
    _, height, width = read_image(image).shape
    return height, width


def _row(feedback: Feedback, embed: bool) -> Row:
    image = embed_picture(feedback.image, feedback.key) if embed else feedback.image
    return {
        **feedback.values,
        **{f"map_{kind}": {"bytes": _png(grey)} for kind, grey in feedback.maps.items()},
        "key": feedback.key,
        "prompt": feedback.prompt,
        "image": image,
        "words": [
            {"word": w.word, "start": w.start, "end": w.end, "p_misaligned": w.p_misaligned}
            for w in feedback.words
        ],
        "votes": feedback.votes,
    }


def _from_row(row: Row, pictures: Path) -> Feedback:
    maps = {kind: row[f"map_{kind}"] for kind in MAPS}
    given = {
        **{name: row[name] for name in ("key", "prompt", "votes")},
        "image": unpack_picture(row["image"], pictures),
        "values": {aspect: row[aspect] for aspect in RATED if row[aspect] is not None},
        "maps": {kind: _grey(cell) for kind, cell in maps.items() if cell is not None},
        "words": [WordLabel(**word) for word in items(row["words"])],
    }
    return Feedback(**given)  # type: ignore[arg-type]  # read_rows has checked the types


def _png(grey: UInt8[Tensor, "h w"]) -> bytes:
    from PIL import Image  # noqa: PLC0415

    buffer = io.BytesIO()
    Image.fromarray(grey.numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def _grey(cell: object) -> UInt8[Tensor, "h w"]:
    data = cell.get("bytes") if isinstance(cell, dict) else None
    if not isinstance(data, bytes):
        raise DataError("a map's cell holds no bytes")
    return read_image(data)[0]
