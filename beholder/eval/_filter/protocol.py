"""What a filter was made with, in words and as hashes of what it read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from beholder.eval._embedding_files import KEYS

_LABELS = {
    "embedder": "embedded by",
    "embeddings": "file of embeddings",
    "embeddings_sha256": "SHA-256 of that file",
    "dedup": "near-duplicate from a cosine of",
    "method": "pairs compared",
    "against": "evaluation set",
    "against_threshold": "of the evaluation set from",
    "evaluation_pictures": "evaluation pictures",
    "evaluation_pictures_failed": "evaluation pictures that cannot be read",
    "evaluation_errors": "such as",
    "against_prompts": "file of evaluation prompts",
    "evaluation_prompts": "evaluation prompts",
}
_METHODS = {"exact": "every pair (exact)", "cells": "inside cells of k-means (cells)"}


def told(likeness: Mapping[str, Any]) -> dict[str, str]:
    """What likeness was found with, name -> value, for people."""
    return {_LABELS[name]: _said(name, value) for name, value in likeness.items()}


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex; of several, which are a folder, or keys beside it, of theirs."""
    digests = []
    for file in _files(path):
        with file.open("rb") as opened:
            digests.append(hashlib.file_digest(opened, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(found.digest() for found in digests)).hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(path.glob("*.parquet"))
        return
    yield path
    beside = path.with_name(path.stem + KEYS)
    if path.suffix == ".npy" and beside.is_file():
        yield beside


def _said(name: str, value: Any) -> str:
    if name == "method":
        return _METHODS[value]
    if name == "embeddings_sha256":
        return str(value)[:12]
    return "; ".join(value) if isinstance(value, list) else str(value)
