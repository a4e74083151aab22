"""What a host is: an address, a name, this machine; nothing is looked up."""

from __future__ import annotations

import ipaddress
import re

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.I)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.I)
_LONGEST = 253


def is_loopback(host: str) -> bool:
    """Whether an address or name is sure to be this machine alone.

    Of names, only localhost is: what others mean, a name server decides.
    """
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_address(host: str) -> bool:
    """Whether it is an IPv4 address of four decimal numbers, or an IPv6 address of no zone."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def is_name(host: str) -> bool:
    """Whether it is a name in ASCII.

    "127.1", "2130706433" and "0x7f.1" are none: a resolver would take them for addresses.
    """
    return (
        len(host) <= _LONGEST
        and _NAME.fullmatch(host) is not None
        and not _NUMBER.fullmatch(host.rpartition(".")[2])
    )
