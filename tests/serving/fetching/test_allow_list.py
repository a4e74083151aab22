"""An entry of the list means one host, or all hosts under one, at one port."""

import pytest

from beholder.serving._fetching.allow_list import is_allowed
from beholder.serving.web_address import web_address

ALLOWED = ("cdn.example.org", "*.pictures.example:8443", "[2001:db8::1]", "1.2.3.4:81")


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example.org/a",
        "https://cdn.example.org/a",
        "https://CDN.example.org.:443/",
        "https://a.pictures.example:8443/",
        "http://a.b.pictures.example:8443/",
        "https://[2001:db8:0::1]/",
        "http://1.2.3.4:81/",
    ],
)
def test_these_are_meant(url: str) -> None:
    assert is_allowed(web_address(url), ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example.org:443/",
        "https://cdn.example.org:80/",
        "https://a.cdn.example.org/",
        "https://xcdn.example.org/",
        "https://cdn.example.org.evil.example/",
        "https://pictures.example:8443/",
        "https://xpictures.example:8443/",
        "https://a.pictures.example/",
        "https://a.pictures.example:8444/",
        "http://[2001:db8::2]/",
        "http://1.2.3.4/",
        "http://11.2.3.4:81/",
    ],
)
def test_these_are_not(url: str) -> None:
    assert not is_allowed(web_address(url), ALLOWED)


def test_an_empty_list_allows_nothing() -> None:
    assert not is_allowed(web_address("https://cdn.example.org/"), ())
