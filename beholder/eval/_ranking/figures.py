"""A number of each checkpoint from a file: what `measure` or `cost` printed, or a small table."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beholder.errors import ConfigError, DataError


def checkpoint_figures(source: str) -> dict[str, float]:
    """Checkpoint -> number; one that is null in the source is left out.

    Args:
        source: "PLACE" or "PLACE#FIGURE". A place is a JSON object of checkpoints; or a folder with
            CHECKPOINT.json of each; or a CSV whose first column names checkpoints. FIGURE says
            which number of an object, such as "runtime.median" of what `cost --json` prints or
            "lpips_diversity" of what `measure --json` prints, or which column of a CSV; its second
            if none.

    Raises:
        DataError: if the place is missing or malformed.
        ConfigError: if the figure is not there or is no number.
    """
    place, _, figure = source.partition("#")
    path = Path(place)
    found = _table(path, figure) if path.suffix == ".csv" else _objects(path)
    numbers = {name: _number(value, figure, f"{place}: {name}") for name, value in found.items()}
    known = {name: number for name, number in numbers.items() if number is not None}
    if not known:
        raise DataError(f"{place} holds no number of any checkpoint")
    return known


def _objects(path: Path) -> dict[str, Any]:
    """What a JSON file, or each JSON file of a folder, says of each checkpoint."""
    if path.is_dir():
        return {file.stem: _read(file) for file in sorted(path.glob("*.json"))}
    value = _read(path)
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object; expected checkpoint names with numbers")
    return value


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; give a JSON or CSV file, or a folder") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}") from error


def _table(path: Path, column: str) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; give a JSON or CSV file, or a folder") from error
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        raise DataError(f"{path}: expected a header and rows as wide, checkpoint first")
    name = column or rows[0][min(1, len(rows[0]) - 1)]
    if name not in rows[0]:
        raise ConfigError(f"{path} has no column {name!r}; it has {', '.join(rows[0])}")
    return {row[0]: row[rows[0].index(name)] or None for row in rows[1:]}


def _number(value: Any, figure: str, where: str) -> float | None:
    """The figure of an object, or the value itself where it is a number already."""
    found = _figure(value, figure, where) if isinstance(value, Mapping) else value
    if found is None:
        return None
    try:
        number = float(found)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{where} is {str(found)[:40]!r}, no number; say which one it is, such as "
            "FILE#runtime.median"
        ) from error
    return number if math.isfinite(number) else None


def _figure(said: Mapping[str, Any], figure: str, where: str) -> Any:
    for part in filter(None, figure.split(".")):
        named = {m["metric"]: m for m in said.get("measurements", ())} | dict(said)
        if part not in named:
            raise ConfigError(f"{where} has no {part!r}; it has {', '.join(named)}")
        value = named[part]
        if not isinstance(value, Mapping):
            return value
        said = value
    return said.get("value", said)
