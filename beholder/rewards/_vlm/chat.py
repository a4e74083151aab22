"""A question about a picture as token ids of Qwen2's chat format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import override

from beholder.errors import ConfigError, DataError
from beholder.rewards._saved_text import SavedText

IMAGE = "<|image_pad|>"
CHAT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    f"<|im_start|>user\n<|vision_start|>{IMAGE}<|vision_end|>{{text}}<|im_end|>\n"
    "<|im_start|>assistant\n"
)
"""One picture and one text of the user, as the chat template of Qwen2-VL-Instruct sets them."""

_SPECIAL = re.compile(r"(<\|\w+\|>)")


@dataclass(frozen=True)
class Chats:
    """A batch of chats about pictures with the same number of tokens.

    Rows start alike, up to and with the picture's tokens, and are padded on the right.

    Attributes:
        ids: of tokens.
        before: tokens before the picture's.
        places: of the token of each row whose state is read.
    """

    ids: Int[Tensor, "b l"]
    before: int
    places: Int[Tensor, " b"]

    def to(self, device: torch.device) -> Chats:
        """The same chats on another device."""
        return Chats(self.ids.to(device), self.before, self.places.to(device))


class ChatTokenizer(SavedText, nn.Module):
    """Renders chats around a user's text; its tokenizer is saved beside the model's weights.

    Args:
        tokenizer: the text of a tokenizer.json; None until `load_state_dict` brings it.
        added: special tokens put behind its vocabulary if it lacks them.
    """

    def __init__(self, tokenizer: str | None = None, added: Sequence[str] = ()) -> None:
        super().__init__()
        self._saved = tokenizer or ""
        self._added = list(added)
        self._parsed: Any = None

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def special(self, token: str) -> int:
        """The id of a special token; ConfigError if the tokenizer has none."""
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ConfigError(f"the tokenizer has no token {token}; expected Qwen2-VL's")
        return int(found)

    def ids(self, template: str, text: str = "") -> list[int]:
        """Ids of a template with `text` in the place of "{text}".

        Special tokens of the template are special; those that the text spells out are plain text.
        """
        found: list[int] = []
        for part in _SPECIAL.split(template):
            if _SPECIAL.fullmatch(part):
                found.append(self.special(part))
            elif part:
                filled = part.replace("{text}", text)
                found += self._tokenizer.encode(filled, add_special_tokens=False).ids
        return found

    def render(self, template: str, texts: Sequence[str], cells: int) -> Chats:
        """Each text's chat, to be read at its last token.

        The picture's one token of the template becomes `cells` of them.
        """
        image = self.special(IMAGE)
        rows = [self.ids(template, text) for text in texts]
        before = rows[0].index(image)
        spread = [row[:before] + [image] * cells + row[before + 1 :] for row in rows]
        ids = pad_sequence([torch.tensor(row) for row in spread], batch_first=True)
        return Chats(ids, before, torch.tensor([len(row) - 1 for row in spread]))

    def read(self, ids: Int[Tensor, "b l"], places: Int[Tensor, " b"], cells: int) -> Chats:
        """Chats of given ids; DataError unless each has `cells` picture tokens at one place."""
        is_picture = ids == self.special(IMAGE)
        before = int(is_picture[0].int().argmax())
        expected = torch.zeros_like(is_picture)
        expected[:, before : before + cells] = True
        if not torch.equal(is_picture, expected):
            raise DataError(
                f"a picture of {cells} tokens needs {cells} {IMAGE} in a run, at the same place "
                "in every row"
            )
        return Chats(ids, before, places)

    @override
    def _take(self, text: str) -> None:
        self._saved, self._parsed = text, None

    @property
    def _tokenizer(self) -> Any:
        if self._parsed is None:
            self._parsed = _parse(self._saved, self._added)
        return self._parsed


def _parse(text: str, added: list[str]) -> Any:
    from tokenizers import Tokenizer  # noqa: PLC0415

    if not text:
        raise ConfigError("the model has no tokenizer; give it the option tokenizer")
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises nothing narrower
        raise ConfigError(f"the tokenizer is not the text of a tokenizer.json: {error}") from error
    tokenizer.add_special_tokens(added)
    tokenizer.encode_special_tokens = True  # a special that a prompt spells out is plain text
    return tokenizer
