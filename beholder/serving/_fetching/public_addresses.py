"""Which IP addresses are the public internet, by IANA's registries of special addresses.

https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry. The
lists stand here because what `ipaddress` calls global differs between releases of Python.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

_NOT_PUBLIC_4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by customers of a carrier; metadata of some clouds
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's own services, as seen from its machines
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
]
_GLOBAL_6 = IPv6Network("2000::/3")
"""All that is given out; beyond are loopback, v4-mapped, NAT64, unique local, link-local, …"""
_NOT_PUBLIC_6 = [
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, which holds an IPv4 address, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",  # documentation
    )
]
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""Third quarter of an address whose last quarter is an IPv4 address (RFC 5214)."""


def is_public(address: str) -> bool:
    """Whether an IP address is one host of the public internet, and hides no other address."""
    try:
        found = ip_address(address)
    except ValueError:  # also one with a zone, which is never public, in some releases of Python
        return False
    return _is_public_4(found) if isinstance(found, IPv4Address) else _is_public_6(found)


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in _NOT_PUBLIC_4)


def _is_public_6(address: IPv6Address) -> bool:
    if address.scope_id is not None or address not in _GLOBAL_6:
        return False
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return not any(address in network for network in _NOT_PUBLIC_6)
