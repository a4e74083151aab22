"""How often each shard was begun and not finished, so that one that kills its worker is given up.

A shard is counted before its work starts, in a file of its own that outlives worker and driver:

    _run/attempts/<shard>.json    {"begun": 2, "why": "it killed its worker (signal 9)", ...}

Who finishes a shard, or stops in good order, takes the file away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from beholder._run_folder import RunFolder
from beholder.errors import DataError
from beholder.storage import Place

MOST_ATTEMPTS = 3
"""A shard that was begun so often and is not done is given up."""

SILENT = "its process died before it was done"
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Attempts:
    """What is known of a shard that is not done.

    Attributes:
        begun: how often.
        why: what ended the last attempt that ended with a reason.
        given_up: whether nobody tries any more.
    """

    begun: int = 0
    why: str = SILENT
    given_up: bool = False


def begin(folder: RunFolder, name: str) -> int:
    """Count an attempt, before its work starts; gives which one it is, from 1."""
    known = of(folder, name)
    _write(folder, name, Attempts(known.begun + 1, known.why))
    return known.begun + 1


def withdraw(folder: RunFolder, name: str) -> None:
    """Take back an attempt that ended through no fault of the shard."""
    known = of(folder, name)
    if known.begun > 1:
        _write(folder, name, Attempts(known.begun - 1, known.why))
    else:
        clear(folder, name)


def forgive(folder: RunFolder, name: str, why: str) -> None:
    """Take back every attempt, but remember that there were some: the shard is tried last."""
    _write(folder, name, Attempts(0, why))


def of(folder: RunFolder, name: str) -> Attempts:
    """What is known of one shard."""
    return _read(_file(folder, name))


def count(folder: RunFolder, name: str) -> int:
    """How often a shard was begun and not finished."""
    return of(folder, name).begun


def explain(folder: RunFolder, name: str, why: str) -> None:
    """Say why the last attempt ended."""
    _write(folder, name, Attempts(count(folder, name), why))


def give_up(folder: RunFolder, name: str, why: str) -> str:
    """Try a shard no more; gives the reason as people are told it."""
    known = Attempts(count(folder, name), why, given_up=True)
    _write(folder, name, known)
    return _told(known)


def clear(folder: RunFolder, name: str) -> None:
    """Forget a shard's attempts."""
    _file(folder, name).delete()


def known(folder: RunFolder) -> dict[str, Attempts]:
    """Every shard that was begun and not finished."""
    names = [n.removesuffix(_SUFFIX) for n in folder.attempts().names() if n.endswith(_SUFFIX)]
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(names, pool.map(lambda n: _read(_file(folder, n)), names), strict=True))


def lost(folder: RunFolder) -> dict[str, str]:
    """The shards that were given up, and why, by name."""
    return {n: _told(a) for n, a in sorted(known(folder).items()) if a.given_up}


def write_failed(folder: RunFolder) -> None:
    """Write the list of shards that were given up; none leaves no list."""
    found = lost(folder)
    if found:
        folder.failed_file().write(json.dumps(found, indent=2).encode())
    else:
        folder.failed_file().delete()


def withdraw_all(folder: RunFolder, names: Iterable[str]) -> None:
    """Take back an attempt of each."""
    for name in names:
        withdraw(folder, name)


def _told(found: Attempts) -> str:
    return f"{found.why} (attempt {found.begun})" if found.begun else found.why


def _file(folder: RunFolder, name: str) -> Place:
    return folder.attempts() / f"{name}{_SUFFIX}"


def _write(folder: RunFolder, name: str, found: Attempts) -> None:
    _file(folder, name).write(json.dumps(asdict(found)).encode())


def _read(place: Place) -> Attempts:
    if not place.exists():
        return Attempts()
    try:
        return Attempts(**json.loads(place.read()))
    except (json.JSONDecodeError, TypeError) as error:
        raise DataError(f"{place} is damaged: {error}; delete it") from error
