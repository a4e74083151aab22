"""Texts that a frozen encoder has seen are not encoded again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

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
    gradient or with a frozen encoder. New weights, another device, type or autocast empty it.
    Several threads may ask at once. A copy, or what a pickle gives back, is empty.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[str, States] = OrderedDict()
        self._bytes = 0
        self._state: object = None
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[TextCache], tuple[int]]:
        return TextCache, (self._limit,)

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
            found = self._looked_up(unique, encoder, encode)
        return tuple(state[rows.to(state.device)] for state in found)

    def _looked_up(
        self, texts: list[str], encoder: nn.Module, encode: Callable[[list[str]], States]
    ) -> States:
        known = self._known(texts, (fingerprint(encoder), _autocast()))
        missing = [text for text in texts if text not in known]
        if missing:
            fresh = encode(missing)
            self._keep(missing, fresh)
            if not known:
                return fresh
            rows = zip(*(state.unbind() for state in fresh), strict=True)
            known |= dict(zip(missing, rows, strict=True))
        return tuple(torch.stack(part) for part in zip(*(known[t] for t in texts), strict=True))

    def _known(self, texts: list[str], state: object) -> dict[str, States]:
        """Those of the texts that are kept; nothing is where the encoder's state is a new one."""
        with self._lock:
            if state != self._state:
                self._kept.clear()
                self._bytes, self._state = 0, state
            found = {text: self._kept[text] for text in texts if text in self._kept}
            for text in found:
                self._kept.move_to_end(text)
            return found

    def _keep(self, texts: list[str], states: States) -> None:
        # copies: a view would hold its whole batch in memory
        entries = [tuple(state[k].detach().clone() for state in states) for k in range(len(texts))]
        with self._lock:
            for text, entry in zip(texts, entries, strict=True):
                self._bytes += _size(entry) - _size(self._kept.pop(text, ()))
                self._kept[text] = entry
            while self._bytes > self._limit and self._kept:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= _size(oldest)


def _size(states: States) -> int:
    return sum(state.nbytes for state in states)


def _autocast() -> tuple[object, ...]:
    """Whether, and to which type, states are computed in another one than that of the weights."""
    return tuple(
        torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        for kind in ("cpu", "cuda")
    )
