"""Scores of a batch to what each of its items is told: finite numbers, or why there are none."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence, Set

import numpy as np

from beholder.serving.items import Detail, Fault, Map, Scored, Word
from beholder.types import Scores

_CODE = re.compile("[a-z-]{1,32}")


def scored_rows(scores: Scores, details: Sequence[Set[Detail]]) -> list[Scored | Fault]:
    """For each row its scores with the details that it asks for, or its fault.

    `scores` are those of `Reward.score_rows`, on the CPU. An aspect that is not finite is unknown;
    of anything else that is asked for, such a number is a fault.
    """
    totals = scores.total.tolist()
    aspects = {name: values.tolist() for name, values in scores.aspects.items()}
    rows = enumerate(zip(totals, details, strict=True))
    return [
        Fault(*_code_and_reason(scores.errors[row]))
        if row in scores.errors
        else _scored(scores, row, total, {a: values[row] for a, values in aspects.items()}, detail)
        for row, (total, detail) in rows
    ]


def details_of(scores: Scores) -> tuple[Detail, ...]:
    """What scores tell beside total and aspects."""
    found: list[Detail] = []
    if scores.maps:
        found.append("maps")
    if any(scores.words):
        found.append("words")
    if scores.deviations:
        found.append("deviations")
    return tuple(found)


def _code_and_reason(why: str) -> tuple[str, str]:
    code, _, reason = why.partition(": ")
    return (code, reason) if _CODE.fullmatch(code) and reason else ("non-finite", why)


def _scored(
    scores: Scores, row: int, total: float, aspects: dict[str, float], detail: Set[Detail]
) -> Scored | Fault:
    deviations = _deviations(scores, row) if "deviations" in detail else {}
    maps = _maps(scores, row) if "maps" in detail else {}
    words = _words(scores, row) if "words" in detail else ()
    bad = [f"deviation of {name}" for name, value in deviations.items() if not math.isfinite(value)]
    bad += [f"map of {kind}" for kind, drawn in maps.items() if drawn is None]
    bad += ["probability of a word" for word in words if not math.isfinite(word.p_misaligned)]
    if bad:
        return Fault("non-finite", f"the reward gave no finite {bad[0]}")
    height, width = scores.sizes[row]
    return Scored(
        total=total,
        aspects={name: value if math.isfinite(value) else None for name, value in aspects.items()},
        deviations=deviations,
        maps={kind: drawn for kind, drawn in maps.items() if drawn is not None},
        words=words,
        size=(height, width),
    )


def _deviations(scores: Scores, row: int) -> dict[str, float]:
    return {name: float(values[row]) for name, values in scores.deviations.items()}


def _maps(scores: Scores, row: int) -> dict[str, Map | None]:
    """The maps as the reward draws them; None in place of one that is not finite."""
    found: dict[str, Map | None] = {}
    for kind, maps in scores.maps.items():
        values = maps[row].numpy().astype("<f4", copy=False)
        height, width = values.shape
        is_finite = bool(np.isfinite(values).all())
        found[kind] = Map(height, width, values.tobytes()) if is_finite else None
    return found


def _words(scores: Scores, row: int) -> tuple[Word, ...]:
    labels = scores.words[row] if scores.words else ()
    return tuple(Word(w.word, w.start, w.end, w.p_misaligned) for w in labels)
