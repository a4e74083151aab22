"""Parts of a JSON body, each of the kind that its protocol asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beholder.errors import DataError
from beholder.serving.items import Fault, Picture
from beholder.serving.pictures import decoded


def an_object(value: object, what: str) -> Mapping[str, Any]:
    """The value; DataError unless it is a JSON object."""
    if not isinstance(value, Mapping):
        raise DataError(f"{what} must be a JSON object, got {type(value).__name__}")
    return value


def a_list(fields: Mapping[str, Any], key: str) -> list[Any]:
    """The value of a key; DataError unless it is a list."""
    value = fields.get(key)
    if not isinstance(value, list):
        raise DataError(f"{key} must be a list, got {type(value).__name__}")
    return value


def a_text(value: object, what: str) -> str:
    """The value; DataError unless it is a string."""
    if not isinstance(value, str):
        raise DataError(f"{what} must be a string, got {type(value).__name__}")
    return value


def a_picture(value: object, what: str) -> Picture:
    """The file that a text holds in base64, not decoded further; DataError if it is no base64."""
    if not isinstance(value, str):
        raise DataError(f"{what} must be a picture in base64, got {type(value).__name__}")
    found = decoded(value)
    if isinstance(found, Fault):
        raise DataError(f"{what} is {found.message}")
    return found
