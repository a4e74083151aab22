"""Texts that a frozen encoder has seen are not encoded again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from beholder.rewards._frozen import fingerprint, is_frozen
from beholder.rewards._prompts import distinct

LIMIT_BYTES = 256 * 2**20
"""States of about this size are kept; the texts asked for longest ago go first."""

States = tuple[Tensor, ...]


class TextCache:
    """States of texts between calls, one entry a text, in bounded memory.

    It is used only where the states cannot change and carry no gradient: in eval mode, without
    gradient or with a frozen encoder. New weights, another device or type empty it.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[str, States] = OrderedDict()
        self._bytes = 0
        self._state: object = None

    def __deepcopy__(self, memo: dict[int, object]) -> TextCache:
        return TextCache(self._limit)

    def __len__(self) -> int:
        return len(self._kept)

    def states(
        self, texts: Sequence[str], encoder: nn.Module, encode: Callable[[list[str]], States]
    ) -> States:
        """Tensors with a row for each of `texts`; each distinct text is encoded once.

        `encode` gives tensors with a row for each text that it gets, rows that depend on no other
        text; `encoder` holds the weights that it uses.
        """
        unique, rows = distinct(texts)
        if not is_frozen(encoder):
            found = encode(unique)
        else:
            self._follow(encoder)
            found = self._looked_up(unique, encode)
        return tuple(state[rows.to(state.device)] for state in found)

    def _looked_up(self, texts: list[str], encode: Callable[[list[str]], States]) -> States:
        missing = [text for text in texts if text not in self._kept]
        known = {text: self._kept[text] for text in texts if text in self._kept}
        if missing:
            fresh = encode(missing)
            if not known:
                self._keep(missing, fresh)
                return fresh
            rows = zip(*(state.unbind() for state in fresh), strict=True)
            known |= dict(zip(missing, rows, strict=True))
            self._keep(missing, fresh)
        for text in known:
            if text in self._kept:
                self._kept.move_to_end(text)
        return tuple(torch.stack(part) for part in zip(*(known[t] for t in texts), strict=True))

    def _keep(self, texts: list[str], states: States) -> None:
        for row, text in enumerate(texts):
            # copies: a view would hold its whole batch in memory
            entry = tuple(state[row].detach().clone() for state in states)
            self._kept[text] = entry
            self._bytes += _size(entry)
        while self._bytes > self._limit and self._kept:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)

    def _follow(self, encoder: nn.Module) -> None:
        state = fingerprint(encoder)
        if state != self._state:
            self._kept.clear()
            self._bytes, self._state = 0, state


def _size(states: States) -> int:
    return sum(state.nbytes for state in states)
