"""Comparisons, preferences and ratings on disk: a card and parquet that `datasets` reads.

A folder holds `README.md` and `data/train-00000-of-00001.parquet`, the layout of the hub, so that
`datasets.load_dataset(folder)` opens it, and it can be uploaded as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beholder.annotation.joining.answers import aspect_order
from beholder.annotation.records.card import comparisons_card, preferences_card, ratings_card
from beholder.annotation.records.embedding import embed_picture, unpack_picture
from beholder.annotation.records.parquet import Columns, Row, items, read_rows, write_folder
from beholder.types import MAPS, RATED, Comparison, Point, Preference, Rating

_COMPARISON: Columns = {
    "key": "string",
    "prompt": "string",
    "images": ["string"],
    "annotator": "string",
    "seconds": "float64",
    "source": "string",
    "flags": ["string"],
}
_RATING: Columns = {
    "key": "string",
    "prompt": "string",
    "image": "string",
    **dict.fromkeys(RATED, "float64"),
    **{f"points_{kind}": [{"x": "float64", "y": "float64"}] for kind in MAPS},
    "misaligned": [{"start": "int32", "end": "int32"}],
    "annotator": "string",
    "seconds": "float64",
    "source": "string",
    "flags": ["string"],
}
_PREFERENCE: Columns = {"key": "string", "prompt": "string", "first": "string", "second": "string"}


def write_comparisons(comparisons: Sequence[Comparison], folder: Path, *, notice: str = "") -> None:
    """Write every comparison, flagged or not; pictures stay paths. The card opens with `notice`.

    Columns: key, prompt, images, annotator, seconds, source, flags, ranks_<aspect> (null where an
    aspect was not answered).
    """
    aspects = aspect_order(a for c in comparisons for a in c.ranks)
    columns = {**_COMPARISON, **{f"ranks_{a}": ["int32"] for a in aspects}}
    rows = (_comparison_row(c, aspects) for c in comparisons)
    write_folder(folder, columns, rows, lambda: comparisons_card(comparisons, notice))


def read_comparisons(folder: Path) -> list[Comparison]:
    """What `write_comparisons` wrote; DataError if the folder is another's or damaged.

    `folder` may also be the one that `import_export` wrote, which holds it.
    """
    rows = read_rows(
        _inside(folder, "comparisons"), _COMPARISON, {"ranks_": ["int32"]}, "write_comparisons"
    )
    return [_comparison(row) for row in rows]


def write_preferences(
    preferences: Sequence[Preference], folder: Path, *, embed: bool = False, notice: str = ""
) -> None:
    """Write one row a pair; pictures stay paths or, with `embed`, travel inside the parquet.

    Columns: key, prompt, first, second, p_<aspect> and votes_<aspect> (null where nobody
    answered). A picture that many pairs share is stored once per column and 100 rows.
    The card opens with `notice`. Raises DataError if a picture to embed cannot be read.
    """
    aspects = aspect_order(a for p in preferences for a in (*p.p_first, *p.votes))
    picture = "image" if embed else "string"
    columns = {**_PREFERENCE, "first": picture, "second": picture}
    for aspect in aspects:
        columns |= {f"p_{aspect}": "float64", f"votes_{aspect}": "int32"}
    rows = (_preference_row(p, aspects, embed) for p in preferences)
    write_folder(folder, columns, rows, lambda: preferences_card(preferences, notice))


def read_preferences(folder: Path, *, pictures: Path | None = None) -> list[Preference]:
    """What `write_preferences` wrote; DataError if the folder is another's or damaged.

    `folder` may also be the one that `import_export` wrote, which holds it.
    Embedded pictures are unpacked once, named by their content, into `pictures` (by default
    `folder/pictures`), and the preferences name those files.
    """
    numbers: Columns = {"p_": "float64", "votes_": "int32"}
    folder = _inside(folder, "preferences")
    rows = read_rows(folder, _PREFERENCE, numbers, "write_preferences")
    return [_preference(row, pictures or folder / "pictures") for row in rows]


def write_ratings(ratings: Sequence[Rating], folder: Path, *, notice: str = "") -> None:
    """Write every rating, flagged or not; pictures stay paths. The card opens with `notice`.

    Columns: key, prompt, image, annotator, seconds, source, flags; the aspects of `RATED` (null
    where not answered), points_<kind> of `MAPS` (x, y), and the spans `misaligned` (start, end).
    Raises DataError for a rating of another aspect or kind.
    """
    rows = (_rating_row(rating) for rating in ratings)
    write_folder(folder, _RATING, rows, lambda: ratings_card(ratings, notice))


def read_ratings(folder: Path) -> list[Rating]:
    """What `write_ratings` wrote; DataError if the folder is another's or damaged.

    `folder` may also be the one that `import_export` wrote, which holds it.
    """
    rows = read_rows(_inside(folder, "ratings"), _RATING, {}, "write_ratings")
    return [_rating(row) for row in rows]


def _inside(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_dir() else folder


def _comparison_row(comparison: Comparison, aspects: Sequence[str]) -> Row:
    ranks = {f"ranks_{a}": comparison.ranks.get(a) for a in aspects}
    named = {name: getattr(comparison, name) for name in _COMPARISON}
    return {**named, "flags": sorted(comparison.flags), **ranks}


def _comparison(row: Row) -> Comparison:
    given = {
        **{name: row[name] for name in _COMPARISON},
        "images": items(row["images"]),
        "flags": frozenset(items(row["flags"])),
        "ranks": {a: items(ranks) for a, ranks in _present(row, "ranks_").items()},
    }
    return Comparison(**given)  # type: ignore[arg-type]  # read_rows has checked the types


def _rating_row(rating: Rating) -> Row:
    own = ("key", "prompt", "image", "annotator", "seconds", "source")
    points = {
        f"points_{kind}": [{"x": p.x, "y": p.y} for p in places]
        for kind, places in rating.points.items()
    }
    spans = [{"start": start, "end": end} for start, end in rating.misaligned]
    named = {name: getattr(rating, name) for name in own}
    flags = sorted(rating.flags)
    return {**rating.values, **points, **named, "misaligned": spans, "flags": flags}


def _rating(row: Row) -> Rating:
    points = _present(row, "points_")
    given = {
        **{
            name: row[name] for name in ("key", "prompt", "image", "annotator", "seconds", "source")
        },
        "values": {aspect: row[aspect] for aspect in RATED if row[aspect] is not None},
        "points": {k: tuple(Point(**p) for p in items(places)) for k, places in points.items()},
        "misaligned": tuple((s["start"], s["end"]) for s in items(row["misaligned"])),
        "flags": frozenset(items(row["flags"])),
    }
    return Rating(**given)  # type: ignore[arg-type]  # read_rows has checked the types


def _preference_row(preference: Preference, aspects: Sequence[str], embed: bool) -> Row:
    sides = {"first": preference.first, "second": preference.second}
    numbers: Row = {f"p_{a}": preference.p_first.get(a) for a in aspects}
    numbers |= {f"votes_{a}": preference.votes.get(a) for a in aspects}
    pictures = {k: embed_picture(v, preference.key) if embed else v for k, v in sides.items()}
    return {"key": preference.key, "prompt": preference.prompt, **pictures, **numbers}


def _preference(row: Row, pictures: Path) -> Preference:
    given = {
        **{name: row[name] for name in _PREFERENCE},
        **{side: unpack_picture(row[side], pictures) for side in ("first", "second")},
        "p_first": _present(row, "p_"),
        "votes": _present(row, "votes_"),
    }
    return Preference(**given)  # type: ignore[arg-type]  # read_rows has checked the types


def _present(row: Row, prefix: str) -> dict[str, object]:
    """Aspect -> value of the columns of this prefix that are not null."""
    named = {name.removeprefix(prefix): v for name, v in row.items() if name.startswith(prefix)}
    return {aspect: value for aspect, value in named.items() if value is not None}
