"""A small server that speaks `/v1`, and does what a test tells it to."""

from __future__ import annotations

import base64
import json
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from python_multipart.multipart import parse_form
from torch import Tensor

from beholder.rewards import Reward
from beholder.rewards._remote.fittings import described
from beholder.rewards._remote.identity import HEADER, digest_of
from beholder.rewards.scoring import configuration
from beholder.types import Scores

Answer = tuple[int, Mapping[str, object] | bytes, Mapping[str, str]]
"""Status, body and headers."""


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: Message
    rewards: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    pictures: list[Tensor] = field(default_factory=list)


@dataclass
class Desk:
    """What the server does: first the `plan`, an answer each, then it scores."""

    rewards: dict[str, Reward]
    asked: list[Asked] = field(default_factory=list)
    plan: list[Answer] = field(default_factory=list)
    root: str = ""
    says: Callable[[dict[str, Any]], object] = lambda body: body
    identity: str | None = None
    details: tuple[str, ...] = ()
    fault: Callable[[Tensor], tuple[str, str] | None] = lambda picture: None
    most: int = 1000
    address: str = ""
    busy: int = 0
    busiest: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    open: set[socket.socket] = field(default_factory=set)

    def hang_up(self) -> None:
        """End every connection, as a server that is gone."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def answer(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append(asked)
            if self.plan:
                return self.plan.pop(0)
        if not asked.path.startswith(self.root):
            return 404, {"detail": "Not Found"}, {}
        if asked.path == f"{self.root}/v1/rewards":
            return 200, self._told(), {}
        if asked.path == f"{self.root}/v1/score":
            return self._scored(asked)
        return 404, {"error": {"code": "not-found", "message": "nothing there"}}, {}

    def scoring(self) -> list[Asked]:
        return [one for one in self.asked if one.path.endswith("/v1/score")]

    def _told(self) -> Mapping[str, object]:
        return {"rewards": [info(name, of, self.details) for name, of in self.rewards.items()]}

    def _scored(self, asked: Asked) -> Answer:
        if len(asked.pictures) > self.most:
            return 413, {"error": {"code": "too-large", "message": "too many items"}}, {}
        (name,) = asked.rewards
        with self.lock:
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        faults = [self.fault(picture) for picture in asked.pictures]
        with self.lock:
            scores = self.rewards[name].score_rows(
                asked.pictures, asked.prompts or [""] * len(asked.pictures)
            )
            self.busy -= 1
        results = [
            {"scores": {}, "errors": {name: {"code": why[0], "message": why[1]}}}
            if why
            else result(name, scores, row)
            for row, why in enumerate(faults)
        ]
        identity = self.identity or digest_of(configuration(self.rewards[name], "white"))
        headers = {HEADER: f"{name}={identity}"} if identity != "-" else {}
        return 200, self.says({"request_id": "r", "results": results}), headers  # type: ignore[return-value]


def info(name: str, reward: Reward, details: tuple[str, ...]) -> dict[str, object]:
    low, high = reward.card.score_range
    return {
        "name": name,
        "reward": reward.card.name,
        "identity": json.loads(json.dumps(configuration(reward, "white"))),
        "dtype": "float32",
        "measures": reward.card.measures,
        "weights_license": reward.card.weights_license,
        "score_range": [b if abs(b) < float("inf") else None for b in (low, high)],
        "aspects": list(reward.card.aspects),
        "details": list(details),
        "needs_prompt": reward.card.needs_prompt,
        "fitting": described(reward.fitting),
    }


def result(name: str, scores: Scores, row: int) -> dict[str, object]:
    if row in scores.errors:
        code, _, message = scores.errors[row].partition(": ")
        return {"scores": {}, "errors": {name: {"code": code, "message": message}}}
    said = {
        "total": scores.total[row].item(),
        "aspects": {name: known(values[row]) for name, values in scores.aspects.items()},
        "size": [1, 1],
        "deviations": {name: values[row].item() for name, values in scores.deviations.items()},
        "maps": {kind: drawn(maps[row]) for kind, maps in scores.maps.items()},
        "words": [
            {"word": w.word, "start": w.start, "end": w.end, "p_misaligned": w.p_misaligned}
            for w in (scores.words[row] if scores.words else ())
        ],
    }
    return {"scores": {name: said}, "errors": {}}


def known(value: Tensor) -> float | None:
    return value.item() if value.isfinite() else None


def drawn(values: Tensor) -> dict[str, object]:
    data = values.numpy().astype("<f4").tobytes()
    height, width = values.shape
    return {"height": height, "width": width, "data": base64.b64encode(data).decode()}


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 for a desk."""

    protocol_version = "HTTP/1.1"
    desk: Desk

    def setup(self) -> None:
        super().setup()
        self.desk.open.add(self.connection)

    def finish(self) -> None:
        self.desk.open.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self._send(self.desk.answer(Asked("GET", self.path, self.headers)))

    def do_POST(self) -> None:
        asked = Asked("POST", self.path, self.headers)
        try:
            self._read(asked)
            answer = self.desk.answer(asked)
        except Exception:  # noqa: BLE001  (the test shall see it, not wait for another try)
            answer = 500, {"error": {"code": "broken", "message": traceback.format_exc()}}, {}
        self._send(answer)

    def log_message(self, *of: object) -> None:
        """Nothing."""

    def _read(self, asked: Asked) -> None:
        def on_field(part: Any) -> None:
            named = {b"reward": asked.rewards, b"detail": asked.details, b"prompt": asked.prompts}
            named[part.field_name].append((part.value or b"").decode())

        def on_file(part: Any) -> None:
            part.file_object.seek(0)
            asked.pictures.append(picture(part.content_type, part.file_object.read()))
            part.close()

        headers = {name: value.encode() for name, value in self.headers.items()}
        parse_form(headers, self.rfile, on_field, on_file)

    def _send(self, answer: Answer) -> None:
        status, body, headers = answer
        if status == 0:  # hang up
            self.close_connection = True
            return
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def picture(kind: str, data: bytes) -> Tensor:
    message = Message()
    message["content-type"] = kind
    assert message.get_content_type() == "application/x-beholder-pixels"
    size = [int(str(message.get_param(side))) for side in ("height", "width")]
    dtype = {"uint8": torch.uint8, "float32": torch.float32}[str(message.get_param("dtype"))]
    rows = torch.frombuffer(bytearray(data), dtype=dtype).reshape(*size, 3)
    return rows.permute(2, 0, 1).contiguous()


@contextmanager
def serving(rewards: Mapping[str, Reward], host: str = "127.0.0.1", **told: Any) -> Iterator[Desk]:
    """A server in threads; its address is `desk.address`."""
    desk = Desk({name: reward.eval() for name, reward in rewards.items()}, **told)
    handler = type("_Handler", (Handler,), {"desk": desk})
    kind = type("_Server", (ThreadingHTTPServer,), {"address_family": family(host)})
    server = kind((host, 0), handler)
    place = f"[{host}]" if ":" in host else host
    desk.address = f"http://{place}:{server.server_address[1]}{desk.root}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield desk
    finally:
        server.shutdown()
        desk.hang_up()
        server.server_close()
        thread.join()


def family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
