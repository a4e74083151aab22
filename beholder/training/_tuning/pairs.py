"""Pairs of pictures to learn from: judged ones, encoded once and kept on the disk."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import count
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import DataError
from beholder.training._tuning.pairs_latents import LatentStore, write_latents
from beholder.training.fit.checkpoints import write_text
from beholder.training.judged.data import Dropped, counts, pictures_of, usable
from beholder.training.judged.epochs import Epochs
from beholder.training.pipeline import Driver, Sampling
from beholder.training.run import tell_dropped
from beholder.types import Preference

_INDEX = "pairs.json"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Clean latents of pairs of pictures, and how likely the first is the better.

    Attributes:
        winners, losers: one each a pair.
        p: probability that the winner is better; 1 is certain.
        prompts: of the pairs.
    """

    winners: Tensor
    losers: Tensor
    p: Float[Tensor, " b"]
    prompts: Sequence[str]


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Rows of judged pairs to learn on; `number` is the batch's, from 0, over all processes."""

    number: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which pairs are learned from.

    Attributes:
        aspect: whose answers count.
        least: probability that the winner must have; ties are left out in any case.
        is_soft: whether pairs keep their probability or count as certain.
    """

    aspect: str
    least: float
    is_soft: bool = False


class JudgedPairs:
    """Pairs that were judged once and for all.

    Args:
        folder: what `prepare_pairs` wrote.
        pairs: in a batch; the last one of an epoch may hold fewer.
        seed: of the order.
        device: of what it gives.
    """

    def __init__(self, folder: Path, pairs: int, seed: int, device: torch.device) -> None:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        self._pairs: list[tuple[int, int, float, str]] = index["pairs"]
        self._latents = LatentStore(folder)
        self._device = device
        self._epochs = Epochs([[k] for k in range(len(self._pairs))], pairs, seed)

    def __len__(self) -> int:
        return len(self._pairs)

    def batches(self, start: int, stride: int) -> Iterator[PairBatch]:
        """Batches start, start + stride, …; each depends on nothing but its number."""
        for number in count(start, stride):
            yield PairBatch(number, tuple(self._epochs.rows(number)))

    def pairs(self, batch: PairBatch) -> Pairs:
        """The latents of a batch."""
        winners, losers, p, prompts = zip(*(self._pairs[row] for row in batch.rows), strict=True)
        first, second = (self._latents.rows(r).to(self._device) for r in (winners, losers))
        return Pairs(first, second, torch.tensor(p, device=self._device), prompts)


def prepare_pairs(
    preferences: Sequence[Preference],
    rule: Rule,
    driver: Driver,
    sampling: Sampling,
    run: Path,
    relabel: Callable[[Sequence[Preference]], Sequence[Preference]] | None = None,
) -> Path:
    """Encode the pictures of the pairs that a rule keeps; gives the folder for `JudgedPairs`.

    Pairs that cannot be used are told in `dropped.json`. What an earlier start of the run made is
    used again. `relabel` replaces what people said before the rule is applied.

    Raises DataError if no pair is left, or the run began with other preferences or another rule.
    """
    folder = run / "prepared"
    given = _fingerprint(preferences, rule, sampling, is_relabelled=relabel is not None)
    if (folder / _INDEX).exists():
        _check_same(folder / _INDEX, given)
        return folder
    decided, dropped = decide(relabel(preferences) if relabel else preferences, rule)
    rows, faults = write_latents(pictures_of(decided), driver, sampling, folder)
    kept, more = usable(decided, [rule.aspect], faults)
    dropped += more
    tell_dropped(run, dropped, "pairs")
    if not kept:
        raise DataError(f"no pair is left to learn from; dropped: {counts(dropped)}")
    pairs = [
        (rows[p.first], rows[p.second], p.p_first[rule.aspect] if rule.is_soft else 1.0, p.prompt)
        for p in kept
    ]
    write_text(folder / _INDEX, json.dumps({"given": given, "pairs": pairs}))
    return folder


def decide(preferences: Sequence[Preference], rule: Rule) -> tuple[list[Preference], list[Dropped]]:
    """Pairs that a rule keeps, the winner first, and the others with the reason."""
    answered, dropped = usable(preferences, [rule.aspect], {})
    kept = []
    for preference in answered:
        winner = _winner_first(preference, rule.aspect)
        p = winner.p_first[rule.aspect]
        if p == 0.5:
            dropped.append(Dropped(preference.key, "tie: neither is preferred"))
        elif p < rule.least:
            dropped.append(Dropped(preference.key, f"unsure: {p:.3g} is below {rule.least:.3g}"))
        else:
            kept.append(winner)
    return kept, dropped


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Only one process at a time inside; the others of the machine wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".turn").open("w") as file:
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _winner_first(preference: Preference, aspect: str) -> Preference:
    p = preference.p_first[aspect]
    if p >= 0.5:
        return preference
    first, second = preference.second, preference.first
    return replace(preference, first=first, second=second, p_first={aspect: 1 - p})


def _fingerprint(
    preferences: Sequence[Preference], rule: Rule, sampling: Sampling, *, is_relabelled: bool
) -> str:
    rows = [asdict(preference) for preference in preferences]
    how = [asdict(rule), sampling.height, sampling.width, is_relabelled]
    return sha256(json.dumps([rows, how], sort_keys=True).encode()).hexdigest()


def _check_same(path: Path, given: str) -> None:
    if json.loads(path.read_text(encoding="utf-8"))["given"] != given:
        raise DataError(
            f"the preferences, or which of them to learn, changed since {path.parent} was made; "
            "give another run folder"
        )
