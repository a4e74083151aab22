"""An evaluation set that training data must not hold: its pictures, and its prompts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from beholder._inputs.records import ALIASES, MANIFESTS, column_of, manifest_records, open_text
from beholder._tables.shards import storable
from beholder.errors import DataError
from beholder.eval._filter.frame import Bools
from beholder.storage import is_remote

if TYPE_CHECKING:
    import pyarrow as pa


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
