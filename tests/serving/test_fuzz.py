"""Bodies and pictures that nobody should send: each has its one answer, with the right status."""

import base64
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import beholder
from beholder.errors import ImageError
from beholder.images import read_image
from beholder.rewards import Reward
from beholder.serving.app import create_app
from beholder.serving.context import Context
from beholder.serving.guards import guarded
from beholder.serving.items import Fault, Picture
from beholder.serving.metrics import Metrics
from beholder.serving.settings import Access, PoolSettings, RequestLimits, ServeSettings
from tests.odd_pictures import write_odd_pictures
from tests.serving.in_process import Asking, EngineBackend, Response, asking

# beartype draws from `random` in the engine's threads while hypothesis watches it here
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

T = TypeVar("T")

SHORT = 150
LIMITS = RequestLimits(body=96 * 2**20, items=6, prompt=300)
PROTOCOLS = ("/score", "/compute", "/predict", "/setup", "/webhook", "/tiny/score", "/v1/reload")
BOUNDARY = "frontier"
NONE: frozenset[int] = frozenset()
EXAMPLES = pytest.mark.parametrize(
    "examples", [SHORT, pytest.param(2_000, marks=pytest.mark.long)], ids=["short", "long"]
)
"""Five tests of so many: the long ones are ten thousand."""


class Nowhere:
    """Fetches nothing."""

    async def fetch(self, url: str) -> Picture | Fault:
        return Fault("url", "not allowed")


@pytest.fixture(scope="module")
def tiny() -> Reward:
    return beholder.load("tiny")


@pytest.fixture(scope="module")
def server(tiny: Reward) -> Iterator[Asking]:
    backend = EngineBackend({"tiny": tiny})
    served = ServeSettings(pool=PoolSettings(workers=()), access=Access(), limits=LIMITS)
    context = Context(backend=backend, settings=served, metrics=Metrics(), fetch=Nowhere())
    with asking(guarded(create_app(context), context)) as found:
        yield found
    backend.close()
    assert backend.broke == []


def fuzzed(strategy: st.SearchStrategy[T], check: Callable[[T], None], examples: int) -> None:
    """Check so many examples, the same ones every time."""

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(example: T) -> None:
        check(example)

    run()


def encoded(kind: str, **options: Any) -> bytes:
    y, x = np.mgrid[0:11, 0:14]
    pixels = np.stack([x * 17, y * 20, x * y], axis=2).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


FILES = [
    encoded("JPEG"),
    encoded("JPEG", progressive=True),
    encoded("PNG"),
    encoded("WEBP"),
    encoded("WEBP", lossless=True),
    encoded("GIF"),
    encoded("BMP"),
]


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes with some changed, cut out or put in; now and then the whole."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from([0, 1, 1, 2, 8, len(data)]))
        data[at : at + length] = draw(st.binary(max_size=8))
    return bytes(data)


