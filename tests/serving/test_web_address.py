"""An address is read once, and what cannot be read in one way is refused."""

import pytest

from beholder.errors import DataError
from beholder.serving.web_address import WebAddress, web_address


def test_parts_are_as_they_are_sent() -> None:
    address = web_address("HTTPS://CDN.Example.org:8443/a%20b/ü.png?size=1#part")
    assert address == WebAddress("https", "cdn.example.org", 8443, "/a%20b/%C3%BC.png?size=1")
    assert str(address) == "https://cdn.example.org:8443/a%20b/%C3%BC.png?size=1"
    assert address.authority == "cdn.example.org:8443"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("http://example.org", "example.org", 80),
        ("https://example.org/", "example.org", 443),
        ("https://example.org:443", "example.org", 443),
        ("http://example.org./", "example.org", 80),
        ("http://münchen.de/", "xn--mnchen-3ya.de", 80),
        ("http://ex。ample.com/", "ex.ample.com", 80),  # an ideographic full stop
        ("http://[2001:0DB8:0::1]:81/", "2001:db8::1", 81),
    ],
)
def test_one_host_has_one_spelling(text: str, host: str, port: int) -> None:
    address = web_address(text)
    assert (address.host, address.port, address.target) == (host, port, "/")


def test_the_usual_port_is_not_named_and_six_has_brackets() -> None:
    assert web_address("https://[2001:db8::1]/x").authority == "[2001:db8::1]"
    assert web_address("http://a.example:8080/x").root == "http://a.example:8080"
    assert web_address("http://a.example/x").origin == ("http", "a.example", 80)


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "cdn.example.org/a.png",
            "//cdn.example.org/a.png",
            "/a.png",
            "http:a.png",
            "http:///a",
        ],
        *[
            "ftp://a.example/",
            "file:///etc/passwd",
            "gopher://a.example/",
            "data:image/png;base64,AA",
        ],
        *["javascript:alert(1)", "unix:/run/docker.sock", "http+unix://%2Frun/x"],
        *["http://me:secret@a.example/", "http://me@a.example/", "http://@a.example/"],
        *[
            "http://a.example\\@b.example/",
            "http://a.example/\r\nX: y",
            "http://a.example /",
            "http://a\t.b/",
        ],
        *[
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://0/",
        ],
        *[
            "http://\uff11\uff12\uff17.0.0.1/",
            "http://ⓛocalhost/",
            "http://a..b/",
            "http://exa%6dple.com/",
        ],
        *["http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1/", "http://[v1.x]/"],
        *[
            "http://a.example:0/",
            "http://a.example:65536/",
            "http://a.example:x/",
            "http://a.example:-1/",
        ],
        "http://a.example/" + "a" * 5000,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_and_never_quoted(text: str) -> None:
    with pytest.raises(DataError) as caught:
        web_address(text)
    assert "secret" not in str(caught.value)
    assert "a.example" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b", "https://a.example:8443/b"),
        ("b?x=1", "https://a.example:8443/dir/b?x=1"),
        ("../../../b", "https://a.example:8443/b"),
        ("//b.example/c", "https://b.example/c"),
        ("http://b.example", "http://b.example/"),
        ("?y", "https://a.example:8443/dir/a?y"),
    ],
)
def test_a_redirect_is_relative_to_where_it_stands(location: str, expected: str) -> None:
    base = web_address("https://a.example:8443/dir/a")
    assert str(web_address(location, base)) == expected


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://x:y@b.example/", "//127.1/", "a\nb"]
)
def test_a_redirect_is_checked_as_any_address(location: str) -> None:
    with pytest.raises(DataError):
        web_address(location, web_address("https://a.example/"))
