"""Only hosts of the public internet are public, in whatever form an address comes."""

from ipaddress import ip_address

import pytest

from beholder.serving._fetching.public_addresses import is_public

INSIDE = [
    *["0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255"],
    *["127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.169.254"],
    *["172.16.0.1", "172.31.255.255"],
    *["192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"],
    *["198.19.255.255"],
    *["198.51.100.1", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1"],
    "255.255.255.255",
    *["::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"],
    *["::ffff:8.8.8.8", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "::8.8.8.8"],
    *["64:ff9b::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::1"],
    *["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2001:10::1", "2001:20::1"],
    *["100::1", "3fff::1", "5f00::1", "4000::1", "2606:2800:21f:cb07:0:5efe:7f00:1"],
    *["2606:2800:21f:cb07:200:5efe:10.0.0.1"],
]  # fmt: skip
OUTSIDE = [
    *["1.1.1.1", "8.8.8.8", "93.184.216.34", "9.255.255.255", "11.0.0.0", "100.63.255.255"],
    *["100.128.0.0"],
    *["126.255.255.255", "128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0"],
    *["192.167.255.255"],
    *["198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.17"],
    *["2606:2800:21f:cb07::1", "2a00:1450:4001::200e", "2001:200::1", "2001:4860:4860::8888"],
    "2003::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_their_neighbours_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", INSIDE + OUTSIDE)
def test_the_list_is_at_least_as_strict_as_that_of_python(address: str) -> None:
    found = ip_address(address)
    if not found.is_global or found.is_multicast or found.is_reserved:
        assert not is_public(address)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "127.1", "2130706433", "0x7f000001", "010.0.0.1", "8.8.8.8 ", "8.8.8.8/32"],
)
def test_what_is_no_address_of_the_usual_spelling_is_not_public(text: str) -> None:
    assert not is_public(text)
