"""Addresses: read one way however they are written, refused where they would tell a secret."""

import pytest

from beholder.errors import ConfigError
from beholder.rewards._remote.address import is_loopback, parsed


@pytest.mark.parametrize(
    ("text", "base", "host", "reward"),
    [
        ("http://host:8000/mps", "http://host:8000", "host", "mps"),
        ("HTTP://Host:8000/mps/", "http://host:8000", "host", "mps"),
        ("http://host:80/mps", "http://host", "host", "mps"),
        ("https://host:443//mps", "https://host", "host", "mps"),
        ("https://host:80/mps", "https://host:80", "host", "mps"),
        ("http://host:8000", "http://host:8000", "host", ""),
        ("http://host:8000/", "http://host:8000", "host", ""),
        ("https://gpu.example.org/rewards/mps", "https://gpu.example.org/rewards", None, "mps"),
        ("https://h/v1/mps", "https://h/v1", "h", "mps"),
        ("https://h/a/b.c~d/x_1-2.3", "https://h/a/b.c~d", "h", "x_1-2.3"),
        ("http://[::1]:8000/mps", "http://[::1]:8000", "::1", "mps"),
        ("http://[2001:DB8::1]/mps", "http://[2001:db8::1]", "2001:db8::1", "mps"),
        ("http://host./mps", "http://host", "host", "mps"),
    ],
)
def test_an_address_is_a_server_and_a_reward(
    text: str, base: str, host: str | None, reward: str
) -> None:
    found = parsed(text)
    assert (found.base, found.reward) == (base, reward)
    assert host is None or found.host == host
    assert parsed(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "http://",
        "http:///mps",
        "http://:8000/mps",
        "http://host:port/mps",
        "http://host:99999/mps",
        "http://host:0/mps",
        "http://[::1/mps",
        "http://host/m ps",
        "http://host/mps\n",
        "http://ho\tst/mps",
        "http://hôte/mps",
        "http://host\\evil/mps",
        "http://ho%73t/mps",
        "http://host,other/mps",
        "http://host/../mps",
        "http://host/a/..",
        "http://host/a%2fb/m%70s",
        "http://host/mps?x=1",
        "http://host/mps#x",
        "http://host/" + "m" * 65,
    ],
)
def test_what_is_no_address_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(ConfigError, match="http://host:port/reward"):
        parsed(text)


@pytest.mark.parametrize(
    "route", ["/v1/score", "/v1/score/", "/v1", "/v1/rewards", "/v1/rewards/mps", "/v1/reload"]
)
def test_a_route_is_to_be_left_out(route: str) -> None:
    told = f"without {route.rstrip('/')}: http://host:8000/below/reward$"
    with pytest.raises(ConfigError, match=told):
        parsed(f"http://host:8000/below{route}")


@pytest.mark.parametrize("text", ["http://me:SECRET@host/mps", "http://SECRET@host/mps"])
def test_a_password_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="BEHOLDER_TOKEN") as caught:
        parsed(text)
    assert "SECRET" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        parsed(text.replace("host", "host:port"))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loops"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_this_machine_is_known_by_its_names_and_numbers(host: str, loops: bool) -> None:
    assert is_loopback(host) is loops


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("http://localhost/mps", False),
        ("http://[::1]/mps", False),
        ("https://host/mps", False),
        ("http://host/mps", True),
        ("http://10.0.0.1/mps", True),
    ],
)
def test_plain_http_to_others_is_open(text: str, is_open: bool) -> None:
    assert parsed(text).is_open is is_open
