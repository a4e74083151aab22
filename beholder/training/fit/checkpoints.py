"""Checkpoints: written whole or not at all, checked before they are used, never pickled.

A checkpoint is a folder `step-00000100` with `tensors.safetensors`, `state.json` and, written last,
`complete.json` with the sha256 of both. It is made under a hidden name, flushed and then renamed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from beholder.errors import DataError

_LOG = logging.getLogger(__name__)
_TENSORS, _STATE, _COMPLETE = "tensors.safetensors", "state.json", "complete.json"


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on after `step` steps: tensors, and what JSON can say."""

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, object]


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write a checkpoint into `folder` and keep the newest `keep`; gives its own folder.

    A process that dies at any moment leaves the old checkpoints, or these and the new one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    final = folder / f"step-{checkpoint.step:08d}"
    partial = folder / f".{final.name}.partial"
    partial.mkdir()
    _write_files(partial, checkpoint)
    if final.exists():
        _remove(final)
    partial.rename(final)
    flush(folder)
    for old in _folders(folder)[keep:]:
        _remove(old)
    return final


def read_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; None if there is none.

    A damaged one is refused, the log says why, and the one before it is tried.
    """
    return _newest(folder, read_checkpoint)


def read_newest_state(folder: Path) -> Checkpoint | None:
    """As `read_newest`, but as `read_state` reads."""
    return _newest(folder, read_state)


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a folder; DataError if it is not whole or was changed."""
    with _reading(path):
        complete = _checked(path, _TENSORS, _STATE)
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
        return Checkpoint(complete["step"], load_file(path / _TENSORS), state)


def read_state(path: Path) -> Checkpoint:
    """The checkpoint in a folder without its tensors, which are neither read nor checked.

    Raises DataError if the tensors are not there, or the rest is not whole or was changed.
    """
    with _reading(path):
        complete = _checked(path, _STATE)
        (path / _TENSORS).stat()
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
        return Checkpoint(complete["step"], {}, state)


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Replace a text file whole: a reader sees the old text or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    flush(partial)
    partial.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _newest(folder: Path, read: Callable[[Path], Checkpoint]) -> Checkpoint | None:
    for path in _folders(folder):
        try:
            return read(path)
        except DataError as error:
            _LOG.warning("refused a damaged checkpoint, trying the one before: %s", error)
    return None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever fails inside says that the checkpoint is not whole."""
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{path} is not a whole checkpoint ({reason})") from error


def _checked(path: Path, *names: str) -> dict[str, Any]:
    """What `complete.json` says; DataError if one of these files is not as it says."""
    complete: dict[str, Any] = json.loads((path / _COMPLETE).read_text(encoding="utf-8"))
    for name in names:
        if (found := sha256(path / name)) != complete["sha256"][name]:
            raise DataError(f"{path / name} was changed or cut short: its sha256 is {found}")
    return complete


def _write_files(partial: Path, checkpoint: Checkpoint) -> None:
    # A copy each: safetensors refuses tensors that share memory, such as tied weights.
    tensors = {k: v.detach().cpu().clone() for k, v in checkpoint.tensors.items()}
    save_file(tensors, partial / _TENSORS)
    (partial / _STATE).write_text(json.dumps(checkpoint.state, indent=2), encoding="utf-8")
    complete = {
        "step": checkpoint.step,
        "sha256": {name: sha256(partial / name) for name in (_TENSORS, _STATE)},
    }
    (partial / _COMPLETE).write_text(json.dumps(complete, indent=2), encoding="utf-8")
    for path in (*partial.iterdir(), partial):
        flush(path)


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _remove(path: Path) -> None:
    # Renamed first: a removal cut short must not look like a damaged checkpoint.
    gone = path.with_name(f".{path.name}.removed")
    path.rename(gone)
    shutil.rmtree(gone)


def _remove_leftovers(folder: Path) -> None:
    for path in folder.glob(".step-*"):
        shutil.rmtree(path)
