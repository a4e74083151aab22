"""A worker of the server in a process of its own: items in, answers out, until its front is gone.

Signals that end the server are the front's business; a worker ends when it is told to, when nobody
is left to tell it, or when its GPU is lost. Whatever it and its libraries print goes to stderr.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from traceback import format_tb
from typing import BinaryIO

import torch

from beholder.errors import BeholderError, ConfigError, DataError
from beholder.rewards import Reward, load
from beholder.rewards._cells import is_broken
from beholder.rewards._precision import dtype_named
from beholder.serving import link
from beholder.serving.engine import Engine
from beholder.serving.heap import settle
from beholder.serving.infos import info_of
from beholder.serving.items import Answer, Fault
from beholder.serving.link import Answered, Ask, Begin, Cancel, Fatal, Message, Ready, Stop
from beholder.serving.settings import WorkerSettings

PROGRAM = "from beholder.serving.worker_process import main; main()"
"""What the front lets Python run."""

_LOG = logging.getLogger(__name__)
_HEARTBEAT = 60
_HUNG = 600
"""Seconds without a heartbeat after which the system ends the process."""

_LAST_WORDS = 1.0
"""Seconds to say why it ends; a pipe that nobody empties would hold it for ever."""


class Mailbox:
    """Messages from and to the front; the process ends if the front is gone."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader, self._writer = reader, writer
        self._received: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._writing = threading.Thread(target=self._write, name="outgoing", daemon=True)
        self._writing.start()
        threading.Thread(target=self._read, name="incoming", daemon=True).start()

    def receive(self) -> Message:
        """The next message, however long it takes."""
        return self._received.get()

    def send(self, message: Message) -> None:
        """Tell the front, without waiting for it."""
        self._outgoing.put(message)

    def close(self) -> None:
        """Send what is to be sent."""
        self._outgoing.put(None)
        self._writing.join()

    def _read(self) -> None:
        with _to_the_end():
            self._read_on()

    def _read_on(self) -> None:
        while (message := link.read(self._reader)) is not None:
            self._received.put(message)
            if isinstance(message, Stop):
                return
        end(1)

    def _write(self) -> None:
        with _to_the_end():
            try:
                self._write_on()
            except (OSError, ValueError):  # ValueError: closed on our side
                end(1)

    def _write_on(self) -> None:
        while (message := self._outgoing.get()) is not None:
            self._writer.write(_frame(message))
            if self._outgoing.empty():  # the answers of a batch travel together
                self._writer.flush()
        self._writer.flush()


@contextmanager
def _to_the_end() -> Iterator[None]:
    """A thread without which the worker is deaf or dumb takes the process along."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001  (whatever it is, nobody else would tell)
        _break(error)


def _frame(message: Message) -> bytes:
    """The message, or why it cannot be sent, such as an answer whose maps are too large."""
    try:
        return link.encode(message)
    except DataError as error:
        if not isinstance(message, Answered):
            return link.encode(Fatal.of(error))
        fault = Fault("reward-failed", str(error))
        names = (*message.answer.scores, *message.answer.faults)
        return link.encode(Answered(message.id, Answer(faults=dict.fromkeys(names, fault))))


def end(code: int) -> None:
    """End this process at once, whatever its threads do and whoever reads its stderr."""
    _within(_LAST_WORDS, sys.stderr.flush)
    os._exit(code)


def _within(seconds: float, work: Callable[[], object]) -> None:
    """Do that, but do not wait for it any longer, and whatever it raises."""

    def quietly() -> None:
        with suppress(BaseException):
            work()

    with suppress(RuntimeError, MemoryError):  # a process that cannot have another thread
        thread = threading.Thread(target=quietly, name="last-words", daemon=True)
        thread.start()
        thread.join(seconds)


def serve(mailbox: Mailbox) -> int:
    """Load what the first message says, then answer what is asked until told to stop.

    Gives the exit status: 0, or 1 if nothing could be loaded, which the front was then told.
    """
    begin = mailbox.receive()
    if not isinstance(begin, Begin):
        raise ConfigError(f"a worker is told to begin first, not {type(begin).__name__}")
    try:
        engine = _engine(begin.settings, mailbox)
    except Exception as error:  # noqa: BLE001  (a reward of somebody's own may raise anything)
        if not isinstance(error, BeholderError | OSError):
            _LOG.error("the rewards cannot be loaded", exc_info=error)
        mailbox.send(Fatal.of(error))
        return 1
    while not isinstance(message := mailbox.receive(), Stop):
        if isinstance(message, Ask):
            engine.submit(message.id, message.item)
        elif isinstance(message, Cancel):
            engine.cancel(message.id)
    engine.close()
    return 0


def _engine(settings: WorkerSettings, mailbox: Mailbox) -> Engine:
    """Loaded and warm, and told to the front."""
    rewards = loaded(settings)

    def answer(number: int, found: Answer) -> None:
        mailbox.send(Answered(number, found))

    engine = Engine(rewards, settings, answer, mailbox.send, _break)
    details = engine.warm_up()
    settle()
    infos = (info_of(n, reward, settings.alpha, details[n]) for n, reward in rewards.items())
    mailbox.send(Ready(tuple(infos)))
    return engine


def loaded(settings: WorkerSettings) -> Mapping[str, Reward]:
    """The rewards of a worker, on its device.

    Raises ConfigError or WeightsError as `beholder.load` does.
    """
    torch.set_num_threads(settings.threads)  # beside a GPU too, where every decoder has a team
    dtype = None if settings.dtype is None else dtype_named(settings.dtype, settings.device)
    return {
        name: load(what, device=settings.device, dtype=dtype, **options)  # type: ignore[arg-type]
        for name, (what, options) in settings.rewards.items()
    }


def _break(error: BaseException) -> None:
    """End for what is beyond an item; what a library says of one may quote a prompt."""
    is_of_device = isinstance(error, Exception) and is_broken(error)
    said = f"{type(error).__name__}: {error}" if is_of_device else type(error).__name__
    told = "".join(format_tb(error.__traceback__))
    _within(_LAST_WORDS, lambda: _LOG.error("this worker ends: %s\n%s", said, told))
    end(1)


def _beat() -> None:
    """Put off the end that the system brings to a process in which Python does not run any more.

    A worker whose front is gone, and that hangs inside a library, would otherwise stay for ever.
    """
    while True:
        signal.alarm(_HUNG)
        time.sleep(_HEARTBEAT)


def main() -> None:
    """The process."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        threading.Thread(target=_beat, name="heartbeat", daemon=True).start()
    mailbox = Mailbox(*link.of_worker())
    try:
        code = serve(mailbox)
        mailbox.close()
    except BaseException as error:  # noqa: BLE001  (Python's own end would wait for the threads)
        _break(error)
    else:
        end(code)
