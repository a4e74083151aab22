"""Hosts are told apart without a look-up, and no address hides in a name."""

import pytest

from beholder.serving.hosts import is_address, is_loopback, is_name


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0::1",
        "::ffff:127.0.0.1",
    ],
)
def test_this_machine_has_several_spellings(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "0.0.0.0",
        "::",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "127.1",  # a resolver may read it as loopback, but need not
        "2130706433",
        "0x7f000001",
        "[::1]",
        "localhost..",
        "lоcalhost",  # noqa: RUF001  (a Cyrillic letter)
    ],
)
def test_what_is_not_surely_this_machine_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["1.2.3.4", "::1", "2001:db8::1", "::ffff:1.2.3.4"])
def test_an_address_is_no_name(host: str) -> None:
    assert is_address(host)
    assert not is_name(host)


@pytest.mark.parametrize("host", ["a", "cdn.example.org", "xn--mnchen-3ya.de", "my_host", "a1.2b"])
def test_a_name_is_no_address(host: str) -> None:
    assert is_name(host)
    assert not is_address(host)


@pytest.mark.parametrize(
    "host",
    [
        *["", ".", "a..b", ".a", "a.", "-a", "a-", "a b", "a/b", "a%2eb", "münchen.de", "a\n"],
        *[
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "1.2.3.4.5",
            "a.0x1f",
            "fe80::1%eth0",
        ],
        *["a" * 64, ".".join(["a" * 60] * 5)],
    ],
)
def test_what_a_resolver_could_read_otherwise_is_neither(host: str) -> None:
    assert not is_name(host)
    assert not is_address(host)
