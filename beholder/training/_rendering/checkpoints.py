"""Checkpoints to draw pictures with: how they are named, and what tells one from another."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beholder.errors import ConfigError
from beholder.training._tuning.record import LORA, read_record

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_PIECE = 64 * 1024  # bytes that are read at three places of a file of weights
_WEIGHTS = (".safetensors", ".json", ".txt", ".model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A pipeline, perhaps with adapters.

    Attributes:
        name: in tables and as a folder's name; letters, digits, ".", "_" and "-".
        pipeline: a folder, hub repository, "module:function" or "tiny", as `beholder generate`
            takes it.
        lora: a folder or file of adapters; None is without.
        options: of the pipeline's `from_pretrained`.
    """

    name: str
    pipeline: str
    lora: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def identity(self) -> dict[str, object]:
        """What its pictures depend on, as far as that can be told without loading it.

        Weights in files are told by their sizes and samples of their bytes, wherever they lie; a
        repository by its commit, "" before it was fetched.
        """
        told: dict[str, object] = {"options": dict(self.options)}
        if Path(self.pipeline).is_dir():
            told["weights"] = _fingerprint(Path(self.pipeline))
        else:
            told |= {"pipeline": self.pipeline, "commit": _commit(self.pipeline)}
        if self.lora is not None:
            told["lora"] = _fingerprint(self.lora)
        return told


def named_checkpoints(specs: Sequence[str]) -> list[Checkpoint]:
    """Checkpoints of what a command line names, each with a name of its own.

    A spec is a pipeline, a run folder of `beholder tune`, or "PIPELINE+LORA" with a folder of
    adapters; "NAME=" before it names it. Others are named after the last part of their path, and
    after more of it where names would clash.

    Raises:
        ConfigError: if a spec is nothing that can be loaded, or two are the same.
    """
    if not specs:
        raise ConfigError("there is no checkpoint to draw with; give one or more")
    split = [_split(spec) for spec in specs]
    found = [_found(spec) for _, spec in split]
    names = _names([name for name, _ in split], [_source(one) for one in found])
    return [
        Checkpoint(name=name, pipeline=one.pipeline, lora=one.lora, options=one.options)
        for name, one in zip(names, found, strict=True)
    ]


def _split(spec: str) -> tuple[str, str]:
    """The name that a spec gives, "" if none, and the rest."""
    name, sign, rest = spec.partition("=")
    if sign and _NAME.fullmatch(name) and not Path(spec).exists():
        return name, rest
    return "", spec


def _found(spec: str) -> Checkpoint:
    base, sign, lora = spec.rpartition("+")
    if sign and not Path(spec).exists():
        if not Path(lora).exists():
            raise ConfigError(f"no LoRA at {lora!r}; give PIPELINE+FOLDER with one that is there")
        return Checkpoint(name="", pipeline=_pipeline(base), lora=Path(lora))
    if (Path(spec) / "config.yaml").is_file() and not (Path(spec) / "model_index.json").is_file():
        return _run(Path(spec))
    return Checkpoint(name="", pipeline=_pipeline(spec))


def _run(folder: Path) -> Checkpoint:
    """The pipeline of a tuning with its adapters."""
    record = read_record(folder)
    pipeline = record.option("pipeline")
    if pipeline is None:
        raise ConfigError(f"{folder} is no run of `beholder tune`: its config names no pipeline")
    if not (folder / LORA).is_file():
        raise ConfigError(f"{folder} holds no {LORA}: the run has not ended")
    options = record.option("pipeline_options", {})
    return Checkpoint(name="", pipeline=_pipeline(pipeline), lora=folder, options=options)


def _pipeline(spec: str) -> str:
    """The spec, if it can be one of a pipeline."""
    path = Path(spec)
    is_pipeline = (path / "model_index.json").is_file()
    is_elsewhere = not path.exists() and (":" in spec or bool(_REPOSITORY.fullmatch(spec)))
    if spec != "tiny" and not is_pipeline and not is_elsewhere:
        raise ConfigError(
            f"{spec!r} is no checkpoint; give a folder with model_index.json, a run folder of "
            "`beholder tune`, PIPELINE+LORA_FOLDER, a hub repository as user/name, or "
            "module:function"
        )
    return spec


def _source(checkpoint: Checkpoint) -> str:
    """What a checkpoint without a name is named after."""
    if checkpoint.lora is not None:
        return os.path.abspath(checkpoint.lora.with_suffix(""))  # noqa: PTH100  (keeps links)
    if Path(checkpoint.pipeline).is_dir():
        return os.path.abspath(checkpoint.pipeline)  # noqa: PTH100
    return checkpoint.pipeline.rpartition(":")[2]


def _names(given: Sequence[str], sources: Sequence[str]) -> list[str]:
    parts = [1] * len(given)
    while True:
        names = [
            name or _safe(source, count)
            for name, source, count in zip(given, sources, parts, strict=True)
        ]
        times = Counter(name.casefold() for name in names)  # some disks fold case
        clashing = [k for k, name in enumerate(names) if times[name.casefold()] > 1]
        if not clashing:
            return names
        longer = [k for k in clashing if not given[k] and parts[k] < len(Path(sources[k]).parts)]
        if not longer:
            raise ConfigError(
                f"two checkpoints would be called {names[clashing[0]]!r}; give them names of "
                "their own, such as before=PATH after=PATH"
            )
        for k in longer:
            parts[k] += 1


def _safe(source: str, count: int) -> str:
    """The last parts of a path as a name for a file."""
    parts = [part for part in Path(source).parts if part not in {"/", os.sep}][-count:]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts)).strip("-._") or "model"


def _fingerprint(path: Path) -> str:
    """SHA-256 of the names, sizes and some bytes of the files that decide, in hexadecimal."""
    told = hashlib.sha256()
    for file in _deciding(path):
        size = file.stat().st_size
        told.update(f"{file.relative_to(path).as_posix()} {size}\n".encode())
        with file.open("rb") as opened:
            for place in (0, size // 2, max(0, size - _PIECE)):
                opened.seek(place)
                told.update(opened.read(_PIECE))
    return told.hexdigest()


def _deciding(path: Path) -> list[Path]:
    if path.is_file() or (path / LORA).is_file():  # a run folder holds much else
        return [path if path.is_file() else path / LORA]
    return sorted(f for f in path.rglob("*") if f.suffix in _WEIGHTS and f.is_file())


def _commit(repository: str) -> str:
    """The commit of a hub repository that lies in the cache; "" if none does."""
    if not _REPOSITORY.fullmatch(repository):
        return ""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    found = try_to_load_from_cache(repository, "model_index.json")
    return Path(found).parent.name if isinstance(found, str) else ""
