"""Names of shards: unique, short, and good for a file on any disk or in any store."""

from __future__ import annotations

import hashlib
import re

MOST = 120
"""Characters of a name."""

_UNSAFE = re.compile(r"[^\w.-]|[^\x00-\x7f]")


class ShardNames:
    """Names that are given once each, also on disks that do not tell "A" from "a".

    They never begin with "_" or ".", since readers of a folder leave such files out.
    """

    def __init__(self) -> None:
        self._given: set[str] = set()

    def of(self, path: str) -> str:
        """A name for the shard of a path without its suffix, such as "deep-a" for "deep/a"."""
        name = _UNSAFE.sub("-", path).lstrip("_.-")
        if len(name) > MOST or not name:
            digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
            name = f"{name[: MOST - 9] or 'shard'}-{digest[:8]}"
        return self._unique(name)

    def _unique(self, name: str) -> str:
        found, number = name, 1
        while found.lower() in self._given:
            number += 1
            found = f"{name}-{number}"
        self._given.add(found.lower())
        return found
