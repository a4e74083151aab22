"""The folder of a run: what it was asked, what it was given, and nobody else at the same time."""

from __future__ import annotations

import difflib
import json
import math
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import beholder
from beholder.errors import ConfigError
from beholder.training.fit.checkpoints import write_text

_LOCK = ".lock"
_CLAIMS = {"config.yaml", "inputs.yaml", "versions.json", "prompts.json"}  # what a run was asked

PACKAGES = (
    "accelerate",
    "diffusers",
    "numpy",
    "open_clip_torch",
    "peft",
    "pillow",
    "safetensors",
    "simplejpeg",
    "timm",
    "tokenizers",
    "torch",
    "torchvision",
    "transformers",
)
"""Whose versions a run writes down."""


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """The only run in this folder; ConfigError if another process trains in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"another process trains in {folder}; wait for it or give another folder"
                ) from error
        yield


@contextmanager
def unclaimed_on_failure(folder: Path) -> Iterator[None]:
    """If what is inside fails and the folder holds nothing but what it was asked, that goes."""
    was_claimed = any(path.name != _LOCK for path in folder.rglob("*"))
    try:
        yield
    except BaseException:
        told = [path for path in folder.rglob("*") if path.is_file() and path.name != _LOCK]
        if not was_claimed and all(path.name in _CLAIMS for path in told):
            for path in told:
                path.unlink()
        raise


def claim(folder: Path, name: str, given: Mapping[str, object]) -> None:
    """Write what a run was given as the YAML file `name`, or compare it with what is there.

    Raises ConfigError naming what differs: going on with it would mix two runs.
    """
    import yaml  # noqa: PLC0415

    path = folder / name
    plain = json.loads(json.dumps(given))
    if not path.exists():
        write_text(path, yaml.safe_dump(plain, sort_keys=False))
        return
    differs = differences(yaml.safe_load(path.read_text(encoding="utf-8")), plain)
    if differs:
        raise ConfigError(
            f"{folder} holds another run: {'; '.join(differs)}; "
            "give another folder, or delete this one to start again"
        )


def differences(old: object, new: object, path: str = "") -> list[str]:
    """What differs between two nested mappings, one text an entry."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            text
            for key in dict.fromkeys([*old, *new])
            for text in differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if old == new else [f"{path} was {old!r}, now {new!r}"]


def write_versions(folder: Path) -> None:
    """Write `versions.json`: Beholder, Python and the packages that compute."""
    found = {name: _version(name) for name in PACKAGES}
    versions = {"beholder": beholder.__version__, "python": platform.python_version(), **found}
    write_json(folder / "versions.json", versions)


def write_json(path: Path, values: object) -> None:
    """Replace a JSON file whole; numbers that are not finite, which JSON has not, become null."""
    text = json.dumps(finite(values), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, f"{text}\n")


def finite(value: object) -> object:
    """The same nested lists and mappings with None for numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def suggestion(name: str, known: list[str]) -> str:
    """What was probably meant by an unknown name."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
