"""Items in, answers out: threads decode, one thread scores batches of what is decoded by then.

There is no timer. A batch is whatever is decoded for one reward when the last batch ends, so that
an item that comes alone never waits, and batches grow with the load.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch

from beholder.rewards import Reward
from beholder.rewards._cells import is_broken
from beholder.rewards._prompts import prompt_fault
from beholder.serving.backlog import Backlog, Finished, Part, Shared, Ticket
from beholder.serving.decoding import decoded, decoding_bytes
from beholder.serving.items import Answer, Detail, Fault, Item, Scored
from beholder.serving.link import Batch
from beholder.serving.scored import scored_rows
from beholder.serving.settings import WorkerSettings
from beholder.serving.warming import warm_decoders, warmed

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

PASS_SECONDS = 15.0
"""That a pass takes at most: a quarter of the minute in which a request must be answered."""


class Engine:
    """Scores items by several rewards of one process.

    Every item that is submitted is answered once, in any order. Pictures are decoded once for all
    rewards and items that show them. What one item does to a reward harms no other item: a batch
    that fails is tried again in halves, down to single items. A batch of a slow reward is as small
    as the seconds bid that its pictures took the last time, so that who waits for the next is not
    too late, and a pass is not taken for one that hangs.

    Args:
        rewards: by the names that they are served by; in eval mode from now on.
        settings: of the worker.
        answer: called with each item's number and answer, in any thread; it should not wait.
        told: called with each batch, in the thread of the models, before its items are answered.
        broken: called once nothing can be scored any more, such as by a GPU that is lost. The
            process should end: items in hand are not answered.
        pass_seconds: that a pass of more than one picture may take.
    """

    def __init__(
        self,
        rewards: Mapping[str, Reward],
        settings: WorkerSettings,
        answer: Callable[[int, Answer], object],
        told: Callable[[Batch], object],
        broken: Callable[[BaseException], object],
        *,
        pass_seconds: float = PASS_SECONDS,
    ) -> None:
        self._rewards = {name: reward.eval() for name, reward in rewards.items()}
        self._settings = settings
        self._answer, self._told, self._broken = answer, told, broken
        self._fittings = {name: reward.fitting for name, reward in rewards.items()}
        self._backlog = Backlog(self._fittings)
        self._pass_seconds = pass_seconds
        self._most: dict[str, int] = {}
        self._changed = threading.Condition()
        self._decoding = 0
        self._is_scoring = False
        self._decoders = settings.decoders or min(8, os.cpu_count() or 1)
        self._decode_threads = ThreadPoolExecutor(self._decoders, thread_name_prefix="decode")
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._known_failures: set[str] = set()

    def warm_up(self) -> dict[str, tuple[Detail, ...]]:
        """Decode and score noise, so that the first items are not slow; to be called once.

        Gives what each can tell beside total and aspects. Raises ConfigError if one cannot score
        a picture, or not a whole batch at once.
        """
        settings = self._settings
        self._decode_threads.submit(warm_decoders, settings.alpha, settings.pictures)
        found = {
            name: self._model_thread.submit(warmed, name, reward, settings.batch_size)
            for name, reward in self._rewards.items()
        }
        warm = {name: future.result() for name, future in found.items()}
        self._most = {name: self._most_of(one.seconds) for name, one in warm.items()}
        return {name: one.details for name, one in warm.items()}

    def submit(self, number: int, item: Item) -> None:
        """Take an item; its rewards must be among the engine's, its number not in hand."""
        rewards = list(dict.fromkeys(item.rewards))
        faults = {name: why for name in rewards if (why := self._foreseen(name, item))}
        rewards = [name for name in rewards if name not in faults]
        if isinstance(item.picture, Fault) or not rewards:
            self._answer(number, Answer(faults=faults))
            return
        ticket = Ticket(
            id=number,
            prompt=item.prompt or "",
            detail=item.detail,
            since=time.monotonic(),
            faults=faults,
        )
        memory = decoding_bytes(item.picture, self._settings.pictures)
        with self._changed:
            self._backlog.add(ticket, item.picture, rewards, memory)
            self._go_on()

    def cancel(self, number: int) -> None:
        """Nobody waits for that item: it is dropped and answered empty.

        Of an item whose picture is being decoded, or whose batch runs, at the end of that.
        """
        with self._changed:
            finished = self._backlog.cancel(number)
            self._go_on()
        self._tell(finished)

    def close(self) -> None:
        """Answer what was submitted, then end the threads."""
        with self._changed:
            self._changed.wait_for(lambda: not self._backlog)
        self._decode_threads.shutdown()
        self._model_thread.shutdown()

    def _foreseen(self, name: str, item: Item) -> Fault | None:
        """Why a reward need not even try an item."""
        if isinstance(item.picture, Fault):
            return item.picture
        if item.prompt is None:
            card = self._rewards[name].card
            needed = f"{card.name} needs a prompt, this item has none"
            return Fault("no-prompt", needed) if card.needs_prompt else None
        why = prompt_fault(item.prompt)
        return Fault("prompt", why) if why else None

    def _go_on(self) -> None:
        """Begin what can begin; whoever calls holds the lock."""
        while self._decoding < self._decoders and (shared := self._backlog.next_picture()):
            self._decoding += 1
            self._decode_threads.submit(self._watched, self._decode, shared)
        if not self._is_scoring:
            parts = self._backlog.batch(self._settings.batch_size, self._most)
            if parts:
                self._is_scoring = True
                self._model_thread.submit(self._watched, self._score, parts)
        if not self._backlog:
            self._changed.notify_all()

    def _most_of(self, seconds: float) -> int:
        """Pictures in a pass, of so many seconds each."""
        most = self._settings.batch_size
        return (
            most if most * seconds <= self._pass_seconds else int(self._pass_seconds / seconds) or 1
        )

    def _tell(self, finished: Finished) -> None:
        for number, answer in finished:
            self._answer(number, answer)

    def _watched(self, work: Callable[[T], None], given: T) -> None:
        try:
            work(given)
        except BaseException as error:  # noqa: BLE001  (a thread that ends would say nothing)
            self._broken(error)

    def _decode(self, shared: Shared) -> None:
        settings = self._settings
        found = decoded(shared.picture, shared.fittings, settings.alpha, settings.pictures)
        with self._changed:
            self._decoding -= 1
            finished = self._backlog.decoded(shared, found)
            self._go_on()
        self._tell(finished)

    def _score(self, parts: list[Part]) -> None:
        start = time.monotonic()
        outcomes = self._outcomes(parts)
        seconds = time.monotonic() - start
        with self._changed:
            self._is_scoring = False
            self._most[parts[0].reward] = self._most_of(seconds / len(parts))
            finished = [
                done
                for part, outcome in zip(parts, outcomes, strict=True)
                for done in self._backlog.done(part, outcome)
            ]
            self._go_on()
        waited = start - min(part.ticket.since for part in parts)
        self._told(Batch(parts[0].reward, len(parts), seconds, waited))
        self._tell(finished)

    def _outcomes(self, parts: Sequence[Part]) -> list[Scored | Fault]:
        try:
            return self._scored(parts)
        except Exception as error:
            if is_broken(error):
                raise
            if len(parts) == 1:
                return [self._failure(parts[0].reward, error)]
        # outside the handler, whose error holds the tensors of the pass that failed
        half = len(parts) // 2
        return self._outcomes(parts[:half]) + self._outcomes(parts[half:])

    @torch.no_grad()
    def _scored(self, parts: Sequence[Part]) -> list[Scored | Fault]:
        name = parts[0].reward
        scores = self._rewards[name].score_rows(
            [part.shared.views[self._fittings[name]] for part in parts],
            [part.ticket.prompt for part in parts],
            [part.shared.size for part in parts],
        )
        return scored_rows(scores.detach(), [part.ticket.detail for part in parts])

    def _failure(self, reward: str, error: Exception) -> Fault:
        """Type and place alone: what a library says may quote a prompt."""
        at = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}"
        if said not in self._known_failures:
            self._known_failures.add(said)
            _LOG.warning("%s cannot score an item: %s", reward, said)
        return Fault("reward-failed", said)
