"""Prompts from files, in the formats in which sets of them are published.

- text with one prompt a line, as T2I-CompBench has it;
- tables with a prompt and perhaps a category column, by any of the names below: PartiPrompts
  (Prompt, Category, Challenge, Note), DrawBench (Prompts, Category), GenEval (tag, prompt, …);
- a JSON list of prompts, as HPSv2 has one for each style, or of objects as VBench has them, or an
  object of category -> prompts;
- a folder of such files, each a category of its own by its name unless it says otherwise, or of
  parquet files;
- a data set on the hub.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from beholder._inputs.records import ALIASES, MANIFESTS, Records, manifest_records, open_text
from beholder._inputs.records import parquet_records as _parquet
from beholder._published.repository import may_be_repository
from beholder.errors import DataError
from beholder.prompt_sets._rows import PromptRow

PROMPT = (*ALIASES["prompt"], "prompts", "prompt_en")
"""Names of a prompt column, the first that is there."""

CATEGORY = ("category", "categories", "tag", "style", "dimension")
"""Names of a category column."""

_TEXTS = (".txt", ".json", *MANIFESTS)
_SPLITS = ("_train", "_val", "_test")  # ends of file names, which are no categories


def file_rows(source: str) -> Iterator[PromptRow]:
    """Rows of a file, folder or data set in order; DataError if it has none or is malformed."""
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _file(path)
    if may_be_repository(source) and not path.suffix:
        return _hub(source)
    raise DataError(
        f"there are no prompts at {source}; give a text file, a table, a data set or a set by name"
    )


def records_rows(records: Iterable[Mapping[str, Any]], source: str) -> Iterator[PromptRow]:
    """Rows of records that name prompt and perhaps category; a record without prompt is none.

    The first of a list of categories is taken, and the list kept. What JSON cannot say is left out.
    """
    prompt: str | None = None
    category: str | None = None
    for record in records:
        if prompt is None:  # the first tells
            prompt, category = (_column(names, record) for names in (PROMPT, CATEGORY))
        if prompt is None:
            raise DataError(
                f"{source} has {', '.join(record)}; expected a prompt column ({', '.join(PROMPT)})"
            )
        if record.get(prompt) is None:
            continue
        value = record.get(category or "")
        used = {prompt} if isinstance(value, list) else {prompt, category}
        further = {n: v for n, v in record.items() if n not in used and _is_plain(v)}
        yield PromptRow(str(record[prompt]), _first(value), further)


def _column(names: Sequence[str], record: Mapping[str, Any]) -> str | None:
    given = {name.lower(): name for name in record}
    return next((given[name] for name in names if name in given), None)


def _first(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else None
    return "" if value is None else str(value)


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, bool, int, float))


def _folder(path: Path) -> Iterator[PromptRow]:
    if files := sorted(path.rglob("*.parquet")):
        return _records(_parquet(files), str(path))
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _TEXTS)
    if not files:
        raise DataError(f"{path} holds no parquet file with prompts, nor {', '.join(_TEXTS)}")
    return (_filed(row, file) for file in files for row in _file(file))


def _filed(row: PromptRow, file: Path) -> PromptRow:
    if row.category:
        return row
    name = file.stem
    for split in _SPLITS:
        name = name.removesuffix(split)
    return PromptRow(row.prompt, name, row.further)


def _file(path: Path) -> Iterator[PromptRow]:
    suffix = path.suffix.lower()
    if suffix in MANIFESTS:
        return _records(manifest_records(path), str(path))
    return _json(path) if suffix == ".json" else _lines(path)


def _records(records: Records, source: str) -> Iterator[PromptRow]:
    return records_rows(records.read(), source)


def _lines(path: Path) -> Iterator[PromptRow]:
    with open_text(path) as file:
        yield from map(PromptRow, file)


def _json(path: Path) -> Iterator[PromptRow]:
    with open_text(path) as file:
        try:
            found: Any = json.load(file)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{path} is not JSON: {error}") from error
    if isinstance(found, dict) and all(isinstance(each, list) for each in found.values()):
        for category, texts in found.items():
            yield from (PromptRow(row.prompt, category) for row in _listed(texts, path))
        return
    yield from _listed(found, path)


def _listed(found: Any, path: Path) -> Iterable[PromptRow]:
    if isinstance(found, list) and all(isinstance(each, str) for each in found):
        return map(PromptRow, found)
    if isinstance(found, list) and all(isinstance(each, dict) for each in found):
        return records_rows(found, str(path))
    raise DataError(f"{path} must be a list of prompts or of objects, or an object of such lists")


def _hub(source: str) -> Iterator[PromptRow]:
    from datasets import load_dataset  # noqa: PLC0415

    name, _, split = source.partition(":")
    try:
        rows = load_dataset(name, split=split or "train")
    except (OSError, ValueError) as error:  # the hub's errors are among these
        raise DataError(f"the data set {source} cannot be read: {error}") from error
    return records_rows(_undecoded(rows), source)


def _undecoded(rows: Any) -> Any:
    from datasets import Audio, Image, Video  # noqa: PLC0415

    media = [n for n, kind in rows.features.items() if isinstance(kind, (Image, Audio, Video))]
    return rows.remove_columns(media)
