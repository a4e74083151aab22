"""Answers as the JSON of /v1: whole where they are small, else in pieces as a client reads them.

A map of 384 x 384 is 0.8 MB of base64, and a request may ask for hundreds: the document is never
in memory as one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict

from beholder.serving.items import Answer, Detail, Fault, Map, Scored

PIECE = 256 * 2**10
"""Bytes that are handed on at once; more are written only when the client has read them."""
COPIES = 5
"""How many times its bytes the largest answer takes for the moment in which it becomes text."""
_A_RESULT = 256
_A_WORD = 256


def bytes_of(answer: Answer) -> int:
    """What an answer takes in memory, about; its text is hardly longer."""
    scores = answer.scores.values()
    maps = sum(len(of.data) for one in scores for of in one.maps.values())
    return _A_RESULT + maps + _A_WORD * sum(len(one.words) for one in scores)


def document(of: str, answers: Sequence[Answer], detail: Collection[Detail]) -> bytes:
    """The whole document.

    Args:
        of: the id of the request.
        answers: one a picture.
        detail: what is told beside total and aspects.
    """
    return b"".join(_parts(of, answers, detail))


def pieces(of: str, answers: Sequence[Answer], detail: Collection[Detail]) -> Iterator[bytes]:
    """The bytes of `document` in order, at most `PIECE` at once; made when they are asked for."""
    kept = bytearray()
    for part in _parts(of, answers, detail):
        kept += part
        del part  # it would live on while the next is made
        while len(kept) >= PIECE:
            yield bytes(memoryview(kept)[:PIECE])
            del kept[:PIECE]
    if kept:
        yield bytes(kept)


def _parts(of: str, answers: Sequence[Answer], detail: Collection[Detail]) -> Iterator[bytes]:
    """Python writes the shortest decimals that read back as the same 64 bits."""
    yield f'{{"request_id": {json.dumps(of)}, "results": ['.encode()
    for number, answer in enumerate(answers):
        if number:
            yield b", "
        yield json.dumps(_result(answer, detail), allow_nan=False).encode()
    yield b"]}"


def _result(answer: Answer, detail: Collection[Detail]) -> dict[str, object]:
    return {
        "scores": {name: _scored(of, detail) for name, of in answer.scores.items()},
        "errors": {name: _fault(of) for name, of in answer.faults.items()},
    }


def _fault(fault: Fault) -> dict[str, str]:
    return {"code": fault.code, "message": fault.message}


def _scored(of: Scored, detail: Collection[Detail]) -> dict[str, object]:
    told = {"total": of.total, "aspects": dict(of.aspects), "size": list(of.size)}
    details: dict[Detail, object] = {}
    if "deviations" in detail:
        details["deviations"] = dict(of.deviations)
    if "maps" in detail:
        details["maps"] = {kind: _map(each) for kind, each in of.maps.items()}
    if "words" in detail:
        details["words"] = [asdict(word) for word in of.words]
    return told | {key: value for key, value in details.items() if value}


def _map(of: Map) -> dict[str, object]:
    return {"height": of.height, "width": of.width, "data": base64.b64encode(of.data).decode()}
