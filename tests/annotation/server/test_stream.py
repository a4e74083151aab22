import json
import random
import tracemalloc
from collections.abc import Iterator

import pytest

from beholder.annotation.server.stream import decode_array
from beholder.errors import AnnotationError

VALUES: list[object] = [
    {"prompt": 'a "fox" in {braces}, [brackets] and \\ slashes', "n": 1},
    {"emoji": "🦊 café 世界", "escaped": "\ud83e\udd8a", "nested": [[{}], {"a": {"b": []}}]},
    [],
    "],[",
    12.5e3,
    -7,
    True,
    None,
    {},
]
DOCUMENTS = [
    json.dumps(VALUES[2:], ensure_ascii=False).encode(),
    json.dumps(VALUES, ensure_ascii=True, indent=2).encode(),
    b" [\r\n] \n",
    b"[123, 4]",
]


def pieces(document: bytes, generator: random.Random) -> Iterator[bytes]:
    while document:
        length = generator.choice([0, 1, 1, 2, 3, 7, 40])
        yield document[:length]
        document = document[length:]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_way_to_cut_the_bytes_gives_the_same_values(document: bytes) -> None:
    for seed in range(200):
        decoded = list(decode_array(pieces(document, random.Random(seed))))
        assert decoded == json.loads(document)


def test_characters_of_several_bytes_may_be_cut_anywhere() -> None:
    document = '[{"prompt": "é世🦊"}, "ü"]'.encode()
    for first in range(len(document)):
        for second in range(first, len(document)):
            cut = [document[:first], document[first:second], document[second:]]
            assert list(decode_array(cut)) == [{"prompt": "é世🦊"}, "ü"]


@pytest.mark.parametrize("document", [b"[123, 4]", '[{"a": "é{"}, {"b": [1, 2]}]'.encode()])
def test_a_stream_that_ends_early_says_so_after_what_was_whole(document: bytes) -> None:
    whole = json.loads(document)
    for length in range(len(document)):
        decoded: list[object] = []
        with pytest.raises(AnnotationError, match="the export ended early"):
            collect(decoded, document[:length])
        assert decoded == whole[: len(decoded)]
        assert len(decoded) < len(whole) or length == len(document) - 1  # all but the bracket


def collect(into: list[object], document: bytes) -> None:
    for value in decode_array([document]):
        into.append(value)  # noqa: PERF402  what came before the error is kept


@pytest.mark.parametrize("document", [b'{"detail": "no"}', b"<html></html>", b"null"])
def test_something_else_than_an_array_is_refused(document: bytes) -> None:
    with pytest.raises(AnnotationError, match="the export is no JSON array"):
        list(decode_array([document]))


@pytest.mark.parametrize("document", [b"[1] [2]", b"[1, 2,]", b"[1 2]", b"[nope]", b'["\xff"]'])
def test_a_damaged_array_is_an_error(document: bytes) -> None:
    with pytest.raises(AnnotationError, match="is damaged"):
        list(decode_array([document]))


def test_memory_stays_flat_however_long_the_array_is() -> None:
    element = json.dumps({"prompt": "x" * 10_000}).encode()

    def document() -> Iterator[bytes]:
        yield b"["
        for _ in range(1000):
            yield element + b","
        yield element + b"]"

    tracemalloc.start()
    assert sum(1 for _ in decode_array(document())) == 1001
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(element)


def test_a_long_element_is_tried_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[object, int]:
            tries.append(len(s))
            return super().raw_decode(s, idx)

    monkeypatch.setattr("beholder.annotation.server.stream.DECODER", Counting())
    document = json.dumps(["y" * 1_000_000]).encode()
    chunks = (document[k : k + 1000] for k in range(0, len(document), 1000))
    assert list(decode_array(chunks)) == ["y" * 1_000_000]
    assert len(tries) <= 12
    assert sum(tries) < 3 * len(document)
