"""What is told to others names no folder of this machine and no secret."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_SECRETS = {"token", "use_auth_token"}


def without_places(value: Any) -> Any:
    """A configuration whose paths on this machine are cut to their last name, without tokens."""
    if isinstance(value, Mapping):
        return {k: without_places(v) for k, v in value.items() if k not in _SECRETS}
    if isinstance(value, (list, tuple)):
        return [without_places(one) for one in value]
    return _last_name(value) if isinstance(value, str) and _is_place(value) else value


def _is_place(text: str) -> bool:
    is_absolute = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    return is_absolute or text.startswith(("~", "../", "..\\", "file:"))


def _last_name(text: str) -> str:
    return PureWindowsPath(text).name  # takes either kind of slash
