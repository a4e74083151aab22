import torch
from torch import nn

from beholder.rewards._saved_text import SavedText, as_bytes, as_text


class Reader(SavedText, nn.Module):
    """Keeps a text and how long it is."""

    def __init__(self, text: str | None = None) -> None:
        super().__init__()
        self.length = 0
        if text is not None:
            self._take(text)

    def _take(self, text: str) -> None:
        self._saved, self.length = text, len(text)


def test_a_text_becomes_bytes_and_comes_back() -> None:
    for text in ("", "a cat", "猫 \u2028 {}\n"):
        assert as_text(as_bytes(text)) == text
    assert as_bytes("é").tolist() == [195, 169]


def test_a_state_dict_brings_the_text() -> None:
    outer = nn.Sequential(Reader("猫 on a mat"))
    again = nn.Sequential(Reader())
    again.load_state_dict(outer.state_dict())
    reader = again[0]
    assert isinstance(reader, Reader)
    assert reader.length == 10
    assert torch.equal(again.state_dict()["0._extra_state"], as_bytes("猫 on a mat"))


def test_a_state_without_text_changes_nothing() -> None:
    reader = Reader("known")
    reader.load_state_dict(Reader().state_dict())
    assert reader.length == 5
