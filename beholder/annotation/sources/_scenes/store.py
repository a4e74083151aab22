"""Scenes as files, drawn once by one process or several and read back in order.

`root/train/000042.png` is a picture; beside it lie its maps, such as 000042.misalignment.png,
unless they are empty. `root/train/000025.jsonl` holds the truth of the 25 scenes from there on.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from beholder.annotation.sources._scenes.pixels import Grey
from beholder.annotation.sources._scenes.scene import Material, make_scene
from beholder.errors import AnnotationError
from beholder.types import MAPS

CHUNK = 25
"""Scenes that are drawn, or drawn again, together."""

_VERSION = 1
_SETTINGS = "scenes.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides how scenes look: side in pixels, seed, and a folder with own photographs."""

    size: int
    seed: int
    photographs: Path | None = None


def draw(
    root: Path, split: str, count: int, settings: Settings, processes: int = 1
) -> Iterator[dict[str, Any]]:
    """The truth of the first `count` scenes of a split, in order; those that lack are drawn.

    Raises AnnotationError if the folder holds scenes of other settings or of other material, or
    cannot be written.
    """
    folder = root / split
    starts = range(0, count, CHUNK)
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _check(folder / _SETTINGS, settings, Material.of(split, settings.photographs))
    with _drawing(partial(_draw_chunk, folder, settings), starts, processes) as done:
        for start in starts:
            with _told(folder):
                next(done)
                lines = _chunk_file(folder, start).read_text(encoding="utf-8").splitlines()
            yield from map(json.loads, lines[: count - start])


def map_file(picture: Path, kind: str) -> Path:
    """Where the map of one kind lies beside its picture; there is no file if it is empty."""
    return picture.with_name(f"{picture.stem}.{kind}.png")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, BrokenProcessPool) as error:
        raise AnnotationError(f"scenes cannot be drawn into {folder}: {error}") from error


@contextmanager
def _drawing(work: partial[None], starts: range, processes: int) -> Iterator[Iterator[None]]:
    """The work on each start in turn; several processes work ahead, one goes along."""
    if processes == 1:
        yield map(work, starts)
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))
    try:
        yield pool.map(work, starts)
    finally:
        pool.shutdown(cancel_futures=True)


def _draw_chunk(folder: Path, settings: Settings, start: int) -> None:
    """Draw the scenes of one chunk; its file appears last, so that it vouches for the others."""
    file = _chunk_file(folder, start)
    if file.is_file():
        return
    material = Material.of(folder.name, settings.photographs)
    lines = [
        json.dumps(_draw_one(folder, material, index, settings), ensure_ascii=False)
        for index in range(start, start + CHUNK)
    ]
    unfinished = file.with_suffix(".part")
    unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    unfinished.replace(file)


def _draw_one(folder: Path, material: Material, index: int, settings: Settings) -> dict[str, Any]:
    scene = make_scene(material, index, size=settings.size, seed=settings.seed)
    picture = folder / f"{index:06d}.png"
    _save(scene.picture, picture)
    for kind, grey in zip(MAPS, (scene.implausibility, scene.misalignment), strict=True):
        if grey.any():
            _save(grey, map_file(picture, kind))
    return {"index": index, "picture": picture.name, **scene.truth.as_json()}


def _save(pixels: Grey, file: Path) -> None:
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)


def _chunk_file(folder: Path, start: int) -> Path:
    return folder / f"{start:06d}.jsonl"


def _check(file: Path, settings: Settings, material: Material) -> None:
    names = [f"{thing.noun} {Path(thing.file).name}" for thing in material.things]
    names += [photograph.name for photograph in material.photographs]
    now = {
        "version": _VERSION,
        "size": settings.size,
        "seed": settings.seed,
        "material": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    }
    if not file.is_file():
        file.write_text(json.dumps(now) + "\n", encoding="utf-8")
    was = json.loads(file.read_text(encoding="utf-8"))
    if other := [name for name in now if was.get(name) != now[name]]:
        raise AnnotationError(
            f"{file.parent} holds scenes of another {', '.join(other)}; choose another folder"
        )
