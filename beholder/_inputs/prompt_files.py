"""Prompts for pictures that bring none: text files beside them, one file by order or by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from beholder._inputs.records import ALIASES, MANIFESTS, column_of, manifest_records, open_text
from beholder.errors import DataError

PromptOf = Callable[[int, str, Path], str | None]
"""The prompt of a picture by its number, its path relative to the root, and its path."""


def prompts_for(given: str | os.PathLike[str] | None, count: Callable[[], int]) -> PromptOf:
    """Where each picture's prompt is found; a picture without one gets None.

    Raises DataError if a file of one prompt a line has not as many as there are pictures.
    """
    if given is None:
        return lambda number, key, path: _beside(path)
    path = Path(given)
    if not path.is_file():
        raise DataError(f"the file of prompts {path} does not exist")
    if path.suffix.lower() in MANIFESTS:
        return _by_name(_from_manifest(path))
    texts = _from_json(path) if path.suffix.lower() == ".json" else _lines(path)
    if isinstance(texts, Mapping):
        return _by_name(texts)
    if len(texts) != count():
        raise DataError(f"{path} holds {len(texts)} prompts, but there are {count()} pictures")
    return lambda number, key, path: texts[number]


def _beside(picture: Path) -> str | None:
    path = f"{os.path.splitext(picture)[0]}.txt"  # noqa: PTH122  (a fifth of the time of pathlib)
    if not os.path.isfile(path):  # noqa: PTH113
        return None
    with open_text(Path(path)) as file:
        return file.read().strip()


def _by_name(texts: Mapping[str, str]) -> PromptOf:
    return lambda number, key, path: texts.get(key, texts.get(path.name))


def _lines(path: Path) -> list[str]:
    with open_text(path) as file:
        lines = [line.rstrip("\r\n") for line in file]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _from_json(path: Path) -> Sequence[str] | Mapping[str, str]:
    with open_text(path) as file:
        try:
            texts: Any = json.load(file)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(texts, (list, dict)):
        raise DataError(f"{path} must be a list of prompts or an object of file name to prompt")
    values = texts.values() if isinstance(texts, dict) else texts
    if not all(isinstance(value, str) for value in values):
        raise DataError(f"{path}: every prompt must be text")
    return texts


def _from_manifest(path: Path) -> Mapping[str, str]:
    records = manifest_records(path)
    image, prompt = (column_of(kind, records.columns) for kind in ("image", "prompt"))
    if image is None or prompt is None:
        raise DataError(
            f"{path} has {', '.join(records.columns)}; expected a picture column "
            f"({', '.join(ALIASES['image'])}) and a prompt column ({', '.join(ALIASES['prompt'])})"
        )
    return {
        Path(str(record[image])).as_posix(): str(record[prompt])
        for record in records.read()
        if record.get(image) and record.get(prompt) is not None
    }
