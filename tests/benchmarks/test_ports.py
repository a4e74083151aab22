"""A port that is given can be listened on."""

import socket

from benchmarks._ports import free_port


def test_a_port_that_is_given_is_free() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", free_port()))


def test_a_port_in_use_is_not_given() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        assert listening.getsockname()[1] not in {free_port() for _ in range(20)}
