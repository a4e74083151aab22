"""Prompts as tokens of T5 or BERT: which token belongs to which word, and how a word is marked."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards._towers._encoders import TextEncoder, as_bytes, as_text
from beholder.words import word_spans

MARK = "_0"
"""What the decoder writes behind a misaligned word (Liang et al., CVPR 2024)."""

_SPECIALS = (("<pad>", "</s>", "<pad>"), ("[PAD]", "[SEP]", "[CLS]"))
"""Padding, end and the decoder's first token as T5 and as BERT call them."""


@dataclass(frozen=True)
class Spelling:
    """A word in tokens as it is, and with the mark behind it; the two always differ."""

    plain: tuple[int, ...]
    marked: tuple[int, ...]

    def form(self, is_marked: bool) -> tuple[int, ...]:
        """The word marked or plain."""
        return self.marked if is_marked else self.plain

    @cached_property
    def shared(self) -> int:
        """Tokens from the start on that are the same in both."""
        pairs = zip(self.plain, self.marked, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


class WordTokenizer(nn.Module):
    """A tokenizer that knows words; it is saved beside the model's weights.

    Args:
        tokenizer: the text of a tokenizer.json of T5 or BERT; None until `load_state_dict` brings
            it.
    """

    def __init__(self, tokenizer: str | None = None) -> None:
        super().__init__()
        self._saved = tokenizer or ""
        self._lender: tuple[TextEncoder, ...] = ()  # in a tuple, as it is no part of this module
        self._parsed: _Vocabulary | None = None

    @classmethod
    def beside(cls, encoder: TextEncoder | None, tokenizer: str | None = None) -> WordTokenizer:
        """The tokenizer of that text encoder, which saves it; without an encoder, an own one.

        Raises ConfigError if both bring one.
        """
        if encoder is not None and tokenizer is not None:
            raise ConfigError("the text encoder has its own tokenizer; leave out tokenizer")
        words = cls(tokenizer)
        words._lender = () if encoder is None else (encoder,)
        return words

    @property
    def pad_id(self) -> int:
        """What fills short rows."""
        return self._vocabulary.pad_id

    @property
    def eos_id(self) -> int:
        """What ends a sentence."""
        return self._vocabulary.eos_id

    @property
    def start_id(self) -> int:
        """What the decoder is given first."""
        return self._vocabulary.start_id

    def special_ids(self) -> dict[str, int]:
        """Values of a `T5Config` that follow from the tokenizer; none before it is loaded."""
        if not self._text:
            return {}
        return {
            "vocab_size": int(self._vocabulary.tokenizer.get_vocab_size()),
            "pad_token_id": self.pad_id,
            "eos_token_id": self.eos_id,
            "decoder_start_token_id": self.start_id,
        }

    def encode(self, texts: Sequence[str]) -> tuple[Int[Tensor, "b l"], Bool[Tensor, "b l"]]:
        """Ids padded to the longest text, and which of them are no padding; nothing is cut off.

        Special tokens that a text spells out are plain text.
        """
        encodings = self._vocabulary.encode(texts)
        return padded([encoding.ids for encoding in encodings], self.pad_id)

    def word_tokens(self, text: str) -> list[list[int]]:
        """For each word of `word_spans` the positions in `encode` of the tokens that overlap it.

        Neighbours may share a token. A word that the tokenizer drops, such as a control character,
        has none.
        """
        (encoding,) = self._vocabulary.encode([text])
        special = encoding.special_tokens_mask
        positions = [at for at, is_special in enumerate(special) if not is_special]
        starts, ends = ([encoding.offsets[at][side] for at in positions] for side in (0, 1))
        return [
            positions[bisect_right(ends, start) : bisect_left(starts, end)]
            for start, end in word_spans(text)
        ]

    def spell(self, words: Sequence[str]) -> list[Spelling]:
        """Each word in tokens, plain and marked.

        Of T5, the tokens of all words one after another are those of the words joined by spaces.
        """
        plain = self._vocabulary.encode(words, specials=False)
        marked = self._vocabulary.encode([word + MARK for word in words], specials=False)
        return [self._spelling(a.ids, b.ids) for a, b in zip(plain, marked, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some tokens, without special ones."""
        return self._vocabulary.decode(ids)

    @override
    def get_extra_state(self) -> Tensor:
        return as_bytes(self._saved)

    @override
    def set_extra_state(self, state: Tensor) -> None:
        self._saved, self._parsed = as_text(state), None

    def _spelling(self, plain: list[int], marked: list[int]) -> Spelling:
        # Unknown characters in a row may be one token: there the mark is spelled by itself.
        ends = self._vocabulary.mark_ids if plain == marked else []
        return Spelling(tuple(plain), (*marked, *ends))

    @property
    def _text(self) -> str:
        return as_text(self._lender[0].get_extra_state()) if self._lender else self._saved

    @property
    def _vocabulary(self) -> _Vocabulary:
        if self._parsed is None:
            if not self._text:
                raise ConfigError("the model has no tokenizer; give it the option tokenizer")
            self._parsed = _Vocabulary(self._text)
        return self._parsed


def padded(
    rows: Sequence[Sequence[int]], value: int
) -> tuple[Int[Tensor, "b l"], Bool[Tensor, "b l"]]:
    """Rows of ids filled up to the longest with a value, and which of them are real."""
    if not rows:
        return torch.empty(0, 0, dtype=torch.long), torch.empty(0, 0, dtype=torch.bool)
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    lengths = torch.tensor([len(row) for row in rows])
    ids = pad_sequence(tensors, batch_first=True, padding_value=value)
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]


class _Vocabulary:
    """A parsed tokenizer.json with the special tokens that it has."""

    def __init__(self, text: str) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415

        self.tokenizer: Any = Tokenizer.from_str(text)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.tokenizer.encode_special_tokens = True
        self.pad_id, self.eos_id, self.start_id = self._special_ids()
        self._spelled_out = self._pattern()
        self.mark_ids = self.tokenizer.encode(MARK, add_special_tokens=False).ids
        marked = self.encode([f"a{MARK}"], specials=False)[0].ids
        self._written_mark = self.tokenizer.decode(marked)[1:]

    def encode(self, texts: Sequence[str], *, specials: bool = True) -> list[Any]:
        plain = [self._spelled_out.sub(_plain, text) for text in texts]
        encodings: list[Any] = self.tokenizer.encode_batch(plain, add_special_tokens=specials)
        return encodings

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        apart = self._written_mark.strip() and self._written_mark != MARK  # BERT: "cat _ 0"
        return text.replace(self._written_mark, MARK) if apart else text

    def _special_ids(self) -> tuple[int, int, int]:
        for names in _SPECIALS:
            pad, eos, start = (self.tokenizer.token_to_id(name) for name in names)
            if None not in (pad, eos, start) and self.tokenizer.encode("").ids[-1:] == [eos]:
                return pad, eos, start
        wanted = " or ".join(f"{pad} and {eos}" for pad, eos, _ in _SPECIALS)
        raise ConfigError(
            f"the tokenizer needs {wanted}, and has to end every text with the latter"
        )

    def _pattern(self) -> re.Pattern[str]:
        """Special tokens that the tokenizer's model knows by itself when a text spells them out."""
        added = self.tokenizer.get_added_tokens_decoder().items()
        known = [
            token.content
            for at, token in added
            if token.special
            and at in self.tokenizer.encode(token.content, add_special_tokens=False).ids
        ]
        return re.compile("|".join(map(re.escape, known)) if known else r"(?!)")


def _plain(spelled_out: re.Match[str]) -> str:
    """The same characters but for the first one, so that no special token is found in them."""
    return "\ufffd" + spelled_out.group()[1:]
