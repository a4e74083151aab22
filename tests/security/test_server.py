"""What a stranger may try with the server: files, pickles, addresses, markup, secrets."""

import base64
import json
import logging
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from beholder.annotation.forms import pairwise
from beholder.serving.app import create_app
from beholder.serving.context import Context
from beholder.serving.fetching import Fetcher
from beholder.serving.guards import guarded
from beholder.serving.metrics import Metrics
from beholder.serving.settings import Access, PoolSettings, RequestLimits, ServeSettings
from tests.security.poison import FIRED, HOSTILE
from tests.security.test_folders import Canary
from tests.serving.fakes import FakeBackend, png

TOKEN = "sesame-" * 6
FORBIDDEN = (
    *(
        "file:///etc/passwd",
        "ftp://cdn.example/a.png",
        "gopher://127.0.0.1:25/_x",
        "//cdn.example/x",
    ),
    *("http://127.0.0.1:8000/metrics", "http://localhost/", "http://[::1]/", "http://0/"),
    *("http://169.254.169.254/latest/meta-data/", "http://2130706433/", "http://0x7f.1/"),
    *("http://[::ffff:127.0.0.1]/", "http://10.0.0.1/", "http://user:pw@cdn.example/", "http://"),
    "http://cdn.example.evil.example/a.png",
)


def asked(
    backend: FakeBackend | None = None, *, token: str = TOKEN, urls: tuple[str, ...] = ()
) -> TestClient:
    """A client of the whole server with its guards, who has the token."""
    access = Access(token=token, urls=urls, label_studio="http://labels.example:8080")
    settings = ServeSettings(pool=PoolSettings(workers=()), access=access)
    context = Context(
        backend=backend or FakeBackend(),
        settings=settings,
        metrics=Metrics(),
        fetch=Fetcher(access, RequestLimits()),
    )
    app = guarded(create_app(context), context)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return TestClient(app, "http://127.0.0.1:8000", headers=headers)


def bodies(text: str) -> Iterator[tuple[str, Any]]:
    """Each protocol's request, with a text where a picture belongs."""
    for item in ({"image": text}, {"image_url": text}):
        yield "/v1/score", {"items": [item | {"prompt": "x"}]}
    history = [{"text": "x", "image_b64": text}]
    yield "/score", {"requests": [{"history": history, "required_rewards": ["light"]}]}
    yield "/compute", {"prompt": ["x"], "image": [text]}
    data = {"task_key": "k", "prompt": "x", "image_left": text, "image_right": text}
    yield "/predict", {"tasks": [{"id": 1, "data": data}], "label_config": pairwise.FORM.xml()}


def test_no_name_in_a_request_opens_a_file(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(png(51))
    client = asked(urls=("cdn.example",))
    sent = base64.b64encode(picture.read_bytes()).decode()
    seen = client.post("/v1/score", json={"items": [{"image": sent}]})
    assert "0.2" in seen.text, "what it would look like"
    for text in (
        str(picture),
        picture.as_uri(),
        f"../../../..{picture}",
        f"data/local-files/?d={picture}",
    ):
        for path, body in bodies(text):
            answer = client.post(path, json=body)
            assert answer.status_code in {200, 422}, (path, text)
            assert "0.2" not in answer.text, (path, text)
    whole = client.post("/v1/score", files=[("image", (str(picture), b"", "image/png"))])
    assert "0.2" not in whole.text


@pytest.mark.parametrize("address", FORBIDDEN)
def test_no_address_but_those_on_the_list_is_asked(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connected(*_: object, **__: object) -> None:
        raise AssertionError(f"{address} was asked")

    monkeypatch.setattr("socket.socket.connect", connected)
    client = asked(urls=("cdn.example",))
    for path, body in bodies(address):
        answer = client.post(path, json=body)
        assert answer.status_code in {200, 422}
        assert '"total":' not in answer.text


def test_no_address_at_all_is_asked_unless_the_operator_allows_some() -> None:
    answer = asked().post("/v1/score", json={"items": [{"image_url": "https://cdn.example/a.png"}]})
    assert answer.json()["results"][0]["errors"]["light"]["code"] == "url"


def test_pickles_are_of_no_type_that_is_read(tmp_path: Path) -> None:
    canary = Canary(tmp_path)
    evil = pickle.dumps(canary)
    client = asked()
    for path, _ in bodies(""):
        for kind in ("application/octet-stream", "application/python-pickle", "application/json"):
            answer = client.post(path, content=evil, headers={"Content-Type": kind})
            assert answer.status_code in {415, 422}, (path, kind)
    client.post("/v1/score", json={"items": [{"image": base64.b64encode(evil).decode()}]})
    assert not canary.path.exists()


def test_no_answer_is_a_page_of_what_was_asked() -> None:
    client = asked()
    tries: list[Any] = [client.post(path, json=body) for path, body in bodies(HOSTILE)]
    tries += [client.get(path) for path in ("/<svg/onload=1>", f"/v1/rewards/{FIRED}<b>", "/docs")]
    tries += [client.post("/v1/score", json={"items": [], "rewards": [HOSTILE], HOSTILE: 1})]
    tries += [client.get("/healthz", headers={"X-Request-ID": "<script>"})]
    for answer in tries:
        kind = answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert kind.startswith(("application/json", "text/plain")) or answer.url.path == "/docs"
        assert "<script>" not in str(answer.headers)
        if kind.startswith("application/json"):
            json.loads(answer.text)


def test_logs_and_metrics_hold_no_prompt_no_picture_no_token_and_no_control_character(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret, picture = "a very private fox", base64.b64encode(png(77)).decode()
    client = asked()
    with caplog.at_level(logging.DEBUG, logger="beholder"):
        item = {"image": picture, "prompt": secret}
        client.post(f"/v1/score?token={TOKEN}&q=%1b[2J", json={"items": [item]})
        client.post(
            "/score", json={"requests": [{"history": [{"text": secret, "image_b64": "?"}]}]}
        )
        client.post("/setup", json={"access_token": TOKEN, "schema": secret, "hostname": "x"})
        client.get(
            "/%1b]0;x%07", headers={"Authorization": f"Bearer {TOKEN}x", "User-Agent": secret}
        )
        client.get("/x", headers={"X-Request-ID": "a\x1b[2J"})
    written = caplog.text + client.get("/metrics").text
    assert "/v1/score" in written
    assert not [part for part in (secret, picture[:40], TOKEN[:12]) if part in written]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", written)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_other_sites_are_not_heard_without_a_token(headers: dict[str, str]) -> None:
    backend = FakeBackend()
    item = {"image": base64.b64encode(png()).decode()}
    answer = asked(backend, token="").post("/v1/score", json={"items": [item]}, headers=headers)
    assert answer.status_code == 403
    assert backend.asked == []


def test_without_the_token_nothing_is_told_but_that_it_lives() -> None:
    client = asked()
    client.headers.pop("Authorization")
    ours = ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/rewards")
    others = ("/health", "/rewards", "/versions", "/nowhere")
    found = {path: client.get(path).status_code for path in (*ours, *others)}
    assert {path for path, status in found.items() if status != 401} == {"/healthz", "/readyz"}
    assert client.post("/v1/reload").status_code == 401
    wrong = client.get("/docs", headers={"Authorization": f"Bearer {TOKEN[:-1]}"})
    assert wrong.status_code == 401
    assert TOKEN not in wrong.text
