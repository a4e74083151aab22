"""A worker answers its front, keeps out of its signals, and ends with it."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import pytest
import torch

from beholder.errors import ConfigError
from beholder.serving import link, worker_process
from beholder.serving.items import Answer, Item, Map, Picture, Scored
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
from beholder.serving.worker_process import PROGRAM, Mailbox, loaded, serve
from tests.serving.fakes import png

SECONDS = 60


class Ended(BaseException):
    """In place of the end of the process."""


@dataclass
class Front:
    """The front's end, and a worker's mailbox at the other; `ended` are exit codes."""

    reader: BinaryIO
    writer: BinaryIO
    mailbox: Mailbox
    ended: list[int] = field(default_factory=list)

    def say(self, *messages: Message) -> None:
        for message in messages:
            self.writer.write(encode(message))
        self.writer.flush()

    def hear(self) -> Message | None:
        return link.read(self.reader)

    def hear_answers(self, count: int) -> dict[int, Answer]:
        found: dict[int, Answer] = {}
        while len(found) < count:
            message = self.hear()
            assert isinstance(message, Answered | Batch)
            if isinstance(message, Answered):
                assert message.id not in found
                found[message.id] = message.answer
        return found

    def wait_for_end(self) -> int:
        for _ in range(SECONDS * 100):
            if self.ended:
                return self.ended[0]
            time.sleep(0.01)
        raise AssertionError("the worker did not end")


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    to_worker, to_front = os.pipe(), os.pipe()
    ended: list[int] = []
    monkeypatch.setattr(worker_process, "end", ended.append)
    writer, reader = os.fdopen(to_worker[1], "wb"), os.fdopen(to_front[0], "rb")
    inside, outside = os.fdopen(to_worker[0], "rb"), os.fdopen(to_front[1], "wb")
    yield Front(reader, writer, Mailbox(inside, outside), ended)
    for stream in (writer, reader, inside, outside):
        try:
            stream.close()
        except OSError:  # what waited in the buffer has no reader
            continue


def item(data: bytes, *rewards: str, prompt: str | None = "p") -> Item:
    return Item(picture=Picture(data=data), prompt=prompt, rewards=rewards or ("mine",))


def settings(what: str = "tiny", **options: object) -> WorkerSettings:
    return WorkerSettings(rewards={"mine": (what, options)}, batch_size=2)


def test_a_worker_says_what_it_serves_answers_and_ends_when_told(front: Front) -> None:
    serving = threading.Thread(target=serve, args=(front.mailbox,))
    serving.start()
    front.say(Begin(settings(seed=3)))
    ready = front.hear()
    assert isinstance(ready, Ready)
    assert [(info.name, info.reward) for info in ready.rewards] == [("mine", "tiny")]
    asked = [Ask(k, item(png(k))) for k in range(5)]
    front.say(*asked, Ask(5, item(b"text")), Cancel(77), Stop())
    answers = front.hear_answers(6)
    serving.join(SECONDS)
    assert not serving.is_alive()
    expected = loaded(settings(seed=3))["mine"].score([png(k) for k in range(5)], "p")
    mine = [answers[k].scores["mine"].total for k in range(5)]
    assert mine == pytest.approx(expected.total.tolist(), abs=1e-6)
    assert answers[5].faults["mine"].code == "format"
    assert front.ended == []


@pytest.mark.parametrize(
    ("what", "options", "text"),
    [
        ("tini", {}, "did you mean 'tiny'"),
        ("tiny", {"sed": 1}, "has no option 'sed'"),
        ("os:getcwd", {}, "expected a beholder Reward"),
        ("os:abort_all", {}, "cannot load 'os:abort_all'"),
    ],
)
def test_what_cannot_be_loaded_is_told_and_ends_the_worker(
    front: Front, what: str, options: Mapping[str, object], text: str
) -> None:
    front.say(Begin(settings(what, **options)))
    assert serve(front.mailbox) == 1
    said = front.hear()
    assert isinstance(said, Fatal)
    assert isinstance(said.error, ConfigError)
    assert text in said.text


def test_whatever_a_reward_raises_while_it_is_made_is_told(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    front.say(Begin(settings("tests.serving.engine_rewards:explode")))
    assert serve(front.mailbox) == 1
    assert front.hear() == Fatal("DataError", "KeyError: 'no weights'")
    assert "cannot be loaded" in caplog.text


def test_a_reward_that_cannot_score_noise_is_told_before_anybody_asks(front: Front) -> None:
    front.say(Begin(settings("tests.serving.engine_rewards:Clumsy", most=0)))
    assert serve(front.mailbox) == 1
    said = front.hear()
    assert isinstance(said, Fatal)
    assert isinstance(said.error, ConfigError)
    assert "cannot score 1 pictures of noise" in said.text


def test_a_front_that_is_gone_or_talks_nonsense_ends_the_worker(front: Front) -> None:
    front.writer.write(b"GET / HTTP/1.1\r\n\r\n")
    front.writer.flush()
    assert front.wait_for_end() == 1


def test_a_front_that_hears_nothing_more_ends_the_worker(front: Front) -> None:
    front.reader.close()
    front.mailbox.send(Batch("mine", 1, 0.1, 0.1))
    assert front.wait_for_end() == 1


@pytest.mark.parametrize("place", ["read", "encode"])
def test_a_worker_that_is_deaf_or_dumb_ends_and_says_why(
    front: Front, place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(what: object) -> None:
        raise MemoryError

    if place == "read":
        monkeypatch.setattr(link, "_decoded", lambda text, data: fail(data))
    else:
        monkeypatch.setattr(link, "encode", fail)
    front.say(Stop())
    front.mailbox.send(Batch("mine", 1, 0.1, 0.1))
    assert front.wait_for_end() == 1
    assert "this worker ends: MemoryError" in caplog.text


def test_last_words_that_nobody_reads_hold_up_no_end() -> None:
    def fail() -> None:
        raise BrokenPipeError

    worker_process._within(SECONDS, fail)
    began = time.monotonic()
    never = threading.Event()
    worker_process._within(0.05, never.wait)
    assert time.monotonic() - began < SECONDS / 2
    never.set()


def test_an_answer_that_cannot_travel_is_a_fault(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "MAX_BYTES", 8)
    large = Scored(total=1.0, maps={"dark": Map(3, 1, bytes(12))})
    front.mailbox.send(Answered(1, Answer({"mine": large})))
    front.mailbox.send(Answered(2, Answer({"mine": Scored(total=1.0)})))
    answers = front.hear_answers(2)
    assert answers[1].faults["mine"].code == "reward-failed"
    assert answers[2].scores["mine"].total == 1


def test_rewards_go_where_the_settings_say_in_the_type_they_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    two = {"a": ("tiny", {"seed": 1}), "b": ("tiny", {"seed": 2})}
    with caplog.at_level(logging.CRITICAL):
        found = loaded(WorkerSettings(rewards=two, dtype="bf16"))
    assert list(found) == ["a", "b"]
    assert {p.dtype for reward in found.values() for p in reward.parameters()} == {torch.bfloat16}
    with pytest.raises(ConfigError, match="no device"):
        loaded(WorkerSettings(rewards=two, device="cuda:99"))


def test_a_process_in_which_python_stands_still_is_ended_by_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alarms: list[int] = []

    def sleep(seconds: float) -> None:
        assert seconds < alarms[-1] / 2
        if len(alarms) == 3:
            raise Ended

    monkeypatch.setattr(signal, "alarm", alarms.append)
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(Ended):
        worker_process._beat()
    assert len(alarms) == 3


@pytest.fixture(scope="module")
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A real one, whose reward prints and can be broken."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
    )
    yield process
    process.kill()
    process.communicate()


def test_a_real_worker_heeds_its_front_alone_and_ends_with_its_gpu(
    worker: subprocess.Popen[bytes],
) -> None:
    reader, writer = cast("BinaryIO", worker.stdout), cast("BinaryIO", worker.stdin)
    there = Front(reader, writer, cast("Mailbox", None))
    there.say(Begin(settings("tests.serving.engine_rewards:Printing")))
    assert isinstance(there.hear(), Ready)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        worker.send_signal(name)
    there.say(Ask(1, item(png(51), prompt="one")))
    assert there.hear_answers(1)[1].scores["mine"].total == pytest.approx(3.2)
    there.say(Ask(2, item(png(51), prompt="broken")))
    assert there.hear() is None
    assert worker.wait(SECONDS) == 1
    assert worker.stderr is not None
    said = worker.stderr.read().decode()
    assert "printed by a library" in said
    assert "this worker ends: RuntimeError: CUDA error" in said


def test_what_ends_a_worker_is_told_without_what_an_item_held(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(worker_process, "end", ended.append)
    worker_process._break(KeyError("a secret prompt"))
    assert ended == [1]
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text
