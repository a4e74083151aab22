"""Pictures from addresses that clients name: the only way out of the server, and a narrow one.

The danger is a request that makes the server ask what the client cannot reach: this machine, its
network, the metadata of a cloud. So hosts must be on a list, all their IP addresses must be public,
the connection goes to the addresses that were checked, and each redirect is checked as anew.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import cache

from beholder.errors import DataError, ImageError, ItemError
from beholder.serving._fetching.allow_list import is_allowed
from beholder.serving._fetching.answers import Opened, Question, asked
from beholder.serving._fetching.label_studio import LabelStudio
from beholder.serving._fetching.public_addresses import is_public
from beholder.serving.hosts import is_address
from beholder.serving.items import Fault, Picture
from beholder.serving.room import held_now
from beholder.serving.settings import Access, RequestLimits
from beholder.serving.web_address import WebAddress, web_address

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The IP addresses of a host name, of which a port will be asked; OSError if it has none."""
Ask = Callable[[Question, ssl.SSLContext], AbstractAsyncContextManager[Opened]]

_SECONDS = 10.0  # of everything: names, redirects, connections, bodies
_REDIRECTS = 3
_MOVED = frozenset({301, 302, 303, 307, 308})
_AT_ONCE = 32
_HOSTS = 4  # IP addresses of a name that are tried
_TOKEN_BYTES = 2**16


async def resolved(host: str, port: int) -> list[str]:
    """What the resolver of this machine says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Fetcher:
    """Fetches pictures from allowed hosts of the public internet, and from one Label Studio."""

    def __init__(
        self,
        access: Access,
        limits: RequestLimits,
        *,
        resolve: Resolve = resolved,
        ask: Ask = asked,
        seconds: float = _SECONDS,
    ) -> None:
        """Nothing is asked yet.

        Args:
            access: the hosts.
            limits: of each picture.
            resolve: names to IP addresses.
            ask: one question to addresses that were checked.
            seconds: in which a picture must be there.
        """
        self._allowed, self._limit = access.urls, limits.pictures.bytes
        root, token = access.label_studio, access.label_studio_token
        self._label_studio = LabelStudio(root, token) if root else None
        self._resolve, self._ask, self._seconds = resolve, ask, seconds
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, url: str) -> Picture | Fault:
        """The picture at the address, undecoded.

        Fault "url" if the address is refused or gives none, "too-large" if it is over a limit.
        """
        try:
            async with self._turns, asyncio.timeout(self._seconds):
                return Picture(data=await self._data(web_address(url)))
        except TimeoutError:
            return Fault("url", f"it did not come within {self._seconds:g} seconds")
        except ItemError as error:
            return Fault(error.code, str(error))
        except DataError as error:
            return Fault("url", str(error))

    async def _data(self, address: WebAddress) -> bytes:
        """The bytes at the address or at where it leads to.

        What begins at Label Studio is asked in our name for as long as it stays there; nobody else
        leads there.
        """
        owner = self._label_studio
        for _ in range(1 + _REDIRECTS):
            owner = owner if owner is not None and owner.has(address) else None
            asking = self._of_host(address) if owner is None else self._of_owner(address, owner)
            found = await asking
            if isinstance(found, bytes):
                return found
            address = found
        raise DataError(f"it leads on more than {_REDIRECTS} times")

    async def _of_host(self, address: WebAddress) -> bytes | WebAddress:
        if not self._allowed:
            raise DataError(
                "this server fetches no pictures; send their bytes, or see --allow-urls"
            )
        if not is_allowed(address, self._allowed):
            raise DataError("its host and port are not among those that this server may ask")
        hosts = await self._hosts(address)
        if not all(is_public(host) for host in hosts):
            raise DataError(f"its host {address.host} is not at a public address")
        return await self._found(Question(address=address, hosts=hosts))

    async def _of_owner(self, address: WebAddress, owner: LabelStudio) -> bytes | WebAddress:
        headers = await owner.headers(self._posted)
        hosts = await self._hosts(address)
        return await self._found(Question(address=address, hosts=hosts, headers=headers))

    async def _hosts(self, address: WebAddress) -> list[str]:
        if is_address(address.host):
            return [address.host]
        try:
            found = await self._resolve(address.host, address.port)
        except (OSError, UnicodeError) as error:
            raise DataError("the name of its host has no address") from error
        if not found:
            raise DataError("the name of its host has no address")
        return found[:_HOSTS]

    async def _found(self, question: Question) -> bytes | WebAddress:
        """The body, or where else to ask."""
        async with self._asked(question) as answer:
            if answer.status in _MOVED and answer.location:
                return web_address(answer.location, question.address)
            if answer.status != 200:
                raise DataError(f"its host answers with status {answer.status}")
            return await _whole(answer, self._limit)

    async def _posted(self, address: WebAddress, content: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        hosts = await self._hosts(address)
        question = Question(address=address, hosts=hosts, headers=headers, content=content)
        async with self._asked(question) as answer:
            if answer.status != 200:
                raise DataError(f"Label Studio answers with status {answer.status} to our token")
            return await _whole(answer, _TOKEN_BYTES)

    def _asked(self, question: Question) -> AbstractAsyncContextManager[Opened]:
        return self._ask(question, _trusted())


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities whose certificates count; SSL_CERT_FILE may name others."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()


async def _whole(answer: Opened, limit: int) -> bytes:
    """The body, counted: neither a length that is told nor the end of it is relied upon."""
    _check_size(answer.length, limit)
    data, held = io.BytesIO(), held_now()
    async for chunk in answer.chunks:
        _check_size(data.tell() + len(chunk), limit)
        if held is not None and not held.take_fetched(len(chunk)):
            raise ImageError("too-large", "there is no room for all pictures of this request")
        data.write(chunk)
    return data.getvalue()


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ImageError("too-large", f"it has more bytes than the limit of {limit:,}")
