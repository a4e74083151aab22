"""Where the pictures named by a labelling server lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from beholder.errors import AnnotationError

_ELSEWHERE = ("http://", "https://", "s3://", "gs://", "azure-blob://", "data:")


def resolve_picture(reference: str, images_root: Path | None) -> str:
    """The path of a picture under `images_root`, or the reference itself if it lies elsewhere.

    "/data/local-files/?d=gen/x.png" and "gen/x.png" give images_root/gen/x.png;
    "/data/upload/3/x.png" gives images_root/upload/3/x.png, as in the server's media folder.
    Addresses and absolute paths are kept, and so is everything if there is no `images_root`.
    Raises AnnotationError if the reference leaves `images_root`.
    """
    if images_root is None or is_elsewhere(reference):
        return reference
    inside = _path_on_server(reference)
    if inside is None:
        return reference
    root = os.path.normpath(images_root)
    path = os.path.normpath(os.path.join(root, inside))  # noqa: PTH118  (pathlib keeps "..")
    if "\0" in inside or Path(inside).is_absolute() or not Path(path).is_relative_to(root):
        raise AnnotationError(
            f"picture {reference!r} lies outside {root!r}; only files below it are read"
        )
    return path


def is_elsewhere(reference: str) -> bool:
    """Whether a picture is named by an address that only a network or its own text can serve."""
    return reference.startswith(_ELSEWHERE)


def is_on_server(reference: str) -> bool:
    """Whether a picture is still named as the server names it, so `images_root` is needed."""
    return reference.startswith(("/data/local-files/", "/data/upload/"))


def _path_on_server(reference: str) -> str | None:
    if reference.startswith("/data/local-files/"):
        paths = parse_qs(urlsplit(reference).query).get("d", [])
        if len(paths) != 1:
            raise AnnotationError(f"picture {reference!r} names no single file; expected ?d=PATH")
        return paths[0]
    if reference.startswith("/data/upload/"):
        return reference.removeprefix("/data/")
    return None if Path(reference).is_absolute() else reference
