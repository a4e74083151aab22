"""Files that lie on no hub, but under a fixed address: fetched once, checked each time."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from urllib.parse import unquote

from beholder.errors import WeightsError


def download(address: str, sha256: str | None) -> Path:
    """Where a file lies in torch's cache of checkpoints, downloaded there if it was not.

    `sha256` may be its first digits, if no more of it was published; None checks nothing.
    With HF_HUB_OFFLINE set nothing is downloaded.
    Raises WeightsError if the file cannot be had or its sha256 differs.
    """
    import torch  # noqa: PLC0415

    path = Path(torch.hub.get_dir()) / "checkpoints" / unquote(address.rpartition("/")[2])
    try:
        if not path.is_file():
            _refuse_offline(address, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(address, str(path), sha256, progress=sys.stderr.isatty())
        if sha256 is not None:
            _check(path, sha256)
    except (OSError, RuntimeError) as error:  # a wrong sha256 is a RuntimeError there
        raise WeightsError(
            f"cannot fetch {address}: {error}; download it elsewhere and give its path"
        ) from error
    return path


def _refuse_offline(address: str, path: Path) -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise WeightsError(
            f"{address} is not at {path} and HF_HUB_OFFLINE is set: put it there, or give its path"
        )


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(sha256):
        raise WeightsError(
            f"{path} is damaged or was changed: its sha256 is {found}, expected {sha256}"
        )
