"""Connections of bounded number, that must send a header in time and read what they asked for.

uvicorn bounds none of the three: a client that sends half a header, or never reads its answer,
stays for as long as it likes. And it ends connections without a word: the next request of a client
may be on its way then, and would be lost.
"""

from __future__ import annotations

import asyncio

import h11
from typing_extensions import override
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

from beholder.serving.settings import RequestLimits

_SLOWEST = 16 * 2**10
"""Bytes a second that a client must read of an answer, while one waits for it."""
_LOOKS = 8
"""How often one looks after a client that reads slowly, in the time that it has to begin."""
_GRACE_SECONDS = 1.0
"""How long a server that ends still takes a request from a connection that it had no say to."""
_MAY_GO_SECONDS = 5.0
"""How long a connection was idle before it may have to go for another."""
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"content-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
)
_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def guarded_protocol(limits: RequestLimits) -> type[asyncio.Protocol]:
    """HTTP/1.1 as uvicorn speaks it, in pure Python, within these limits."""

    class Guarded(_GuardedProtocol):
        _limits = limits

    return Guarded


class Pace:
    """The seconds that a client may still let one wait for it, while it reads an answer.

    What it reads earns it more, one for `_SLOWEST` bytes, but never more than it had at first: what
    the buffers of the system take at once is no promise of the rest.

    Args:
        patience: seconds that it has at first.
    """

    def __init__(self, patience: float) -> None:
        self._patience = self._left = patience
        self._unread = 0

    def wait(self, unread: int) -> None:
        """Begin to wait, with so many bytes unread."""
        self._unread = unread

    def waited(self, seconds: float, unread: int) -> bool:
        """Whether the client may go on, after so many seconds more and with so many unread."""
        read = max(0, self._unread - unread)
        self._left = min(self._patience, self._left - seconds + read / _SLOWEST)
        self._unread = unread
        return self._left > 0


class _GuardedProtocol(H11Protocol):
    """One connection."""

    _limits: RequestLimits
    _is_refused = _is_ending = False
    _idle_since = _looked_at = 0.0
    _pace: Pace
    _header: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None
    _farewell: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self._limits.connections and not self._make_room():
            self._is_refused = True
            transport.write(_FULL)
            transport.close()
            return
        super().connection_made(transport)
        self._pace = Pace(self._limits.body_seconds)
        self._mind_header()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._header = _stopped(self._header)
        self._reading = _stopped(self._reading)
        self._farewell = _stopped(self._farewell)
        if not self._is_refused:
            super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if not self._is_refused:
            super().data_received(data)
            self._mind()

    @override
    def on_response_complete(self) -> None:
        self._forget_pace()
        super().on_response_complete()
        self._idle_since = self.loop.time()
        self._mind()

    @override
    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._mind()

    @override
    def shutdown(self) -> None:
        """End after the answer that is due, or after a moment in which a request may still come."""
        self._is_ending = True
        self._mind()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._mind_reading()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            if self._reading is not None:
                self._look()
            self._reading = _stopped(self._reading)
            self._forget_pace()

    def _make_room(self) -> bool:
        """Whether another connection ends for this one: the one that was idle longest, if long."""
        others = [c for c in self.connections if isinstance(c, _GuardedProtocol) and c._may_go]
        if not others:
            return False
        min(others, key=lambda other: other._idle_since)._end_idle()
        return True

    @property
    def _may_go(self) -> bool:
        is_kept = self.cycle is not None and self._is_idle and not self.transport.is_closing()
        is_still = not self.conn.trailing_data[0] and not self.transport.get_write_buffer_size()
        return is_kept and is_still and self.loop.time() - self._idle_since >= _MAY_GO_SECONDS

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _mind(self) -> None:
        """See to whatever is due after something happened."""
        self._mind_header()
        if self._is_ending:
            self._mind_farewell()
        if self.transport.is_closing():  # it ends only once the client has read all
            self._mind_reading()

    def _mind_header(self) -> None:
        """Give a header its time, from the first byte of it, or from that of the connection."""
        is_new = self.cycle is None
        is_due = self.conn.their_state is h11.IDLE and (is_new or bool(self.conn.trailing_data[0]))
        if not is_due or self.transport.is_closing():
            self._header = _stopped(self._header)
        elif self._header is None:
            self._header = self.loop.call_later(self._limits.header_seconds, self._end_header)

    def _mind_farewell(self) -> None:
        """Tell the client with its answer that it is the last; uvicorn adds what it asked for."""
        if not self._is_idle:
            if CLOSE_HEADER not in self.scope["headers"]:
                self.scope["headers"] = [*self.scope["headers"], CLOSE_HEADER]
        elif self._farewell is None:
            self._farewell = self.loop.call_later(_GRACE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        self._farewell = None
        is_coming = bool(self.conn.trailing_data[0])
        if self._is_idle and not is_coming and not self.transport.is_closing():
            super().shutdown()
            self._mind_reading()

    def _end_header(self) -> None:
        if self.conn.trailing_data[0]:  # it began: tell why it ends
            self.transport.write(_SLOW)
        self.transport.close()
        self._mind()

    def _mind_reading(self) -> None:
        if self._reading is None and (unread := self.transport.get_write_buffer_size()):
            self._pace.wait(unread)
            self._look_later()

    def _look_later(self) -> None:
        self._looked_at = self.loop.time()
        self._reading = self.loop.call_later(self._limits.body_seconds / _LOOKS, self._look_again)

    def _look(self) -> bool:
        """Whether the client reads fast enough.

        A loop that stood still looks late, and had no time to send: that counts as one look.
        """
        seconds = min(self.loop.time() - self._looked_at, self._limits.body_seconds / _LOOKS)
        return self._pace.waited(seconds, self.transport.get_write_buffer_size())

    def _look_again(self) -> None:
        self._reading = None
        if not self._look():
            self.transport.abort()
        elif self.transport.get_write_buffer_size():
            self._look_later()

    def _forget_pace(self) -> None:
        """The next answer is read anew; not before all of this one is."""
        if self._is_idle and not self.flow.write_paused:
            self._pace = Pace(self._limits.body_seconds)


def _stopped(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """None, in place of the timer."""
    if timer is not None:
        timer.cancel()
    return None
