"""What a driver and its worker processes tell each other, through the worker's stdin and stdout.

The driver's messages are shards and `Stop`; the worker's are `Ready`, `Progress`, `ShardDone`,
`ShardFailed`, `Broken` and `Fatal`. Both ends are one program on one machine, so the messages are
pickles.
"""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass
from typing import BinaryIO

from beholder._run_folder import Run
from beholder.errors import (
    BeholderError,
    ConfigError,
    DataError,
    MissingDependencyError,
    WeightsError,
)


@dataclass(frozen=True, slots=True)
class Stop:
    """There is no further shard."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The rewards are loaded and the folder is claimed."""

    run: Run


@dataclass(frozen=True, slots=True)
class Progress:
    """So many pictures were scored since the last message."""

    pictures: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker ends, for what was raised is beyond a shard, such as by a GPU that is lost."""

    why: str


@dataclass(frozen=True, slots=True)
class Fatal:
    """No shard can be scored, such as for want of weights; `kind` takes `text` alone."""

    kind: type[BeholderError]
    text: str

    @staticmethod
    def of(error: BeholderError | OSError) -> Fatal:
        """The same error, so that another process can raise it."""
        plain = (ConfigError, WeightsError, MissingDependencyError)
        return Fatal(next((k for k in plain if isinstance(error, k)), DataError), str(error))


class Channel:
    """Messages both ways."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader, self._writer = reader, writer

    def send(self, message: object) -> bool:
        """Whether the other side could be told; it cannot once it is gone."""
        try:
            pickle.dump(message, self._writer)
            self._writer.flush()
        except (OSError, ValueError):  # ValueError: closed on our side
            return False
        return True

    def receive(self) -> object | None:
        """The next message; None once the other side is gone."""
        try:
            message: object = pickle.load(self._reader)
        except (EOFError, OSError, pickle.UnpicklingError, ValueError):
            return None
        return message

    def hang_up(self) -> None:
        """Send no more; the other side finds out."""
        try:
            self._writer.close()
        except OSError:  # what waited in the buffer has no reader
            return

    def close(self) -> None:
        """Send and receive no more; nobody may be receiving."""
        self.hang_up()
        self._reader.close()


def of_worker() -> Channel:
    """The channel of this process to its driver; what it prints from now on goes to stderr."""
    sys.stdout.flush()
    channel = Channel(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return channel
