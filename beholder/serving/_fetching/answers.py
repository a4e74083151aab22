"""One question to a host at IP addresses that were checked, and the answer."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beholder.errors import DataError
from beholder.serving.web_address import WebAddress

if TYPE_CHECKING:
    import httpx

_HEADERS = {
    "Accept": "image/*, */*;q=0.5",  # Label Studio answers 406 to pictures alone
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": "beholder",
}
_CONNECT_SECONDS = 3.0  # then the next IP address is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and where.

    Attributes:
        address: names the host; a certificate must be of that name.
        hosts: its IP addresses, in the order in which they are tried; at least one.
        headers: beside the usual ones.
        content: a body to send; None gets.
    """

    address: WebAddress
    hosts: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An answer whose header came.

    Attributes:
        status: of HTTP.
        location: where else to ask; "" if nowhere.
        length: bytes of the body, as told; 0 if they are not.
        chunks: of the body.
    """

    status: int
    location: str
    length: int
    chunks: AsyncIterator[bytes]


@asynccontextmanager
async def asked(question: Question, trusted: ssl.SSLContext) -> AsyncIterator[Opened]:
    """The answer of the first of the IP addresses that can be connected to.

    Nothing of the environment is used, such as proxies or log-ins, nothing is kept, such as
    cookies, and no connection is used again: it would be found by its IP address, whatever name
    its certificate was checked for.

    Raises DataError if none answers, or what it says is no HTTP, not whole, or compressed.
    """
    import httpx  # noqa: PLC0415

    async with httpx.AsyncHTTPTransport(verify=trusted, trust_env=False) as transport:
        try:
            answer = await _first_answer(transport, question)
            try:
                yield _opened(answer)
            finally:
                await answer.aclose()
        except httpx.HTTPError as error:
            raise DataError(f"its host gave no whole answer ({type(error).__name__})") from error


async def _first_answer(transport: httpx.AsyncHTTPTransport, question: Question) -> httpx.Response:
    import httpx  # noqa: PLC0415

    *others, last = [_request(question, host) for host in question.hosts]
    for request in others:
        try:
            return await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return await transport.handle_async_request(last)


def _request(question: Question, host: str) -> httpx.Request:
    """Addressed by IP, so that no resolver is asked again; TLS and HTTP are told the name."""
    import httpx  # noqa: PLC0415

    address = question.address
    bare = f"[{host}]" if ":" in host else host
    return httpx.Request(
        "GET" if question.content is None else "POST",
        httpx.URL(f"{address.scheme}://{bare}:{address.port}{address.target}"),
        headers={"Host": address.authority, **_HEADERS, **question.headers},
        content=question.content,
        extensions={
            "sni_hostname": address.host,
            "timeout": {"connect": _CONNECT_SECONDS},
        },
    )


def _opened(answer: httpx.Response) -> Opened:
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise DataError("its host compressed the answer, which was not asked for")
    length = answer.headers.get("content-length", "")
    return Opened(
        status=answer.status_code,
        location=answer.headers.get("location", ""),
        length=int(length) if length.isascii() and length.isdigit() else 0,
        chunks=answer.aiter_raw(),
    )
