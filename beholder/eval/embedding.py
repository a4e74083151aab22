"""Embeddings of pictures: rows of length 1 whose cosine says how alike two pictures are.

"thumbprint" needs no weights and finds copies: the same picture compressed, resized or relit; see
`eval._thumbprint` for what it does not find. The networks of `eval.extractors` find pictures of the
same thing as well.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import eq
from pathlib import Path

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval import extractors
from beholder.eval._embedding_files import errors_of, errors_text, read_raw, write_raw
from beholder.eval._thumbprint import NAME as THUMBPRINT
from beholder.eval._thumbprint import THRESHOLD, Thumbprint
from beholder.eval.extraction import Extraction, Pass, extract
from beholder.eval.extractors._base import Extractor
from beholder.eval.sides import read_picture
from beholder.images import ImageSource
from beholder.inputs import Row

Array = npt.NDArray[np.float32]
_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings of pictures, by key.

    Attributes:
        keys: of the n rows, each once.
        values: (n, d), float32, each row of length 1, or NaN where there is an error.
        errors: row -> "code: why" it has no embedding.
        name: what made them; "" if nobody knows.

    Raises DataError if there is not one key a row, or a key occurs twice.
    """

    keys: tuple[str, ...]
    values: Array
    errors: Mapping[int, str] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.keys) != len(self.values):
            raise DataError(
                f"{len(self.keys)} keys but embeddings {self.values.shape}, expected (n, d)"
            )
        if len(set(self.keys)) < len(self.keys):
            twice = Counter(self.keys).most_common(1)[0][0]
            raise DataError(
                f"the key {twice!r} has more than one embedding; name each picture once"
            )


def embedders() -> list[str]:
    """Names that `embed` knows: "thumbprint", and the networks of `eval.extractors`."""
    return [THUMBPRINT, *(name for name in extractors.names() if name != "custom")]


def default_threshold(embedder: str) -> float:
    """The cosine from which on two pictures are one; ConfigError if none was measured."""
    if embedder != THUMBPRINT:
        raise ConfigError(
            f"no threshold is known for {embedder!r}; give one, such as 0.95, and look at the pairs"
        )
    return THRESHOLD


def embed(
    pictures: Iterable[tuple[str, ImageSource]],
    embedder: str = THUMBPRINT,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    batch_size: int = 32,
    cache: Path | None = None,
    progress: Callable[[int], object] = lambda count: None,
) -> Embeddings:
    """Embeddings of pictures as they come: each is decoded once, ahead of its use, and forgotten.

    A picture that cannot be read is an error of its row.

    Args:
        pictures: key and picture, each key once.
        embedder: one of `embedders()`.
        weights: of a network: a local file; None fetches the published one.
        device: where a network runs.
        batch_size: pictures in one pass of a network.
        cache: folder where embeddings are kept by the content of the pictures; None keeps none.
        progress: called with the number of pictures done since the last call.

    Raises:
        ConfigError: if the embedder is unknown or takes videos, or `batch_size` is below 1.
        DataError: if a key occurs twice.
        WeightsError: if weights cannot be had.
    """
    extractor = _extractor(embedder, weights).to(device)
    wanted = Pass(extractor=extractor, layers=(next(iter(extractor.layers)),))
    keys: list[str] = []
    found = extract(
        _rows(pictures, keys),
        [wanted],
        partial(read_picture, alpha="white"),
        batch_size=batch_size,
        cache=cache,
        progress=progress,
    )
    values, errors = _placed(found, wanted, len(keys))
    return _normalised(keys, values, errors, embedder)


