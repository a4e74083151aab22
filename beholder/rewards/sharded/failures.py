"""Why a shard failed: in words for people, and as a kind that failures of one cause share."""

from __future__ import annotations

import errno
import re

_OWN = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[/\\.\d]\S*")
"""What differs from shard to shard: quoted names, paths, names of files, numbers."""


def told(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return text if text and type(error).__module__.startswith("beholder") else f"{kind}: {text}"


def kind_of(error: BaseException) -> str:
    """What errors of one cause share: the number that a system gave, or type and bare text.

    A text counts without names, paths and numbers, as in "DataError: … cannot be read".
    """
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.errno is not None:
            return errno.errorcode.get(at.errno, str(at.errno))
        at = at.__cause__
    return f"{type(error).__name__}: {bare(str(error))}"


def bare(text: str) -> str:
    """A text without what differs from shard to shard."""
    return " ".join(_OWN.sub("…", text).split())
