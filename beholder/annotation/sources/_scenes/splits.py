"""Which split an object or a photograph belongs to: by its name alone."""

from __future__ import annotations

import hashlib

SPLITS = ("train", "dev", "test")

_SALT = "scenes 1121"  # it gives every split some of the photographs and drawn shapes that are few
_ENDS = (0.72, 0.86)


def split_of(name: str) -> str:
    """The split of everything called `name`: about 72, 14 and 14 % of all names.

    It does not depend on what else there is, so no name moves when a package is installed.
    """
    digest = hashlib.sha256(f"{_SALT}/{name}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return SPLITS[sum(share >= end for end in _ENDS)]