pictures = broken(st.sampled_from(FILES))
texts = st.text(max_size=12) | st.sampled_from(
    ["", "a fox", "\ud800", "\0", "<|endoftext|>", "x" * 400]
)
base64s = pictures.map(lambda data: base64.b64encode(data).decode())
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of these keys, each mostly of its kind."""
    return st.fixed_dictionaries({}, optional={k: v | anything for k, v in fields.items()})


sides = st.integers(-1, 5) | st.just(10**9)
bare = some(
    data=st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()),
    dtype=st.sampled_from(["uint8", "float32", "object"]),
    height=sides,
    width=sides,
)
items = some(image=base64s, prompt=texts, pixels=bare, image_url=st.just("http://127.0.0.1/a.png"))
whole_items = st.fixed_dictionaries({"image": base64s}, optional={"prompt": texts})
asked = some(
    items=st.lists(items | whole_items, max_size=7),
    rewards=st.lists(st.sampled_from(["tiny", "tiny", "mps", ""]), max_size=3),
    detail=st.lists(st.sampled_from(["maps", "words", "deviations", "weights"]), max_size=3),
)
right = st.fixed_dictionaries(
    {"items": st.lists(whole_items, min_size=1, max_size=6)},
    optional={"rewards": st.just(["tiny"]), "detail": st.just(["maps", "words"])},
)
turns = st.lists(some(text=texts, image_b64=base64s), max_size=2)
unirl = some(
    protocol_version=st.just("1"),
    requests=st.lists(
        some(history=turns, required_rewards=st.lists(st.just("tiny"), max_size=2)), max_size=4
    ),
)
flow_factory = some(prompt=st.lists(texts, max_size=4), image=st.lists(base64s, max_size=4))
label_studio = some(
    schema=st.just("<View/>") | texts,
    label_config=st.just("<View/>") | texts,
    tasks=st.lists(some(id=st.integers(), data=anything), max_size=3),
    project=texts,
    action=texts,
)


def check_v1(response: Response, count: int | None = None, *, more: frozenset[int] = NONE) -> None:
    """Refused in the one shape for that, or a finite number xor a reason for every picture."""
    assert response.status in {200, 413, 415, 422} | more, response.body
    told = response.json()
    if response.status != 200:
        check_refusal(told)
        return
    assert count is None or len(told["results"]) == count
    for result in told["results"]:
        assert result["scores"].keys() ^ result["errors"].keys() == {"tiny"}
        for score in result["scores"].values():
            assert math.isfinite(score["total"])
        for fault in result["errors"].values():
            assert "Traceback" not in fault["message"]


def check_refusal(told: Any) -> None:
    assert told.keys() == {"error", "request_id"}
    assert told["error"].keys() == {"code", "message"}
    assert "Traceback" not in told["error"]["message"]


@EXAMPLES
def test_json_that_is_nearly_right_is_scored_or_refused(server: Asking, examples: int) -> None:
    seen: Counter[int] = Counter()

    def check(document: Any) -> None:
        response = server.post("/v1/score", json.dumps(document).encode())
        given = document.get("items") if isinstance(document, dict) else None
        check_v1(response, len(given) if isinstance(given, list) else None)
        seen[response.status] += 1

    fuzzed(right | asked | anything, check, examples)
    assert seen[200] >= examples // 10
    assert seen[422] >= examples // 5


def form(parts: list[tuple[str, bytes]]) -> bytes:
    lines = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (BOUNDARY.encode(), name.encode(), b'; filename="a"' if name == "image" else b"", data)
        for name, data in parts
    ]
    return b"".join([*lines, f"--{BOUNDARY}--\r\n".encode()])


names = st.sampled_from(["image", "image", "prompt", "reward", "detail", "other"])
parts = st.tuples(names, pictures | texts.map(lambda t: t.encode(errors="replace")))
kinds = st.sampled_from([f"multipart/form-data; boundary={BOUNDARY}"] * 4) | st.sampled_from(
    [
        "multipart/form-data",
        "application/json",
        "text/plain",
        "",
        "application/json; charset=latin1",
    ]
)
bodies = st.lists(parts, max_size=8).map(form)


@EXAMPLES
def test_broken_forms_and_bytes_are_scored_or_refused(server: Asking, examples: int) -> None:
    def check(given: tuple[bytes, str]) -> None:
        body, kind = given
        check_v1(server.post("/v1/score", body, kind))

    fuzzed(st.tuples(broken(bodies) | st.binary(max_size=64), kinds), check, examples)


lines = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
headers = st.fixed_dictionaries(
    {},
    optional={
        "host": lines | st.sampled_from(["localhost", "127.0.0.1:1", "[::1]:8000", "evil.example"]),
        "content-length": lines | st.integers(-1, 2**70).map(str),
        "content-encoding": lines | st.sampled_from(["identity", "gzip"]),
        "authorization": lines | st.sampled_from(["Bearer x", "Basic !!!", "Basic eDp5"]),
        "origin": lines | st.sampled_from(["null", "http://evil.example"]),
        "sec-fetch-site": st.sampled_from(["none", "same-origin", "cross-site"]),
        "x-request-id": lines | st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z"),
    },
)


@EXAMPLES
def test_no_header_is_trusted_or_fatal(server: Asking, examples: int) -> None:
    body = json.dumps({"items": [{"image": base64.b64encode(FILES[0]).decode()}]}).encode()

    def check(given: dict[str, str]) -> None:
        response = server.post("/v1/score", body, **given)
        check_v1(response, 1, more=frozenset({400, 401, 403}))
        answered = response.headers["x-request-id"]
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", answered)
        asked_for = given.get("x-request-id", "")
        assert (answered == asked_for) == bool(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", asked_for))

    fuzzed(headers, check, examples)


@EXAMPLES
def test_other_protocols_never_fail_for_what_they_are_sent(server: Asking, examples: int) -> None:
    def check(given: tuple[str, Any]) -> None:
        path, document = given
        response = server.post(path, json.dumps(document).encode())
        assert response.status in {200, 201, 400, 403, 404, 413, 415, 422}, response.body
        assert b"Traceback" not in response.body
        if response.status not in {200, 201}:
            check_refusal(response.json())
        elif response.body:
            response.json()

    documents = unirl | flow_factory | label_studio | anything
    fuzzed(st.tuples(st.sampled_from(PROTOCOLS), documents), check, examples)


@EXAMPLES
def test_broken_pictures_are_scored_as_at_home_or_have_the_same_fault(
    server: Asking, tiny: Reward, examples: int
) -> None:
    seen: Counter[str] = Counter()
    fuzzed(pictures, lambda picture: seen.update([as_at_home(server, tiny, picture)]), examples)
    assert seen["scored"] >= examples // 20
    assert seen.keys() > {"scored", "format"}


def as_at_home(server: Asking, tiny: Reward, picture: bytes) -> str:
    """The code of its fault, which is the same here and there; "scored" if there is none."""
    (result,) = score(server, picture)
    expected = at_home(tiny, picture)
    if isinstance(expected, float):
        assert result["scores"]["tiny"]["total"] == pytest.approx(expected, abs=1e-5)
        return "scored"
    assert result["errors"]["tiny"]["code"] == expected
    return expected


def score(server: Asking, picture: bytes) -> Any:
    item = {"image": base64.b64encode(picture).decode(), "prompt": "a fox"}
    response = server.post("/v1/score", json.dumps({"items": [item]}).encode())
    assert response.status == 200, response.body
    return response.json()["results"]


def at_home(tiny: Reward, picture: bytes) -> float | str:
    """The score of the bytes, or the code of what is wrong with them."""
    try:
        return tiny.score(read_image(picture), "a fox").total.item()
    except ImageError as error:
        return error.code


def test_odd_pictures_give_over_http_what_they_give_at_home(
    server: Asking, tiny: Reward, tmp_path: Path
) -> None:
    seen = 0
    for odd in write_odd_pictures(tmp_path):
        path = tmp_path / odd.name
        if not path.is_file() or odd.code == "not-a-file":
            continue
        seen += 1
        assert as_at_home(server, tiny, path.read_bytes()) == (odd.code or "scored")
    assert seen > 60
