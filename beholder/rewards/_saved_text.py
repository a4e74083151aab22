"""Texts that are saved beside a module's weights, such as its tokenizer."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import UInt8
from torch import Tensor


class SavedText:
    """A module, of which this is the first base, with a text that its state dict brings."""

    _saved: str = ""

    @abstractmethod
    def _take(self, text: str) -> None:
        """Become what a saved text says, and keep it as `_saved`."""

    def get_extra_state(self) -> Tensor:
        """The text's bytes, which torch puts into the state dict."""
        return as_bytes(self._saved)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the text of a state dict; one without text changes nothing."""
        if len(state):
            self._take(as_text(state))


def as_bytes(text: str) -> UInt8[Tensor, " n"]:
    """A text as a tensor that can be saved beside weights."""
    data = bytearray(text.encode())
    return torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0).byte()


def as_text(state: UInt8[Tensor, " n"]) -> str:
    """The text that `as_bytes` packed."""
    return state.cpu().numpy().tobytes().decode()
