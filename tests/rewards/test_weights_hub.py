"""Weights that come from the hub: fetched, checked, pushed."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import beholder
from beholder._published.weights import Published, fetch
from beholder.errors import WeightsError
from beholder.rewards import Reward
from beholder.rewards import tiny as tiny_module
from beholder.rewards._weights import push

COMMIT = "a" * 40
PUBLISHED = Published("beholder/none", "w.bin", "main", hashlib.sha256(b"weights").hexdigest())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the hub's cache."""

    def cached(repo: str, file: str = "", **_: Any) -> str:
        return str(tmp_path / repo.replace("/", "--") / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", cached)
    monkeypatch.setattr("huggingface_hub.snapshot_download", cached)
    return tmp_path


def test_a_published_file_is_fetched_and_its_sha256_checked(hub: Path) -> None:
    (hub / "beholder--none").mkdir()
    (hub / "beholder--none" / "w.bin").write_bytes(b"weights")
    assert fetch(PUBLISHED).read_bytes() == b"weights"
    (hub / "beholder--none" / "w.bin").write_bytes(b"weight$")
    with pytest.raises(WeightsError, match="damaged or was changed"):
        fetch(PUBLISHED)
    assert fetch(Published("beholder/none", "w.bin", "main")).read_bytes() == b"weight$"


def test_offline_a_filled_cache_serves_and_is_checked_by_what_the_hub_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache as the hub's own library lays it out: large files are named by their sha256."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    root, commit = tmp_path / "models--beholder--none", COMMIT
    blob = root / "blobs" / hashlib.sha256(b"weights").hexdigest()
    snapshot = root / "snapshots" / commit
    for folder in (blob.parent, snapshot, root / "refs"):
        folder.mkdir(parents=True)
    blob.write_bytes(b"weights")
    (snapshot / "w.bin").symlink_to(blob)
    (root / "refs" / "main").write_text(commit)
    for revision in ("main", commit):
        assert fetch(Published("beholder/none", "w.bin", revision)).read_bytes() == b"weights"
    blob.write_bytes(b"weight$")
    with pytest.raises(WeightsError, match="damaged or was changed"):
        fetch(Published("beholder/none", "w.bin", commit))


def test_offline_a_file_that_was_never_fetched_is_a_clear_error() -> None:
    with pytest.raises(WeightsError, match=r"cannot fetch beholder/none/w\.bin.*HF_HUB_OFFLINE"):
        fetch(PUBLISHED)


def test_a_hub_repository_loads_like_a_folder(hub: Path) -> None:
    tiny_module.build(seed=5).save_pretrained(hub / "user--mine")
    assert beholder.load("user/mine").options() == {"seed": 5}


@pytest.mark.parametrize("name", ["user/mine", "user/..", "us er/x"])
def test_a_repository_that_cannot_be_had_is_a_clear_error(name: str) -> None:
    with pytest.raises(WeightsError, match=f"no folder '{name}', nor can it be fetched"):
        beholder.load(name)


def test_a_path_that_is_no_folder_is_not_looked_up_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no reward folder"):
        Reward.from_pretrained(tmp_path / "nowhere")


def test_pushing_uploads_what_a_folder_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, object] = {}

    class Address(str):
        repo_id = "user/mine"

    class Hub:
        def create_repo(self, repo: str, **options: object) -> Address:
            sent.update(repo=repo, **options)
            return Address(f"https://hub.example/{repo}")

        def upload_folder(self, *, repo_id: str, folder_path: str) -> None:
            sent["files"] = {p.name for p in Path(folder_path).iterdir()}

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    address = tiny_module.build().push_to_hub("mine", private=True)
    assert address == "https://hub.example/mine"
    assert sent == {
        "repo": "mine",
        "private": True,
        "exist_ok": True,
        "files": {"config.json", "model.safetensors", "README.md"},
    }


def test_pushing_offline_is_a_clear_error() -> None:
    with pytest.raises(WeightsError, match=r"cannot push to user/mine.*HF_HUB_OFFLINE"):
        push(tiny_module.build(), "user/mine", private=False)


class BrokenHub(BaseHTTPRequestHandler):
    """Speaks the hub's protocol, and once hangs up in the middle of the file."""

    data = np.random.default_rng(0).bytes(3_000_000)
    sha256 = hashlib.sha256(data).hexdigest()
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{self.sha256}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.do_HEAD()
        self.wfile.write(self.data if len(self.asked) > 1 else self.data[:2_000_000])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BrokenHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_download_that_breaks_off_is_tried_again(tmp_path: Path, endpoint: str) -> None:
    home = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": endpoint}
    environment = {**os.environ, **home, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    code = (
        "from beholder._published.weights import Published, fetch\n"
        f"print(fetch(Published('beholder/none', 'w.bin', '{COMMIT}', '{BrokenHub.sha256}')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == BrokenHub.data
    assert len(BrokenHub.asked) == 2
