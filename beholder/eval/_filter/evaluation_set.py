"""An evaluation set that training data must not hold: its pictures, and its prompts.

Its rows stream by: between them stay an embedding, a key and a prompt of each, and no bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from beholder._inputs.records import ALIASES, MANIFESTS, column_of, manifest_records, open_text
from beholder._tables.shards import storable
from beholder.errors import DataError, ImageError
from beholder.eval._filter.frame import Bools
from beholder.eval.embedding import Embeddings
from beholder.images import ImageSource
from beholder.inputs import read_inputs
from beholder.storage import is_remote

if TYPE_CHECKING:
    import pyarrow as pa

Pictures = Iterator[tuple[str, ImageSource]]
_NO_PICTURE = ImageError("missing", "the evaluation set names no picture")
_FIRST = 3  # reasons that are told


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """What training data is compared with.

    Attributes:
        keys: of its m rows.
        values: (m, d) their embeddings, NaN where a picture cannot be read.
        prompts: of its rows that have one.
        unread: the first pictures that cannot be read, as "key: code: why".
        failed: how many cannot.
    """

    keys: Sequence[str] = ()
    values: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    prompts: Sequence[str] = ()
    unread: Sequence[str] = ()
    failed: int = 0

    @property
    def embedded(self) -> int:
        """How many of its pictures are compared."""
        return len(self.keys) - self.failed


def read_evaluation_set(source: str, embed: Callable[[Pictures], Embeddings]) -> EvaluationSet:
    """The rows of a source, as `read_inputs` takes it.

    Raises DataError if it cannot be read, or none of its pictures can.
    """
    prompts: list[str] = []
    found = embed(_pictures(source, prompts))
    unread = [f"{found.keys[row]}: {why}" for row, why in sorted(found.errors.items())[:_FIRST]]
    read = EvaluationSet(found.keys, found.values, prompts, unread, len(found.errors))
    if not read.embedded:
        raise DataError(
            f"no picture of the evaluation set {source} can be compared: "
            f"{'; '.join(unread) or 'it is empty'}"
        )
    return read


def pictures_at(source: str, rows: Collection[int]) -> dict[int, tuple[str, ImageSource]]:
    """Key and picture of a few rows of an evaluation set, by number."""
    wanted = set(rows)
    found: dict[int, tuple[str, ImageSource]] = {}
    for number, picture in enumerate(_pictures(source, []) if wanted else ()):
        if number in wanted:
            found[number] = picture
        if len(found) == len(wanted):
            break
    return found


def _pictures(source: str, prompts: list[str]) -> Pictures:
    """Keys and pictures as they come; prompts are kept aside."""
    for row in read_inputs(source):
        if row.prompt:
            prompts.append(row.prompt)
        yield row.key, _NO_PICTURE if row.image is None else row.image


def prompts_of(path: str) -> list[str]:
    """The prompts of a file: text with one a line, a JSON list, or the column of a manifest.

    Raises DataError if there is no such file, or it holds no prompts.
    """
    place = Path(path)
    if is_remote(path) or not place.is_file():
        raise DataError(f"the file of prompts {path} does not exist on this disk")
    if place.suffix.lower() in MANIFESTS:
        return list(_from_manifest(place))
    with open_text(place) as file:
        if place.suffix.lower() != ".json":
            return [line for line in map(str.strip, file) if line]
        try:
            texts = json.load(file)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{path} must be a JSON list of prompts")
    return texts


def has_prompt_of(column: pa.ChunkedArray, prompts: Iterable[str]) -> Bools:
    """(n,) whether each prompt equals one of these, up to case, spacing and Unicode's NFKC."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    known = pa.array(map(storable, prompts), pa.string())
    found = pc.is_in(_plain(column), value_set=_plain(known).drop_null())
    same: Bools = found.to_numpy()
    return same


def _plain(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    import pyarrow.compute as pc  # noqa: PLC0415

    lower = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    spaced = pc.utf8_trim_whitespace(pc.replace_substring_regex(lower, r"\s+", " "))
    return pc.if_else(pc.equal(spaced, ""), None, spaced)


def _from_manifest(path: Path) -> Iterator[str]:
    records = manifest_records(path)
    name = column_of("prompt", records.columns)
    if name is None:
        raise DataError(
            f"{path} has {', '.join(records.columns)}; expected a prompt column "
            f"({', '.join(ALIASES['prompt'])})"
        )
    yield from (str(record[name]) for record in records.read() if record.get(name))
