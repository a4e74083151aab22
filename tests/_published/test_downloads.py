import hashlib
from pathlib import Path
from typing import Any

import pytest

from beholder._published.downloads import download
from beholder.errors import WeightsError

ADDRESS = "https://example.org/commit/head.pth"
SHA256 = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Torch's cache in a new folder, and a network whose every file holds "weights"."""
    asked: list[str] = []

    def fetch(address: str, path: str, *_: object, **__: Any) -> None:
        asked.append(address)
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", fetch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    return asked


def test_a_file_is_fetched_once_and_checked_each_time(online: list[str]) -> None:
    path = download(ADDRESS, SHA256)
    assert path.name == "head.pth"
    assert path.read_bytes() == b"weights"
    assert download(ADDRESS, None) == path
    assert download(ADDRESS, SHA256[:8]) == path
    assert online == [ADDRESS]
    path.write_bytes(b"weight$")
    with pytest.raises(WeightsError, match="damaged or was changed"):
        download(ADDRESS, SHA256)


def test_a_file_of_unknown_hash_is_not_read(
    online: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashlib.file_digest", None)
    assert download(ADDRESS, None).read_bytes() == b"weights"


def test_offline_only_the_cache_is_looked_at(
    online: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        download(ADDRESS, SHA256)
    assert online == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    path = download(ADDRESS, SHA256)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download(ADDRESS, SHA256) == path


def test_a_file_that_cannot_be_had_is_one_clear_line(
    online: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: Any) -> None:
        raise OSError("HTTP Error 404")

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with pytest.raises(WeightsError, match=r"cannot fetch https://example.*404.*give its path"):
        download(ADDRESS, SHA256)
