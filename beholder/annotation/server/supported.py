"""Which releases of Label Studio and of its SDK are spoken to; every connection checks both."""

from __future__ import annotations

import re
from importlib import metadata

from beholder.errors import AnnotationError, MissingDependencyError

TESTED_SERVER, TESTED_SDK = "1.23.2", "2.1.2"
Range = tuple[tuple[int, int], tuple[int, int]]
SERVERS: Range = ((1, 20), (2, 0))
SDKS: Range = ((2, 0), (3, 0))
"""Releases that are accepted: from the first to below the second."""


def check_sdk() -> None:
    """Raises MissingDependencyError without label-studio-sdk, AnnotationError for a wrong one."""
    try:
        release = metadata.version("label-studio-sdk")
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            f"label-studio-sdk is missing: pip install label-studio-sdk=={TESTED_SDK}"
        ) from error
    if not _is_within(release, SDKS):
        raise AnnotationError(
            f"label-studio-sdk {release} is installed; expected {_text(SDKS)} "
            f"(tested with {TESTED_SDK})"
        )


def check_server(url: str, release: object) -> str:
    """The release that the server at `url` tells; AnnotationError for another kind of server."""
    if not isinstance(release, str):
        raise AnnotationError(f"{url} is no Label Studio: it does not tell its release")
    if not _is_within(release, SERVERS):
        raise AnnotationError(
            f"{url} is Label Studio {release}; expected {_text(SERVERS)} "
            f"(tested with {TESTED_SERVER})"
        )
    return release


def _is_within(release: str, accepted: Range) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers is None:
        return False
    return accepted[0] <= (int(numbers[1]), int(numbers[2])) < accepted[1]


def _text(accepted: Range) -> str:
    (major, minor), (beyond, _) = accepted
    return f"{major}.{minor} or later, below {beyond}"
