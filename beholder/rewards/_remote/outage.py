"""What people are told while a server is waited for: once that it lasts, once that it is over."""

from __future__ import annotations

import logging
from typing import Any

_LOG = logging.getLogger(__name__)

QUIET = 2.0
"""Seconds that are waited without a word."""

QUIET_IF_BUSY = 30.0
"""The same for a server that answers, but has its hands full: many clients make that usual."""


class Outage:
    """The silence of one server, shared by all that ask it.

    Without a lock: a process that is forked would inherit it held. What several threads do at once
    are single operations on a dict, so each warning is given by one of them. A copy, or what is
    pickled, knows of no silence.

    Args:
        place: of the server, as it is shown.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._known: dict[str, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Outage, (self._place,)

    def lasts(self, why: str, *, began: float, until: float, limit: float, busy: bool) -> None:
        """A try failed and another comes; warns once, as soon as that takes long.

        Args:
            why: it failed.
            began: when the try did, in seconds of any clock.
            until: when the next one begins, by the same clock.
            limit: seconds that are waited at most.
            busy: whether the server answers, and asks for patience.
        """
        since = self._known.setdefault("since", began)
        if until - since < (QUIET_IF_BUSY if busy else QUIET):
            return
        mine = object()
        if self._known.setdefault("told", mine) is mine:
            _LOG.warning("%s; waiting up to %s", why, spoken(limit))

    def is_given_up(self) -> None:
        """Whoever waited has said so in an error; the next to wait warns again."""
        self._known.pop("told", None)

    def ends(self, now: float) -> None:
        """A try succeeded; says so if the silence was told."""
        if not self._known:
            return
        since, told = self._known.pop("since", None), self._known.pop("told", None)
        if told is not None and since is not None:
            _LOG.warning("%s answers again after %s", self._place, spoken(now - since))


def spoken(seconds: float) -> str:
    """Seconds for people, as "0.4 s" or "12 s"."""
    return f"{seconds:.1f} s" if seconds < 9.95 and seconds % 1 else f"{seconds:.0f} s"
