"""Which texts may name a repository on the hub."""

from __future__ import annotations

from pathlib import Path

_PLACES = ("/", "~", ".")


def may_be_repository(name: str) -> bool:
    """Whether a text such as owner/name may be looked for on the hub.

    What begins with a slash, ~ or a dot is a place on this machine, and so is what is there.
    """
    return name.count("/") == 1 and not name.startswith(_PLACES) and not Path(name).exists()
