"""One worker process as the front sees it: what it has in its hands, and when it was last heard of.

Tasks write to it and read from it side by side, so that pipes that are full in one direction never
stop the other. Whatever happens to the process, `gone` comes back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import BinaryIO, cast

from beholder.errors import BeholderError, DataError
from beholder.serving.items import Answer, Fault, RewardInfo
from beholder.serving.link import (
    Answered,
    Ask,
    Batch,
    Begin,
    Cancel,
    Fatal,
    Ready,
    Stop,
    encode,
    read_async,
)
from beholder.serving.queueing import Job
from beholder.serving.settings import WorkerSettings
from beholder.serving.worker_process import PROGRAM

_LOG = logging.getLogger(__name__)

LOAD_SECONDS = 1800.0
"""In which a worker must have loaded its rewards, downloads included."""

LAST_WORDS = 2.0
"""Seconds to hear what a dead worker had said, or for one that fell silent to end."""

_BATCHES = 3  # in hand: one in the model, one decoded, one on its way
_BYTES = 256 * 2**20  # in hand, more only of a single picture
_WRITE = 2**18  # bytes that are encoded at once
_READ = 2**20
_REAPED = 10.0
_SECRETS = ("BEHOLDER_TOKEN", "LABEL_STUDIO_API_KEY")  # pictures are decoded there

Heard = Callable[["Worker", Answered | Batch, "Job | None"], None]


class Worker:
    """A worker process, from `load` on.

    It makes progress when it tells of a batch. That it let go of jobs that nobody waits for is
    none: it does so while its model hangs.

    Args:
        settings: what it loads.
        heard: called with what it answers, and its batches.
        clock: in seconds.

    Attributes:
        in_hand: jobs that it was given and has not acknowledged, by id; who asked may have left.
        rewards: what it serves, once it is loaded.
        has_answered: whether it ever did.
        was_killed: whether a signal ended it, once it is gone.
        cause: of its end, once it is gone.
    """

    def __init__(
        self, settings: WorkerSettings, heard: Heard, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.in_hand: dict[int, Job] = {}
        self.rewards: tuple[RewardInfo, ...] = ()
        self.has_answered = self.was_killed = False
        self.cause = ""
        self._settings, self._heard, self._clock = settings, heard, clock
        self._notes: deque[bytes] = deque()
        self._unsent: OrderedDict[int, Job] = OrderedDict()
        self._bytes = 0
        self._news, self._stands, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._news.set()
        self._is_ending = self._is_alone = False
        self._last_words: Fatal | None = None
        self._killed_because = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._life: asyncio.Task[None] | None = None
        self._progress = clock()

    @property
    def pid(self) -> int:
        """Of the process; 0 before it is started."""
        return self._process.pid if self._process else 0

    @property
    def is_up(self) -> bool:
        """Whether it may be given jobs."""
        return self._stands.is_set() and not self._is_ending

    async def load(self) -> None:
        """Start the process, until its rewards are loaded and warm.

        Raises BeholderError if that cannot be, as the worker says; the process is then gone, as it
        is if this is cancelled.
        """
        self._notes.append(encode(Begin(self._settings)))
        try:
            self._process = _spawn()
        except OSError as error:
            raise DataError(f"a worker cannot be started: {error.strerror}") from error
        self._life = asyncio.create_task(self._live(self._process))
        standing = asyncio.create_task(self._stands.wait())
        try:
            await asyncio.wait(
                {self._life, standing}, timeout=LOAD_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            await self._put_down("nobody waits for it any more")
            raise
        finally:
            standing.cancel()
        if not self._stands.is_set():
            await self._put_down(f"it did not load its rewards within {LOAD_SECONDS:g} seconds")
            raise self._why_not_loaded()

    def has_room(self) -> bool:
        """Whether it may be given another job beside those in hand."""
        most = _BATCHES * self._settings.batch_size
        return self.is_healthy and len(self.in_hand) < most and self._bytes < _BYTES

    @property
    def is_healthy(self) -> bool:
        """Whether it stands, and has no job in hand that may have killed another."""
        return self.is_up and not (self.in_hand and self._is_alone)

    def give(self, job: Job) -> None:
        """Hand over a job."""
        if not self.in_hand:
            self._is_alone = job.deaths > 0
        job.given = self._clock()
        self.in_hand[job.id] = self._unsent[job.id] = job
        self._bytes += job.size
        self._idle.clear()
        self._news.set()

    def drop(self, job: Job) -> None:
        """Nobody waits for that job; it stays in hand until the worker says that it let it go."""
        if self._unsent.pop(job.id, None) is not None:
            self._let_go(job.id)
        elif job.id in self.in_hand:
            self._notes.append(encode(Cancel(job.id)))
            self._news.set()

    def unsent(self) -> list[Job]:
        """What it was given and never saw."""
        return list(self._unsent.values())

    def silent_for(self) -> float:
        """Seconds without progress since it got the oldest job in hand; 0 if there is none."""
        oldest = next(iter(self.in_hand.values()), None)
        return 0.0 if oldest is None else self._clock() - max(oldest.given, self._progress)

    def excuse(self) -> None:
        """Its silence until now does not count."""
        self._progress = self._clock()

    def kill(self, because: str = "") -> None:
        """End it now."""
        self._is_ending = True
        if self._process is not None and self._process.returncode is None:
            self._killed_because = self._killed_because or because
            self._process.kill()

    async def retire(self, seconds: float) -> None:
        """Give it nothing more, and end it once it has answered what it has in hand."""
        self._is_ending = True
        await self._idle.wait()
        await self.end(seconds)

    async def end(self, seconds: float) -> None:
        """Tell it to end; kill it if it takes longer."""
        self._is_ending = True
        self._notes.append(encode(Stop()))
        self._news.set()
        if self._life is not None:
            await asyncio.wait({self._life}, timeout=seconds)
        await self._put_down("it did not end when it was told to")

    async def gone(self) -> None:
        """Wait until the process has ended and nothing of it is left."""
        if self._life is not None:
            await asyncio.wait({self._life})

    async def _put_down(self, because: str) -> None:
        self.kill(because)
        await self.gone()

    async def _live(self, process: subprocess.Popen[bytes]) -> None:
        try:
            await self._talk(process)
        except Exception as error:  # noqa: BLE001  (such as no file descriptor for another pipe)
            _log_unforeseen([error])
        finally:
            code = process.returncode
            self.was_killed = code is not None and code < 0 and not self._killed_because
            self.cause = self._killed_because or _ended(code) + self._said_at_last()
            self._idle.set()

    async def _talk(self, process: subprocess.Popen[bytes]) -> None:
        """Until the process has ended, or says nothing that can be understood."""
        exited = _exit_of(process)
        try:
            async with _pipes(process) as (reader, writer):
                tasks = [asyncio.create_task(t) for t in (self._listen(reader), self._tell(writer))]
                await self._until_over(tasks, exited, process)
        finally:
            self._is_ending = True
            process.kill()
            await asyncio.wait({exited}, timeout=_REAPED)
            await asyncio.sleep(0)  # the loop closes pipes in its next round

    async def _until_over(
        self,
        tasks: list[asyncio.Task[None]],
        exited: asyncio.Future[None],
        process: subprocess.Popen[bytes],
    ) -> None:
        try:
            await asyncio.wait({*tasks, exited}, return_when=asyncio.FIRST_COMPLETED)
            self._is_ending = True
            await asyncio.wait({tasks[0], exited}, timeout=LAST_WORDS)
        finally:
            process.kill()
            for task in tasks:
                task.cancel()
            _log_unforeseen(await asyncio.gather(*tasks, return_exceptions=True))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (message := await read_async(reader)) is not None:
            if isinstance(message, Ready):
                self.rewards = message.rewards
                self._stands.set()
            elif isinstance(message, Fatal):
                self._last_words = message
            elif isinstance(message, Answered):
                self._answered(message)
            elif isinstance(message, Batch):
                self._progress = self._clock()
                self._heard(self, message, None)

    def _answered(self, message: Answered) -> None:
        job = self._let_go(message.id)
        if job is not None:
            self.has_answered = True
            self._heard(self, message, job)

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # it is gone, which who listens finds out
            while await self._news.wait():
                self._news.clear()
                while frames := self._frames():
                    writer.write(frames)
                    await writer.drain()

    def _frames(self) -> bytes:
        """What is to be told, some of it at once; empty if nothing is."""
        frames: list[bytes] = []
        size = 0
        while size < _WRITE and (self._notes or self._unsent):
            frame = self._notes.popleft() if self._notes else self._asked()
            size += len(frame)
            frames.append(frame)
        return b"".join(frames)

    def _asked(self) -> bytes:
        job = self._unsent.popitem(last=False)[1]
        try:
            return encode(Ask(job.id, job.item))
        except DataError as error:
            faults = dict.fromkeys(job.item.rewards, Fault("too-large", str(error)))
            self._answered(Answered(job.id, Answer(faults=faults)))
            return b""

    def _let_go(self, number: int) -> Job | None:
        job = self.in_hand.pop(number, None)
        if job is not None:
            self._bytes -= job.size
        if not self.in_hand:
            self._idle.set()
        return job

    def _said_at_last(self) -> str:
        return f": {self._last_words.text}" if self._last_words else ""

    def _why_not_loaded(self) -> BeholderError:
        if self._last_words is not None:
            return self._last_words.error
        return DataError(f"a worker could not load the rewards: {self.cause}")


def _spawn() -> subprocess.Popen[bytes]:
    """A process that finds modules where this one does, and nowhere else: -P keeps it to that."""
    paths = os.pathsep.join(path or os.curdir for path in sys.path)
    kept = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**kept, "PYTHONPATH": paths},
        process_group=0 if os.name == "posix" else None,  # Ctrl-C is the front's
    )


@asynccontextmanager
async def _pipes(
    process: subprocess.Popen[bytes],
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    stdout, stdin = cast("BinaryIO", process.stdout), cast("BinaryIO", process.stdin)
    with ExitStack() as opened:
        opened.callback(stdout.close)
        opened.callback(stdin.close)
        reader, listening = await _reader(stdout)
        opened.callback(listening.close)
        writer = await _writer(stdin)
        opened.pop_all()  # from here on, who reads and writes closes them
    try:
        yield reader, writer
    finally:
        listening.close()
        if not writer.is_closing():
            writer.transport.abort()


async def _reader(pipe: BinaryIO) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader(limit=_READ)
    loop = asyncio.get_running_loop()
    listening, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader, listening


async def _writer(pipe: BinaryIO) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    unread = asyncio.StreamReader()
    telling, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(unread), pipe
    )
    return asyncio.StreamWriter(telling, protocol, None, loop)


def _exit_of(process: subprocess.Popen[bytes]) -> asyncio.Future[None]:
    """Done once the process has ended, also if a child of its own keeps its pipes open."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not exited.done():
            exited.set_result(None)

    def wait() -> None:
        process.wait()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=wait, name=f"worker-{process.pid}", daemon=True).start()
    return exited


def _ended(code: int | None) -> str:
    if code is None:
        return "it could not be ended"
    if code >= 0:
        return f"it ended (exit code {code})"
    with suppress(ValueError):  # a signal without a name
        return f"it was killed ({signal.Signals(-code).name}, signal {-code})"
    return f"it was killed (signal {-code})"


def _log_unforeseen(results: Sequence[BaseException | None]) -> None:
    for result in results:
        if isinstance(result, Exception):
            _LOG.error("a worker is given up, for its front failed", exc_info=result)