def read_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Embeddings of a file or folder, each row divided by its length.

    A file is what `write_embeddings` wrote or another `.npz` with the arrays `keys` (n,) and
    `values` (n, d); a `.npy` (n, d) beside a file `NAME.keys.txt` of keys, one a line; or parquet
    with the column `key` and one column of lists of numbers, of any precision. A folder holds such
    parquet files, read in the order of their names. A row that is not finite or has no length is
    an error.

    Raises DataError if it is missing or damaged, or keys and rows do not fit.
    """
    keys, raw, about = read_raw(Path(path))
    if raw.ndim != 2 or not np.issubdtype(raw.dtype, np.floating):
        raise DataError(f"{path}: embeddings must be (n, d) of floats, got {raw.dtype} {raw.shape}")
    errors = errors_of(about.get("errors", "{}"))
    values = raw.astype(np.float32, copy=not raw.flags.writeable)  # a mapped file stays as it is
    return _normalised(keys, values, errors, about.get("name", ""))


def write_embeddings(embeddings: Embeddings, path: str | os.PathLike[str]) -> Path:
    """The path of one `.npz` that `read_embeddings` reads; it is there whole or not at all.

    Raises DataError for another suffix.
    """
    about = {"name": embeddings.name, "errors": errors_text(dict(embeddings.errors))}
    write_raw(Path(path), embeddings.keys, embeddings.values, about)
    return Path(path)


def aligned(embeddings: Embeddings, keys: Sequence[str]) -> tuple[Array, int]:
    """The rows (n, d) of so many keys, in their order, and how many keys have none.

    The row of such a key is NaN; one that has an error is NaN and not counted. Where the keys are
    all of the embeddings in their order, the rows are these themselves, and no copy.
    """
    if len(keys) == len(embeddings.keys) and all(map(eq, keys, embeddings.keys)):
        return embeddings.values, 0
    places = {key: row for row, key in enumerate(embeddings.keys)}
    found = np.array([places.get(key, -1) for key in keys], np.int64)
    rows = np.full((len(keys), embeddings.values.shape[1]), np.nan, np.float32)
    rows[found >= 0] = embeddings.values[found[found >= 0]]
    return rows, int((found < 0).sum())


def _extractor(embedder: str, weights: str | Path | None) -> Extractor:
    if embedder not in embedders():
        raise ConfigError(f"unknown embedder {embedder!r}; known are {', '.join(embedders())}")
    if embedder == THUMBPRINT:
        if weights is not None:
            raise ConfigError("thumbprint has no weights")
        return Thumbprint()
    extractor = extractors.load(embedder, weights)
    if extractor.takes != "pictures":
        raise ConfigError(f"{embedder!r} takes clips of videos; choose an embedder of pictures")
    return extractor


def _rows(pictures: Iterable[tuple[str, ImageSource]], keys: list[str]) -> Iterator[Row]:
    """The pictures as rows whose keys are their numbers; what they are called is kept aside."""
    for number, (key, image) in enumerate(pictures):
        keys.append(key)
        yield Row(key=str(number), image=image, prompt=None, name=key)


def _placed(found: Extraction, wanted: Pass, rows: int) -> tuple[Array, dict[int, str]]:
    """All rows in order, NaN where there is an error."""
    features = found.features[0][wanted.layers[0]]
    errors = {int(each.key): f"{each.code}: {each.reason}" for each in found.failures}
    width = features.values.shape[1] or wanted.extractor.layers[wanted.layers[0]]
    values = np.full((rows, width), np.nan, np.float32)
    if len(features.values):
        values[np.array(features.keys, np.int64)] = features.values
    return values, errors


def _normalised(
    keys: Sequence[str], values: Array, errors: Mapping[int, str], name: str
) -> Embeddings:
    """Rows of length 1; those without a length become errors. `values` is changed."""
    told = dict(errors)
    for at in range(0, len(values), _AT_ONCE):
        part = values[at : at + _AT_ONCE]
        wide = part.astype(np.float64)
        lengths = np.sqrt((wide * wide).sum(axis=1))
        bad = ~(np.isfinite(lengths) & (lengths > 0))
        part[:] = wide / np.where(bad, 1, lengths)[:, None]
        part[bad] = np.nan
        for row in np.flatnonzero(bad):
            why = (
                "zero: all its values are 0"
                if lengths[row] == 0
                else ("non-finite: its embedding is missing, NaN or infinite")
            )
            told.setdefault(at + int(row), why)
    return Embeddings(tuple(keys), values, dict(sorted(told.items())), name)
