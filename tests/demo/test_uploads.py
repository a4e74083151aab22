"""Gradio in a process of its own, which counts every host that is resolved or connected to."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the demo needs gradio")

SCRIPT = """
import json, sys, tempfile
from pathlib import Path

hosts = []
heard = {"socket.getaddrinfo", "socket.connect"}
sys.addaudithook(lambda event, told: hosts.append(str(told)) if event in heard else None)

from fastapi.testclient import TestClient
from PIL import Image
from beholder.demo.running import application_of
from beholder.rewards import load
from beholder.serving.settings import Access

MARK = {"meta": {"_type": "gradio.FileData"}}
HOST = "http://pictures.example.org/a.png"

with tempfile.TemporaryDirectory() as kept:
    secret = Path(kept) / "secret.png"
    Image.new("RGB", (64, 64), "red").save(secret)
    (Path(kept) / "page").mkdir()
    page = application_of(
        {"tiny": load("tiny")}, Access(host="127.0.0.1", port=7860), Path(kept) / "page"
    )
    with TestClient(page, base_url="http://127.0.0.1") as client:
        def said(*inputs, verb="score"):
            called = client.post(f"/gradio_api/call/{verb}", json={"data": list(inputs)}).json()
            return client.get(f"/gradio_api/call/{verb}/{called['event_id']}").text

        sent = {"files": ("a.png", secret.read_bytes())}
        (own,) = client.post("/gradio_api/upload", files=sent).json()
        up = {"path": own, **MARK}
        outside = {"path": str(secret), **MARK}
        print(json.dumps({
            "upload": said(up, "a fox"),
            "address": said({"path": HOST, **MARK}, "a fox"),
            "unmarked address": said({"path": HOST}, "a fox"),
            "address of the hub": said({"path": "https://huggingface.co/a.png", **MARK}, "a fox"),
            "second address": said(up, {"path": HOST, **MARK}, "a fox", verb="compare"),
            "address for a prompt": said(up, {"path": HOST, **MARK}),
            "file": said(outside, "a fox"),
            "unmarked file": said({"path": str(secret)}, "a fox"),
            "stream": said({**outside, "is_stream": True}, "a fox"),
            "way round": said({"path": f"{own}/../../../../secret.png", **MARK}, "a fox"),
            "file for a prompt": said(up, outside),
            "hosts": hosts,
            "copies": len(list((Path(kept) / "page").rglob("secret.png"))),
        }))
"""
ADDRESSES = (
    "address",
    "unmarked address",
    "address of the hub",
    "second address",
    "address for a prompt",
)
FILES = ("file", "unmarked file", "stream", "way round", "file for a prompt")


@cache
def told() -> Any:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_an_upload_is_scored() -> None:
    assert told()["upload"].startswith("event: complete")
    assert "bd-total" in told()["upload"]


@pytest.mark.long
@pytest.mark.parametrize("kind", ADDRESSES)
def test_a_picture_that_is_named_by_an_address_is_not_fetched(kind: str) -> None:
    assert told()[kind].startswith("event: error")
    assert told()["hosts"] == []


@pytest.mark.long
@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_was_not_uploaded_is_not_opened(kind: str) -> None:
    assert told()[kind].startswith("event: error")
    assert told()["copies"] == 0


@pytest.mark.long
def test_uploads_are_told_from_other_files_by_their_folder(tmp_path: Path) -> None:
    script = (
        "import os, sys; os.environ['GRADIO_TEMP_DIR'] = sys.argv[1]\n"
        "from beholder.demo.uploads import uploaded\n"
        "print(uploaded(sys.argv[1] + '/a.png'))\n"
        "uploaded(sys.argv[1] + '/../a.png')\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout.strip() == f"{tmp_path}/a.png"
    assert "only a picture that was uploaded" in done.stderr
