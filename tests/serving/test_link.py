"""What one end says the other hears, exactly; what is no frame is nothing."""

import asyncio
import os
import random
import struct
import tempfile
from collections.abc import Sequence

import pytest

from beholder.errors import (
    AnnotationError,
    BeholderError,
    ConfigError,
    DataError,
    MissingDependencyError,
    ServerError,
    WeightsError,
)
from beholder.images import Limits
from beholder.serving import link
from beholder.serving.items import (
    Answer,
    Detail,
    Fault,
    Item,
    Map,
    Picture,
    RewardInfo,
    Scored,
    Word,
)
from beholder.serving.link import (
    Answered,
    Ask,
    Batch,
    Begin,
    Cancel,
    Fatal,
    Message,
    Ready,
    Stop,
    encode,
)
from beholder.serving.settings import WorkerSettings

PIXELS = Picture(data=bytes(range(24)) * 2, encoding="float32", height=2, width=2)
SCORED = Scored(
    total=struct.unpack("<f", b"\x01\x02\x03\x3e")[0],
    aspects={"red": 1e-45, "blue": None},
    deviations={"red": 0.25},
    maps={"a": Map(1, 2, b"8 bytes!"), "b": Map(1, 1, b"\0\0\x80?")},
    words=(Word("naïve", 2, 7, 0.75),),
    size=(480, 640),
)
MAPS = frozenset[Detail]({"maps"})
MESSAGES: Sequence[Message] = [
    Begin(
        WorkerSettings(
            rewards={"mine": ("mps", {"threshold": 0.1, "names": ["a"]}), "b": ("m:C", {})},
            device="cuda:1",
            dtype="bf16",
            pictures=Limits(pixels=7),
        )
    ),
    Ask(2**40, Item(picture=Picture(data=b"\xff\xd8"), prompt=None, rewards=("mine", "b"))),
    Ask(
        2, Item(picture=PIXELS, prompt="\ud800 \0 ü 画", rewards=("b",), detail=frozenset({"maps"}))
    ),
    Ask(3, Item(picture=Fault("url", "refused"), prompt="", rewards=("b",))),
    Cancel(3),
    Stop(),
    Ready(
        (
            RewardInfo(
                name="mine",
                reward="mps",
                identity={"options": {"threshold": 0.1}, "weights": "0" * 64},
                dtype="float32",
                score_range=(None, 1.0),
                aspects=("red", "blue"),
                details=("words", "maps"),
                fitting={"kind": "preprocess", "size": 224},
            ),
        )
    ),
    Fatal("WeightsError", "they do not fit"),
    Answered(4, Answer({"mine": SCORED, "b": SCORED}, {"c": Fault("prompt", "too long")})),
    Answered(5, Answer()),
    Batch("mine", 32, 0.5, 0.25),
]


def heard(frames: bytes) -> list[Message]:
    with tempfile.TemporaryFile() as stream:
        stream.write(frames)
        stream.seek(0)
        return list(iter(lambda: link.read(stream), None))


async def heard_async(frames: bytes) -> list[Message]:
    reader = asyncio.StreamReader()
    reader.feed_data(frames)
    reader.feed_eof()
    found = []
    while (message := await link.read_async(reader)) is not None:
        found.append(message)
    return found


def test_every_message_arrives_as_it_was_said() -> None:
    frames = b"".join(map(encode, MESSAGES))
    assert heard(frames) == MESSAGES
    assert asyncio.run(heard_async(frames)) == MESSAGES


def test_a_picture_takes_no_more_than_its_bytes() -> None:
    def frame(size: int) -> int:
        item = Item(picture=Picture(data=bytes(size)), prompt="p", rewards=("a",))
        return len(encode(Ask(1, item)))

    assert frame(10**6 + 9) - frame(10**6) == 9


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_number_travels_that_is_not_finite(number: float) -> None:
    with pytest.raises(DataError, match="Answered cannot be sent"):
        encode(Answered(1, Answer({"a": Scored(total=number)})))


def test_what_json_has_no_form_for_is_told_before_it_is_sent() -> None:
    with pytest.raises(DataError, match="Begin cannot be sent"):
        encode(Begin(WorkerSettings(rewards={"a": ("tiny", {"seed": object()})})))


def test_frames_are_bounded_where_they_are_written_and_where_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    item = Item(picture=Picture(data=bytes(1000)), prompt="p" * 1000, rewards=("a",))
    frame = encode(Ask(1, item))
    for limit, most in [("MAX_JSON", 999), ("MAX_BYTES", 999)]:
        with monkeypatch.context() as patch:
            patch.setattr(link, limit, most)
            with pytest.raises(DataError, match="over the limit"):
                encode(Ask(1, item))
            assert heard(frame) == []


def test_a_frame_that_breaks_off_or_is_none_ends_the_conversation() -> None:
    good = encode(Stop())
    whole = encode(MESSAGES[2])
    random_bytes = random.Random(0).randbytes(200)
    broken = [whole[:k] for k in range(len(whole))]
    broken += [
        b"hello\n" + whole,
        b"bhl2" + whole[4:],
        whole[:16] + b"?" + whole[17:],
        random_bytes,
    ]
    for frame in broken:
        assert heard(good + frame) == [Stop()]
        assert asyncio.run(heard_async(good + frame)) == [Stop()]


def test_a_frame_that_says_something_else_than_it_holds_is_none() -> None:
    for text in [b"[]", b'{"say":"Sit"}', b'{"say":"Cancel"}', b"null", b'{"say":["Stop"]}']:
        assert heard(struct.pack("!4sIQ", b"bhl1", len(text), 0) + text) == []
    short = encode(MESSAGES[2]).replace(b"2,2,48]", b"2,2,49]")
    assert heard(short) == []


def test_a_stream_that_is_closed_here_says_nothing_more() -> None:
    with tempfile.TemporaryFile() as stream:
        pass
    assert link.read(stream) is None


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ConfigError("no\n reward"), ConfigError, "no reward"),
        (WeightsError("damaged"), WeightsError, "damaged"),
        (ServerError("away"), ServerError, "away"),
        (MissingDependencyError("pip"), MissingDependencyError, "pip"),
        (AnnotationError("odd"), DataError, "AnnotationError: odd"),
        (OSError(2, "gone"), DataError, "FileNotFoundError: [Errno 2] gone"),
    ],
)
def test_the_front_can_raise_what_the_worker_did(
    error: Exception, kind: type[BeholderError], text: str
) -> None:
    (said,) = heard(encode(Fatal.of(error)))
    assert isinstance(said, Fatal)
    assert type(said.error) is kind
    assert str(said.error) == text
    assert type(Fatal("SystemExit", "x").error) is DataError


def test_what_a_worker_prints_is_no_message(capfd: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    kept = os.dup(0), os.dup(1)
    os.dup2(reading, 0)
    os.dup2(writing, 1)
    try:
        reader, writer = link.of_worker()
        os.write(1, b"a library prints")
        with reader, writer:
            writer.write(encode(Cancel(7)))
            writer.flush()
            assert link.read(reader) == Cancel(7)
    finally:
        for saved, at in zip(kept, (0, 1), strict=True):
            os.dup2(saved, at)
            os.close(saved)
        os.close(reading)
        os.close(writing)
    assert "a library prints" in capfd.readouterr().err
