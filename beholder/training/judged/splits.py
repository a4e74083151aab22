"""What is learned from and what is judged by, so that nothing stands on both sides."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal

from beholder.errors import DataError
from beholder.training.judged.data import Dropped, Sides, counts, usable
from beholder.training.judged.prompts import Judged, folded, split_by
from beholder.types import Preference

_LOG = logging.getLogger(__name__)

Leaks = Literal["refuse", "drop", "allow"]
"""What happens where a prompt or picture of the held-out side stands in training, too: an error,
training goes without such judgements, or nothing. The held-out side stays as it is."""

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Leak(Generic[Judged]):
    """A judgement to learn from that shares something with the held-out side, as `reason` says."""

    judged: Judged
    kind: Literal["prompt", "picture"]
    reason: str


def divide(
    preferences: Sequence[Preference],
    evaluation: Sequence[Preference] | None,
    aspects: Collection[str],
    unreadable: Mapping[str, str],
    *,
    share: float,
    seed: int,
    leaks: Leaks = "refuse",
) -> Sides[Preference]:
    """Pairs to learn from and to judge by, without those that cannot be used.

    Without an `evaluation`, prompts are held out as `hold_out` does; none if `share` is 0.
    Raises DataError if no pair is left to learn from, or none to judge by that is not a tie, or
    something stands on both sides that `leaks` refuses.
    """
    training, dropped = usable(preferences, aspects, unreadable)
    held_out: list[Preference] = []
    if evaluation is not None:
        held_out, more = usable(evaluation, aspects, unreadable)
        dropped += more
    elif share > 0 and training:
        training, held_out = hold_out(training, lambda p: p.prompt, _both, share, seed, leaks)
    training, leaked = without_leaks(training, held_out, _both, leaks)
    dropped += leaked
    if not training:
        raise DataError(f"no pair is left to learn from; dropped: {counts(dropped)}")
    answers = (p for row in held_out for a, p in row.p_first.items() if a in aspects)
    if (evaluation is not None or share > 0) and all(p == 0.5 for p in answers):
        raise DataError("no held-out pair has an answer that is not a tie; give an evaluation set")
    return Sides(training, held_out, dropped)


def hold_out(
    judged: Sequence[Judged],
    name: Callable[[Judged], str],
    pictures: Callable[[Judged], Iterable[str]],
    share: float,
    seed: int,
    leaks: Leaks,
) -> tuple[list[Judged], list[Judged]]:
    """Judgements to learn from and held out, by whole prompts as in `split_by_prompt`.

    Where `leaks` refuses them, prompts that share a picture, directly or through other prompts, are
    on one side, so that none leaks. "drop" and "allow" split such prompts.
    Raises DataError if there is one prompt, or pictures tie them all together.
    """
    tied = tied_by_pictures(judged, name, pictures) if leaks == "refuse" else None
    return split_by(judged, name, share, seed, tied)


def tied_by_pictures(
    judged: Sequence[Judged],
    name: Callable[[Judged], str],
    pictures: Callable[[Judged], Iterable[str]],
) -> dict[str, str]:
    """Folded name -> one that stands for all names that its pictures tie together.

    Pictures are the same if their path or content is, as in `find_leaks`.
    """
    same = _by_content({str(picture) for one in judged for picture in pictures(one)})
    parents: dict[str, str] = {}
    owner: dict[str, str] = {}

    def top(text: str) -> str:
        while parents.setdefault(text, text) != text:
            parents[text] = text = parents[parents[text]]
        return text

    for one in judged:
        own = folded(name(one))
        for picture in pictures(one):
            parents[top(own)] = top(owner.setdefault(same.get(picture, picture), own))
    return {text: top(text) for text in list(parents)}


def without_leaks(
    training: list[Judged],
    held_out: Sequence[Judged],
    pictures: Callable[[Judged], Iterable[str]],
    leaks: Leaks,
) -> tuple[list[Judged], list[Dropped]]:
    """The judgements to learn from, and those that were dropped since they leak.

    Raises DataError, with how many and examples, if there are some and `leaks` refuses them.
    """
    found = find_leaks(training, held_out, pictures)
    if not found or leaks == "allow":
        if found:
            _LOG.warning("%s; they stay, so the evaluation flatters the reward", _told(found))
        return training, []
    if leaks == "refuse":
        raise DataError(
            f"{_told(found)}; leaks=drop trains without them, leaks=allow trains with them"
        )
    leaked = {id(leak.judged) for leak in found}
    dropped = [Dropped(leak.judged.key, f"leak: {leak.reason}") for leak in found]
    return [one for one in training if id(one) not in leaked], dropped


def find_leaks(
    training: Sequence[Judged],
    held_out: Sequence[Judged],
    pictures: Callable[[Judged], Iterable[str]],
) -> list[Leak[Judged]]:
    """Judgements whose prompt, or one of whose pictures, stands on the held-out side, too.

    Prompts are compared as `folded`; an empty one is none. A picture is the same if its path or
    the content of its file is.
    """
    prompts = {folded(one.prompt) for one in held_out} - {""}
    shown = [{str(p) for one in side for p in pictures(one)} for side in (training, held_out)]
    copies = same_pictures(*shown)
    found = []
    for one in training:
        if folded(one.prompt) in prompts:
            found.append(Leak(one, "prompt", f"the prompt {one.prompt!r} is held out"))
        elif hit := next((p for p in pictures(one) if p in copies), None):
            found.append(Leak(one, "picture", f"the picture {hit} is held out as {copies[hit]}"))
    return found


def same_pictures(training: set[str], held_out: set[str]) -> dict[str, str]:
    """Picture to learn from -> the held-out one that is the same, by path or content.

    Only files whose sizes meet are read.
    """
    sizes: defaultdict[int, set[str]] = defaultdict(set)
    for picture in held_out:
        sizes[_size(picture)].add(picture)
    contents: dict[int, dict[str, str]] = {}
    found = {}
    for picture in sorted(training):
        size = _size(picture)
        if picture in held_out:
            found[picture] = picture
        elif size >= 0 and size in sizes:
            if size not in contents:
                contents[size] = {_content(p): p for p in sorted(sizes[size])}
            if twin := contents[size].get(_content(picture)):
                found[picture] = twin
    return found


def _by_content(pictures: set[str]) -> dict[str, str]:
    """Picture -> the first one of the same content. Only files whose sizes meet are read."""
    sizes: defaultdict[int, list[str]] = defaultdict(list)
    for picture in sorted(pictures):
        sizes[_size(picture)].append(picture)
    firsts: dict[str, str] = {}
    return {
        picture: firsts.setdefault(_content(picture), picture)
        for size, alike in sizes.items()
        if size >= 0 and len(alike) > 1
        for picture in alike
    }


def _both(preference: Preference) -> tuple[str, str]:
    return preference.first, preference.second


def _told(leaks: Sequence[Leak[Judged]]) -> str:
    by_prompt = sum(leak.kind == "prompt" for leak in leaks)
    examples = "; ".join(dict.fromkeys(leak.reason for leak in leaks[:_EXAMPLES]))
    return (
        f"{len(leaks)} judgements to learn from leak into the held-out side, {by_prompt} by their "
        f"prompt and {len(leaks) - by_prompt} by a picture (such as: {examples})"
    )


def _size(picture: str) -> int:
    """Bytes of a file, -1 if there is none."""
    try:
        return os.stat(picture).st_size  # noqa: PTH116  (half the time, for a million pictures)
    except (OSError, ValueError):
        return -1


def _content(picture: str) -> str:
    return hashlib.sha256(Path(picture).read_bytes()).hexdigest()
