"""The memory that requests may take: their bodies, what is fetched for them, long answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from beholder.serving.refusals import NotReadyError, RefusalError, TooLargeError

_AGAIN_SECONDS = 1.0


class Held:
    """The bytes that one request holds."""

    def __init__(self, room: Room, fetchable: int) -> None:
        self._room, self._fetchable = room, fetchable
        self.count = 0

    def expect(self, count: int) -> None:
        """Raise NotReadyError if there is no room for so many now; hold none of them."""
        self._room.check(count)

    def take(self, count: int) -> None:
        """Hold so many more until the request ends.

        Raises NotReadyError if there is no room for them, TooLargeError if there never will be.
        """
        if self.count + count > self._room.limit:
            raise TooLargeError(
                f"the request and its answer take over {self._room.limit:,} bytes; ask for fewer "
                "pictures at once"
            )
        self._room.take(count)
        self.count += count

    def take_fetched(self, count: int) -> bool:
        """Whether there was room for so many bytes of a picture, which are then held.

        A request may fetch as many as it may send.
        """
        if count > self._fetchable:
            return False
        try:
            self.take(count)
        except RefusalError:
            return False
        self._fetchable -= count
        return True


class Room:
    """The bytes that all requests together may hold; for one event loop.

    Attributes:
        limit: of bytes.
        taken: of them, now.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.taken = limit, 0

    def check(self, count: int) -> None:
        """Raise NotReadyError if fewer bytes are free."""
        if count > self.limit - self.taken:
            raise NotReadyError(
                "the requests in hand take all memory that there is for them; try again",
                retry_after=_AGAIN_SECONDS,
            )

    def take(self, count: int) -> None:
        """Take so many bytes; NotReadyError if fewer are free."""
        self.check(count)
        self.taken += count

    @contextmanager
    def held(self, fetchable: int) -> Iterator[Held]:
        """What one request holds, let go in the end however it ends; `held_now` finds it.

        Args:
            fetchable: bytes that may be fetched for it.
        """
        held = Held(self, fetchable)
        token = _HELD.set(held)
        try:
            yield held
        finally:
            _HELD.reset(token)
            self.taken -= held.count


_HELD: ContextVar[Held | None] = ContextVar("held", default=None)


def hold(count: int) -> None:
    """Take so many more bytes for the request that the caller works for, if for any.

    Raises as `Held.take`.
    """
    if (held := _HELD.get()) is not None:
        held.take(count)


def held_now() -> Held | None:
    """What the request holds that the caller works for; None outside of any."""
    return _HELD.get()
