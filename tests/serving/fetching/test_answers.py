"""The connection goes to the IP address that was checked; name and certificate stay the host's."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from beholder.errors import DataError
from beholder.serving._fetching.answers import Question, asked
from beholder.serving.web_address import WebAddress
from tests.serving.fetching.hosting import Host, hosting

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nset-cookie: a=b\r\n\r\npicture"
NAME = "cdn.example.org"
NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no certificate."""


def with_headers(*lines: str, body: bytes = b"picture") -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin1") + body


async def whole(question: Question, trusted: ssl.SSLContext) -> bytes:
    async with asked(question, trusted) as answer:
        assert answer.status == 200
        return b"".join([chunk async for chunk in answer.chunks])


def got(answer: bytes, hosts: tuple[str, ...] = ("127.0.0.1",)) -> tuple[bytes, Host]:
    async def run() -> tuple[bytes, Host]:
        async with hosting(answer) as host:
            address = WebAddress("http", NAME, host.port, "/a%20b.png?x=1")
            question = Question(address=address, hosts=hosts, headers={"Authorization": "Token t"})
            return await whole(question, NOBODY), host

    return asyncio.run(run())


def test_the_host_is_asked_by_name_at_an_address_that_no_resolver_gave() -> None:
    body, host = got(OK)
    assert body == b"picture"
    (head,) = host.heads
    request, *lines = head.strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert request == "GET /a%20b.png?x=1 HTTP/1.1"
    assert headers == {
        "host": f"{NAME}:{host.port}",
        "accept": "image/*, */*;q=0.5",
        "accept-encoding": "identity",
        "connection": "close",
        "user-agent": "beholder",
        "authorization": "token t",
    }


def test_nothing_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy would ask in our name, wherever it likes."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / ".netrc").write_text(f"machine {NAME} login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    body, host = got(OK)
    assert body == b"picture"
    assert "secret" not in host.heads[0]


def test_the_next_address_is_tried_where_nobody_listens() -> None:
    with socket.socket() as taken:  # bound, and deaf
        taken.bind(("127.0.0.2", 0))
        body, host = got(OK, ("127.0.0.2", "127.0.0.1"))
    assert (body, len(host.heads)) == (b"picture", 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff" * 50,
        b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npicture",  # ends before it told
        b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\ncontent-length: 8\r\n\r\npicture",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffffffff\r\nx",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000 + b"\r\n\r\npicture",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000 + b"\r\npicture",
        with_headers("content-encoding: gzip", "content-length: 7"),
        with_headers("content-encoding: br"),
        with_headers("content-encoding: identity, gzip"),
    ],
    ids=range(11),
)  # fmt: skip
def test_an_answer_that_is_broken_huge_or_compressed_is_a_fault(answer: bytes) -> None:
    with pytest.raises(DataError):
        got(answer)


@pytest.mark.parametrize(
    "answer",
    [
        with_headers("content-encoding: identity", "content-length: 7"),
        with_headers("transfer-encoding: chunked", body=b"3\r\npic\r\n4\r\nture\r\n0\r\n\r\n"),
        with_headers(),
        b"HTTP/1.0 200 OK\r\n\r\npicture",
    ],
    ids=["identity", "chunked", "until closed", "old"],
)
def test_bytes_come_as_they_are_however_they_are_framed(answer: bytes) -> None:
    assert got(answer)[0] == b"picture"


@pytest.mark.parametrize(
    ("length", "expected"),
    [("content-length: 5\r\n", 5), ("", 0), ("transfer-encoding: chunked\r\n", 0)],
)
def test_what_is_told_of_length_and_place_is_read(length: str, expected: int) -> None:
    answer = f"HTTP/1.1 302 Found\r\nlocation: /b\r\n{length}\r\n".encode()

    async def run() -> tuple[int, str, int]:
        async with hosting(answer) as host:
            question = Question(
                address=WebAddress("http", NAME, host.port, "/"), hosts=["127.0.0.1"]
            )
            async with asked(question, NOBODY) as found:
                return found.status, found.location, found.length

    assert asyncio.run(run()) == (302, "/b", expected)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of `NAME`, signed by itself; and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "certificate.pem"
    making = [
        *[openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
        *["-nodes", "-keyout", str(key), "-out", str(file), "-days", "2", "-subj", f"/CN={NAME}"],
        *["-addext", f"subjectAltName=DNS:{NAME}"],
    ]
    subprocess.run(making, check=True, capture_output=True)
    return file, key


def over_tls(name: str, certificate: tuple[Path, Path], trusted: ssl.SSLContext) -> Host:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)

    async def run() -> Host:
        async with hosting(OK, server) as host:
            address = WebAddress("https", name, host.port, "/")
            question = Question(address=address, hosts=["127.0.0.1"])
            assert await whole(question, trusted) == b"picture"
            return host

    return asyncio.run(run())


def test_tls_asks_for_the_name_and_checks_it(certificate: tuple[Path, Path]) -> None:
    trusted = ssl.create_default_context(cafile=certificate[0])
    assert over_tls(NAME, certificate, trusted).names == [NAME]
    with pytest.raises(DataError):
        over_tls("other.example.org", certificate, trusted)


def test_a_certificate_of_nobody_that_is_known_is_refused(certificate: tuple[Path, Path]) -> None:
    with pytest.raises(DataError):
        over_tls(NAME, certificate, NOBODY)
