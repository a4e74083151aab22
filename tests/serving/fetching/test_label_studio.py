"""Of Label Studio, pictures alone are asked for, and its token is exchanged where it must be."""

import asyncio
import json

import pytest

from beholder.errors import DataError
from beholder.serving._fetching import label_studio
from beholder.serving._fetching.label_studio import LabelStudio
from beholder.serving.web_address import WebAddress, web_address

ROOT = "https://studio.example/sub"


@pytest.mark.parametrize(
    "path",
    [
        "/data/upload/1/a.png",
        "/data/local-files/?d=set/a.png",
        "/storage-data/uploaded/?filepath=a",
        "/static/samples/sample.jpg",
        "/tasks/12/resolve/?fileuri=czM6",
        "/projects/3/presign/?fileuri=czM6",
    ],
)
def test_these_addresses_are_pictures(path: str) -> None:
    assert LabelStudio(ROOT, "x").has(web_address(ROOT + path))
    assert not LabelStudio(ROOT, "x").has(web_address(f"https://studio.example{path}"))
    assert not LabelStudio(ROOT, "x").has(web_address(f"http://studio.example/sub{path}"))


@pytest.mark.parametrize(
    "path",
    [
        *[
            "",
            "/",
            "/data/",
            "/data",
            "/api/projects/",
            "/user/login/",
            "/admin/data/a",
            "/tasks/x/resolve/a",
        ],
        *[
            "/data/../api/x",
            "/data/%2e%2e/api/x",
            "/data/..%2fapi/x",
            "/data/a/%2E%2E",
            "/data/..%5capi",
        ],
        *["/database/a", "/tasks/1/annotations/a", "/sub/data/a"],
    ],
)
def test_all_others_are_not(path: str) -> None:
    assert not LabelStudio(ROOT, "x").has(web_address(ROOT + path))


def exchanged(answer: bytes, times: int = 1) -> tuple[list[dict[str, str]], list[str]]:
    """The headers of requests one after the other, and what was posted where."""
    posted = []

    async def post(address: WebAddress, content: bytes) -> bytes:
        posted.append(f"{address} {json.loads(content)['refresh']}")
        return answer

    async def run() -> list[dict[str, str]]:
        studio = LabelStudio(ROOT, "a.b.c")
        return [await studio.headers(post) for _ in range(times)]

    return asyncio.run(run()), posted


def test_a_personal_token_is_exchanged_and_kept_for_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers, posted = exchanged(b'{"access": "d.e.f"}', times=3)
    assert headers == [{"Authorization": "Bearer d.e.f"}] * 3
    assert posted == [f"{ROOT}/api/token/refresh/ a.b.c"]
    monkeypatch.setattr(label_studio, "_ACCESS_SECONDS", 0.0)
    assert len(exchanged(b'{"access": "d.e.f"}', times=3)[1]) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"access": 1}',
        b'{"access": "a b"}',
        b'{"access": "x\\r\\ny.y.y"}',
        b"[" * 9999,
    ],
)
def test_an_answer_that_is_no_token_is_not_sent_on(answer: bytes) -> None:
    with pytest.raises(DataError, match="LABEL_STUDIO_API_KEY"):
        exchanged(answer)
