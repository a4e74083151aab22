"""Rows of archives and files of arrays, each opened when its turn comes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from beholder._inputs.archives import Member, packed_members, packed_pictures
from beholder._inputs.picture_arrays import ARRAYS, array_pictures
from beholder._inputs.prompt_files import prompts_for
from beholder._inputs.rows import Inputs, Row
from beholder._inputs.sources import Archives
from beholder.errors import DataError


def packed_rows(archives: Archives, prompts: str | os.PathLike[str] | None = None) -> Inputs:
    """The pictures of archives one after another; see `inputs.read_inputs`.

    Raises DataError if none has a picture, or the first of them is damaged; another that is damaged
    raises when its turn comes.
    """

    def count() -> int:
        return sum(packed_count(path) for path in _each_path(archives))

    begun = _members(archives)
    first = next(begun, None)
    if first is None:
        raise DataError(f"there is no picture in {archives.name}")
    readings = [chain([first], begun)]  # so that the first archive is opened, or fetched, once
    prompt_of = None if prompts is None else prompts_for(prompts, count)

    def rows() -> Iterator[Row]:
        members = readings.pop() if readings else _members(archives)
        for number, (at, prefix, m) in enumerate(members):
            prompt = prompt_of(number, m.key, Path(m.key)) if prompt_of else m.prompt
            name = f"{at}/{m.key}"
            yield Row(key=prefix + m.key, image=m.image, prompt=prompt, name=name, extra=m.extra)

    has_prompts = prompts is not None or first[2].prompt is not None
    return Inputs(archives.name, has_prompts, rows, count, is_counted=False)


def packed_file(path: Path) -> Iterator[Member]:
    """The pictures of one local archive or file of arrays; DataError if it is damaged."""
    _check_regular(path)
    return iter(array_pictures(path)) if _is_array(path) else packed_members(path)


def _members(archives: Archives) -> Iterator[tuple[str, str, Member]]:
    """Address of the archive, what stands before its keys, and a picture."""
    for place, prefix in zip(archives.places, archives.prefixes, strict=True):
        with place.local() as path:
            for member in packed_file(path):
                yield place.absolute, prefix, member


def _each_path(archives: Archives) -> Iterator[Path]:
    for place in archives.places:
        with place.local() as path:
            yield path


def packed_count(path: Path) -> int:
    """How many pictures a local archive or file of arrays has; DataError if it is damaged."""
    _check_regular(path)
    return array_pictures(path).count if _is_array(path) else packed_pictures(path).count


def _check_regular(path: Path) -> None:
    if not path.is_file():  # a pipe would make everybody wait
        raise DataError(f"{path} is no regular file" if path.exists() else f"there is no {path}")


def _is_array(path: Path) -> bool:
    return path.suffix.lower() in ARRAYS
