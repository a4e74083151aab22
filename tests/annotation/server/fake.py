"""A server on the loopback address that answers as it is told and remembers what it was asked."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

COOKIE = "sessionid=c00kie-of-the-session"
VERSION: dict[str, Any] = {"release": "1.23.2"}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer: `body` is sent as JSON unless it is bytes; `missing` bytes of it never come."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_seconds: float = 0.0
    missing: int = 0


@dataclass(frozen=True, kw_only=True)
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class Fake:
    """Each path has its replies; the last one is given again and again."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies: dict[str, list[Reply]] = {
            "/api/version/": [Reply(body=VERSION)],
            "/api/current-user/whoami": [Reply(body={"id": 7, "email": "owner@localhost"})],
        }
        self.url = ""

    def on(self, path: str, *replies: Reply) -> None:
        self.replies[path] = list(replies)

    def asked_for(self, path: str) -> list[Asked]:
        return [one for one in self.asked if one.path == path]

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        left = self.replies.get(asked.path, [Reply(status=404, body=b"<html>no such page</html>")])
        return left.pop(0) if len(left) > 1 else left[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: Fake

    def answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query, headers = parse_qs(parts.query), dict(self.headers.items())
        asked = Asked(method=self.command, path=parts.path, query=query, headers=headers, body=body)
        reply = self.fake.reply(asked)
        time.sleep(reply.after_seconds)
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Set-Cookie": COOKIE, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) + reply.missing))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = bool(reply.missing)

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, *args: object) -> None:
        """Nothing: tests are silent."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no failure of the test."""


@contextmanager
def fake_server() -> Iterator[Fake]:
    fake = Fake()
    handler = type("BoundHandler", (Handler,), {"fake": fake})
    with Server(("127.0.0.1", 0), handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
