"""The one Label Studio whose pictures may be fetched, with its token."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from beholder.errors import DataError
from beholder.serving.web_address import WebAddress, web_address

Post = Callable[[WebAddress, bytes], Awaitable[bytes]]
"""The answer to a JSON body that is sent to an address."""

_PICTURES = re.compile(
    r"/(?:(?:data|storage-data|static)/.+|(?:tasks|projects)/\d+/(?:resolve|presign)/.*)", re.S
)
_PERSONAL = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
_ACCESS_SECONDS = 240.0
"""An access token lives 300 s."""


class LabelStudio:
    """Which addresses are its pictures, and the header that asks for them in our name."""

    def __init__(self, root: str, token: str) -> None:
        self._root = web_address(root)
        self._prefix = self._root.target.rstrip("/")
        self._token = token
        self._access, self._until = "", 0.0

    def has(self, address: WebAddress) -> bool:
        """Whether it is a picture of this server; its API and its pages are none."""
        path = unquote(address.target.partition("?")[0])
        if address.origin != self._root.origin or ".." in re.split(r"[/\\]", path):
            return False
        is_below = path.startswith(f"{self._prefix}/")
        return is_below and _PICTURES.fullmatch(path.removeprefix(self._prefix)) is not None

    async def headers(self, post: Post) -> dict[str, str]:
        """What a request for a picture must carry.

        A legacy token is sent as it is; a personal one, a JWT, is exchanged for one that lives for
        minutes. Raises DataError if the server does not exchange it.
        """
        if _PERSONAL.fullmatch(self._token) is None:
            return {"Authorization": f"Token {self._token}"}
        if time.monotonic() >= self._until:
            self._access = await self._exchanged(post)
            self._until = time.monotonic() + _ACCESS_SECONDS
        return {"Authorization": f"Bearer {self._access}"}

    async def _exchanged(self, post: Post) -> str:
        address = web_address(f"{self._root.root}{self._prefix}/api/token/refresh/")
        answer = await post(address, json.dumps({"refresh": self._token}).encode())
        try:
            access = str(json.loads(answer)["access"])
        except (ValueError, KeyError, TypeError, RecursionError):
            access = ""
        if _PERSONAL.fullmatch(access) is None:
            raise DataError("Label Studio gave no access token for LABEL_STUDIO_API_KEY")
        return access
