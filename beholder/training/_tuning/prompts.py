"""Prompts to tune on: text files, tables, data sets; and some of them held out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from beholder._records import ALIASES, MANIFESTS, Records, column_of, manifest_records, open_text
from beholder._records import parquet_records as _parquet
from beholder.errors import DataError
from beholder.rewards._base import prompt_fault

_LOG = logging.getLogger(__name__)
_HELD_OUT = 5  # one of so many prompts at most, but
_LEAST = 2  # of which scores have a spread


def read_prompts(source: str) -> list[str]:
    """The distinct prompts of a source, in its order.

    A source is a text file with one prompt a line; a `.json` list; a `.csv`, `.tsv`, `.jsonl` or
    `.parquet` table, a folder of parquet files, or a data set on the hub, "user/name" or
    "user/name:split", with a prompt column. Raises DataError if there is none, or no prompt in it.
    """
    path = Path(source)
    if path.is_dir():
        found = _column(_parquet(_parquet_files(path)), source)
    elif path.suffix.lower() in MANIFESTS and path.is_file():
        found = _column(manifest_records(path), source)
    elif path.is_file():
        found = _json(path) if path.suffix.lower() == ".json" else _lines(path)
    elif source.count("/") == 1 and not path.suffix:
        found = _hub(source)
    else:
        raise DataError(
            f"there are no prompts at {source}; give a text file, a table or a data set"
        )
    texts = list(dict.fromkeys(text for one in found if (text := one.strip())))
    prompts = [text for text in texts if prompt_fault(text) is None]
    if len(prompts) < len(texts):
        bad = len(texts) - len(prompts)
        _LOG.warning("%d of %d prompts of %s cannot be used", bad, len(texts), source)
    if not prompts:
        raise DataError(f"{source} holds no prompt")
    return prompts


def divided(
    prompts: Sequence[str], validation: Sequence[str] | None, count: int, seed: int
) -> tuple[list[str], list[str]]:
    """Prompts to learn on and at most `count` to evaluate on, which are not learned.

    Those to evaluate on are drawn from `validation`, or held out: a fifth of the prompts at most,
    but two. Raises DataError if none is left to learn on, or not two to evaluate on.
    """
    rng = np.random.default_rng(seed)
    if validation is None:
        count = min(count, max(len(prompts) // _HELD_OUT, _LEAST))
    source = prompts if validation is None else validation
    rows = sorted(rng.permutation(len(source))[:count])
    chosen = [source[row] for row in rows]
    held = set(chosen)
    learned = [prompt for prompt in prompts if prompt not in held]
    if not learned or len(chosen) < _LEAST:
        raise DataError(
            f"{len(prompts)} prompts leave {len(learned)} to learn on and {len(chosen)} to "
            f"evaluate on, of which there must be {_LEAST}; give more, or validation_prompts"
        )
    return learned, chosen


def prompts_hash(prompts: Sequence[str]) -> str:
    """Hexadecimal sha256 of prompts in their order."""
    return sha256(json.dumps(list(prompts)).encode()).hexdigest()


def _lines(path: Path) -> list[str]:
    with open_text(path) as file:
        return list(file)


def _json(path: Path) -> list[str]:
    with open_text(path) as file:
        try:
            texts: Any = json.load(file)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{path} must be a list of prompts")
    return texts


def _parquet_files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise DataError(f"{folder} holds no parquet file with prompts")
    return files


def _column(records: Records, source: str) -> Iterable[str]:
    column = column_of("prompt", records.columns)
    if column is None:
        raise DataError(
            f"{source} has {', '.join(records.columns)}; expected a prompt column "
            f"({', '.join(ALIASES['prompt'])})"
        )
    return [str(row[column]) for row in records.read() if row.get(column) is not None]


def _hub(source: str) -> Iterable[str]:
    from datasets import load_dataset  # noqa: PLC0415

    name, _, split = source.partition(":")
    try:
        rows = load_dataset(name, split=split or "train")
    except (OSError, ValueError) as error:  # the hub's errors are among these
        raise DataError(f"the data set {source} cannot be read: {error}") from error
    columns = list(rows.column_names)
    column = column_of("prompt", columns)
    if column is None:
        raise DataError(f"{source} has {', '.join(columns)}; expected a prompt column")
    return [str(text) for text in rows[column] if text is not None]
