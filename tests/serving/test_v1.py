"""The server's own protocol, asked as clients ask."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from typing_extensions import override

from beholder.errors import WeightsError
from beholder.rewards._remote.identity import HEADER, digest_of, digests_in
from beholder.serving.context import Context
from beholder.serving.items import Answer, Fault, Item, Map, Picture, RewardInfo, Scored, Word
from beholder.serving.settings import RequestLimits
from tests.serving.clients import (
    TOKEN,
    NoPictures,
    client_of,
    context_of,
    counted,
    file,
    posted,
    sent,
)
from tests.serving.fakes import FakeBackend, info, png

PIXELS = "application/x-beholder-pixels; dtype={}; height={}; width={}"


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of(context_of())


def test_pictures_are_scored_in_order_and_a_bad_one_has_its_error() -> None:
    backend = FakeBackend(names=("light", "other"))
    items = [{"image": file(51), "prompt": "a"}, {"image": "?"}, {"image": file(102)}]
    status, document = posted(client_of(context_of(backend)), {"items": items})
    assert status == 200
    good, bad, last = document["results"]
    assert good["scores"]["light"] == {
        "total": pytest.approx(0.2),
        "aspects": {"red": pytest.approx(0.2)},
        "size": [4, 4],
    }
    assert (list(good["scores"]), good["errors"]) == (["light"], {})
    assert (bad["scores"], bad["errors"]["light"]["code"]) == ({}, "base64")
    assert last["scores"]["light"]["total"] == pytest.approx(0.4)
    assert [item.prompt for item in backend.asked] == ["a", None, None]


def test_every_reward_that_is_named_answers() -> None:
    client = client_of(context_of(FakeBackend(names=("light", "other"))))
    items = [{"image": file()}]
    _, document = posted(client, {"items": items, "rewards": ["other", "light", "other"]})
    assert list(document["results"][0]["scores"]) == ["other", "light"]
    status, document = posted(client, {"items": items, "rewards": ["none\x07"]})
    assert (status, document["error"]["code"]) == (422, "malformed")
    assert document["error"]["message"].endswith(r"as 'none\x07'; served: light, other")


def test_a_form_of_files_and_pixels_is_scored_as_json_is() -> None:
    rows = np.full((2, 3, 3), 0.5, "<f4")
    files: list[tuple[str, tuple[str | None, bytes, str] | tuple[None, str]]] = [
        ("image", ("a.png", png(51), "image/png")),
        ("image", ("0", rows.tobytes(), PIXELS.format("float32", 2, 3))),
        ("image", ("0", bytes([102] * 18), PIXELS.format("uint8", 3, 2))),
        ("image", ("0", bytes(17), PIXELS.format("uint8", 3, 2))),
        ("prompt", (None, "first\r\nline")),
        *[("prompt", (None, text)) for text in ("", "3", "4")],
        ("reward", (None, "light")),
    ]
    backend = FakeBackend()
    response = client_of(context_of(backend)).post("/v1/score", files=files)
    assert response.status_code == 200, response.text
    results = response.json()["results"]
    totals = [result["scores"]["light"]["total"] for result in results[:3]]
    assert totals == pytest.approx([0.2, 0.5, 0.4])
    assert [result["scores"]["light"]["size"] for result in results[1:3]] == [[2, 3], [3, 2]]
    assert results[3]["errors"]["light"]["code"] == "shape"
    assert [item.prompt for item in backend.asked] == ["first\r\nline", "", "3", "4"]


@dataclass
class Telling(FakeBackend):
    """Tells the numbers that it is given, with every detail."""

    numbers: Sequence[float] = ()

    @override
    async def score(self, items: Sequence[Item], *, timeout: float) -> list[Answer]:
        return [Answer(scores={"light": self._told(number)}) for number in self.numbers]

    def _told(self, number: float) -> Scored:
        return Scored(
            total=number,
            aspects={"red": number, "blue": None},
            deviations={"red": number},
            maps={"implausibility": Map(1, 2, np.array([0, 1], "<f4").tobytes())},
            words=[Word("fox", 0, 3, number), Word("\ud800", 4, 5, number)],
            size=(1, 2),
        )


def test_float32_come_back_as_they_were() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 400, np.uint32)
    numbers = bits.view(np.float32)
    numbers = numbers[np.isfinite(numbers)][:256].astype(float)
    items = [{"image": ""}] * len(numbers)
    _, document = posted(client_of(context_of(Telling(numbers=numbers.tolist()))), {"items": items})
    back = [result["scores"]["light"]["total"] for result in document["results"]]
    assert back == numbers.tolist()
    assert np.array(back, np.float32).tolist() == numbers.tolist()


def test_details_are_told_when_asked_for_and_only_then() -> None:
    client = client_of(context_of(Telling(numbers=[0.5])))

    def told(*detail: str) -> dict[str, Any]:
        _, document = posted(client, {"items": [{"image": ""}], "detail": detail})
        scored = document["results"][0]["scores"]["light"]
        assert scored.pop("aspects") == {"red": 0.5, "blue": None}
        return {key: of for key, of in scored.items() if key not in ("total", "size")}

    assert told() == {}
    assert told("deviations") == {"deviations": {"red": 0.5}}
    heat = base64.b64encode(np.array([0, 1], "<f4").tobytes()).decode()
    assert told("maps") == {"maps": {"implausibility": {"height": 1, "width": 2, "data": heat}}}
    fox, lone = told("words")["words"]
    assert fox == {"word": "fox", "start": 0, "end": 3, "p_misaligned": 0.5}
    assert lone["word"] == "\ud800"


@dataclass
class Reloading(FakeBackend):
    """Its weights are loaded anew while it scores."""

    loaded: int = 0

    @property
    @override
    def rewards(self) -> Mapping[str, RewardInfo]:
        of = replace(info("light"), identity={"weights": str(self.loaded)})
        return {"light": of, "same": info("same")}

    @override
    async def score(self, items: Sequence[Item], *, timeout: float) -> list[Answer]:
        self.loaded += 1
        return await super().score(items, timeout=timeout)


def test_the_header_tells_which_model_answered_or_that_it_changed_meanwhile() -> None:
    asked = {"items": [{"image": file()}], "rewards": ["light", "same"]}
    same = digest_of(info("same").identity)
    response = client_of(context_of(Reloading())).post("/v1/score", json=asked)
    assert digests_in(response.headers[HEADER]) == {"light": "changed", "same": same}
    still = client_of(context_of(FakeBackend(names=("light", "same"))))
    headers = still.post("/v1/score", json=asked).headers
    assert digests_in(headers[HEADER]) == dict.fromkeys(("light", "same"), same)


class OnePicture(NoPictures):
    """Has one address."""

    @override
    async def fetch(self, url: str) -> Picture | Fault:
        known = url == "https://cdn.example/a.png"
        return Picture(data=png(51)) if known else Fault("url", "refused")


def test_pictures_at_an_address_are_fetched_by_what_may_fetch() -> None:
    urls = ["https://cdn.example/b.png", "https://cdn.example/a.png"]
    items = [{"image": file(102)}, *({"image_url": url} for url in urls)]
    _, document = posted(client_of(context_of(fetch=OnePicture())), {"items": items})
    first, refused, found = document["results"]
    assert first["scores"]["light"]["total"] == pytest.approx(0.4)
    assert refused["errors"]["light"] == {"code": "url", "message": "refused"}
    assert found["scores"]["light"]["total"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("context", "body", "status", "code"),
    [
        (context_of(), {"items": []}, 422, "malformed"),
        (context_of(), [], 422, "malformed"),
        (context_of(limits=RequestLimits(items=1)), None, 413, "too-large"),
        (context_of(FakeBackend(queue=1)), None, 429, "queue-full"),
        (context_of(FakeBackend(unready_because="draining")), None, 503, "not-ready"),
        (context_of(FakeBackend(names=(), unready_because="loading")), None, 503, "not-ready"),
        (context_of(FakeBackend(seconds=30), timeout=0.01), None, 504, "deadline"),
    ],
)
def test_a_request_that_is_refused_has_the_status_that_says_why(
    context: Context, body: object, status: int, code: str
) -> None:
    two = {"items": [{"image": file()}] * 2}
    got, document = posted(client_of(context), two if body is None else body)
    assert (got, document["error"]["code"]) == (status, code)
    assert len(document["request_id"]) == 32
    assert counted(context, f'beholder_http_rejections_total{{code="{code}"}} 1.0')


@pytest.mark.parametrize("status", [429, 503])
def test_who_may_come_again_is_told_when(status: int) -> None:
    backend = FakeBackend(queue=0) if status == 429 else FakeBackend(unready_because="loading")
    response = client_of(context_of(backend)).post("/v1/score", json={"items": [{"image": ""}]})
    assert (response.status_code, response.headers["Retry-After"]) == (status, "1")


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"{}", 415),
        ("application/octet-stream", b"\x80\x04K\x01.", 415),
        ("application/x-www-form-urlencoded", b"image=a", 415),
        ("multipart/mixed; boundary=b", b"--b--", 415),
        ("multipart/form-data", b"--b--", 422),
        ("multipart/form-data; boundary=", b"--b--", 422),
        ("multipart/form-data; boundary=b", b"--b--", 422),
        ("multipart/form-data; boundary=b", b"", 422),
        ("application/json", b"", 422),
        ("application/json", b"\xff\xfe", 422),
        ("application/json", b"[" * 100_000, 422),
    ],
)
def test_bodies_of_no_kind_or_no_sense_are_refused(
    client: TestClient, kind: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": kind}
    response = client.post("/v1/score", content=body, headers=headers)
    assert response.status_code == status
    assert set(response.json()) == {"error", "request_id"}


def test_ten_thousand_parts_and_bombs_are_too_large(client: TestClient) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="reward"\r\n\r\nx\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    many = client.post("/v1/score", content=part * 10_000 + b"--b--", headers=headers)
    assert many.status_code == 413
    assert sent(client, b"[" + b"[]," * 2**20)[0] == 413


def test_a_large_body_is_understood_like_a_small_one(client: TestClient) -> None:
    noise = base64.b64encode(np.random.default_rng(0).bytes(600_000)).decode()
    items = [{"image": noise}, {"image": file(51)}]
    _, document = posted(client, {"items": items})
    first, second = document["results"]
    assert first["errors"]["light"]["code"] == "format"
    assert second["scores"]["light"]["total"] == pytest.approx(0.2)


def test_what_is_served_is_told_the_default_first() -> None:
    client = client_of(context_of(FakeBackend(names=("mps", "hps"))))
    listed = client.get("/v1/rewards").json()["rewards"]
    assert [reward["name"] for reward in listed] == ["mps", "hps"]
    assert client.get("/v1/rewards/hps").json() == listed[1]
    assert listed[1]["identity"] == dict(info("hps").identity)
    missing = client.get("/v1/rewards/clip")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown-reward")
    loading = client_of(context_of(FakeBackend(names=(), unready_because="loading")))
    assert loading.get("/v1/rewards").status_code == 503


@dataclass
class Broken(FakeBackend):
    @override
    async def reload(self) -> None:
        raise WeightsError("model.safetensors is damaged")


def test_weights_are_loaded_anew_only_where_a_token_guards() -> None:
    backend = FakeBackend()
    open_to_all = client_of(context_of(backend)).post("/v1/reload")
    assert (open_to_all.status_code, backend.reloads) == (403, 0)
    guarded = client_of(context_of(backend, token=TOKEN)).post("/v1/reload")
    assert (guarded.json(), backend.reloads) == ({"rewards": ["light"]}, 1)
    failed = client_of(context_of(Broken(), token=TOKEN)).post("/v1/reload")
    assert (failed.status_code, failed.json()["error"]["code"]) == (409, "reload-failed")
