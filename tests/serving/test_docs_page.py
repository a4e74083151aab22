"""The page on how to ask: complete, offline, and deaf to markup in what it shows."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient
from typing_extensions import override

from beholder.serving.docs_page import page
from tests.serving.clients import TOKEN, client_of, context_of


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of(context_of())


class Read(HTMLParser):
    """Tags, addresses that a browser would follow, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [of or "" for key, of in attrs if key in ("href", "src", "action")]

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_operation_and_status_of_the_document_is_shown(client: TestClient) -> None:
    read = Read(client.get("/docs").text)
    document = client.get("/openapi.json").json()
    shown = re.findall(r"(GET|POST)\s+(/\S*)", read.text)
    expected = [(m.upper(), path) for path, of in document["paths"].items() for m in of]
    assert sorted(shown) == sorted(expected)
    for meaning in ("The queue is full", "p_misaligned", "multipart/form-data", '"integer"'):
        assert meaning in read.text


def test_the_page_asks_nothing_of_any_network_and_runs_nothing(client: TestClient) -> None:
    response = client.get("/docs")
    read = Read(response.text)
    assert not read.tags & {"script", "img", "iframe", "form", "object", "base"}
    assert all(link.startswith(("#", "data:")) for link in read.links)
    policy = response.headers["content-security-policy"]
    style = re.search(r"<style>(.*?)</style>", response.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "script-src" not in policy
    assert " style=" not in response.text


def test_fields_of_a_form_and_the_order_of_a_size_are_told(client: TestClient) -> None:
    text = " ".join(Read(client.get("/docs").text).text.split())
    assert "fields of a form are image, prompt, reward and detail, and each may be sent" in text
    assert "asks multipart/form-data; a field in [ ] may be sent several times" in text
    assert "size is [height, width]" in text


@pytest.mark.parametrize("secured", [False, True])
def test_a_token_is_spoken_of_where_one_is_needed_and_never_shown(secured: bool) -> None:
    text = client_of(context_of(token=TOKEN if secured else "")).get("/docs").text
    assert ("BEHOLDER_TOKEN" in text) == secured
    assert TOKEN not in text


def test_markup_in_the_document_stays_text() -> None:
    evil = "<script>alert(1)</script>"
    schema = {"type": "object", "properties": {evil: {"type": "string"}}}
    operation = {
        "tags": [evil],
        "description": evil,
        "requestBody": {"content": {evil: {"schema": schema}}},
        "responses": {"200": {"description": evil}},
    }
    html = page({"info": {"version": evil}, "paths": {evil: {"get": operation}}}, secured=False)
    read = Read(html)
    assert "script" not in read.tags
    assert read.text.count(evil) == 7
