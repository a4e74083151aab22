"""The menu: items that stand for a folder of made pages become the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from handbook.pages.modules import FOLDER, ROOMS, room_of

Item = str | Mapping[str, Any]


def expanded(nav: Sequence[Any], made: Iterable[str]) -> list[Any]:
    """The menu with each "folder/*" replaced by the pages in that folder, in order of their names.

    The modules of the reference are put together by room.
    """
    known = sorted(made)
    found: list[Any] = []
    for item in nav:
        if isinstance(item, Mapping):
            found.append({title: _within(inner, known) for title, inner in item.items()})
        elif item.endswith("/*"):
            found += _pages_of(item.removesuffix("/*"), known)
        else:
            found.append(item)
    return found


def _within(inner: Any, known: Sequence[str]) -> Any:
    return inner if isinstance(inner, str) else expanded(inner, known)


def _pages_of(folder: str, known: Sequence[str]) -> list[Any]:
    uris = [uri for uri in known if uri.startswith(f"{folder}/")]
    if folder != FOLDER:
        return list(uris)
    modules = {uri.removeprefix(f"{FOLDER}/").removesuffix(".md"): uri for uri in uris}
    return [{title: _in_room(room, modules)} for room, title in ROOMS.items()]


def _in_room(room: str, modules: Mapping[str, str]) -> list[Item]:
    """The modules of a room under their names in it."""
    return [
        {name.removeprefix(f"{room}."): uri}
        for name, uri in sorted(modules.items())
        if room_of(name) == room
    ]
