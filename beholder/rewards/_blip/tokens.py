"""BERT's lower-case word pieces with the two tokens that BLIP adds, saved beside the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.weights import Published, fetch
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._saved_text import SavedText

VOCABULARY = Published(
    "google-bert/bert-base-uncased",
    "vocab.txt",
    "86b5e0934494bd15c9632b12f734a8a67f723594",
    "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)
_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


class WordPieces(SavedText, nn.Module):
    """Token ids of texts: [CLS], the lower-case word pieces, [SEP].

    A special token that somebody typed is read as plain text.

    Args:
        vocabulary: a word piece a line, in the order of their ids; None until `load_state_dict`
            brings it.
        max_length: tokens of a text, specials included; longer ones are cut.
    """

    def __init__(self, vocabulary: str | None = None, *, max_length: int) -> None:
        super().__init__()
        self.max_length = max_length
        self._saved, self._size = "", 0
        self._tokenizer: Any = None
        if vocabulary is not None:
            self._take(vocabulary)

    @property
    def encoder_id(self) -> int:
        """The id of [ENC], which BLIP puts first where a text looks at a picture; [DEC] is before.

        Both follow the vocabulary.
        """
        return self._size + 1

    def forward(self, texts: Sequence[str]) -> tuple[Int[Tensor, "b l"], Bool[Tensor, "b l"]]:
        """Ids, padded to the longest text with 0, and which of them are real."""
        if self._tokenizer is None:
            raise ConfigError("there is no vocabulary yet; give it as the option tokenizer")
        encodings = self._tokenizer.encode_batch(list(texts))
        ids = torch.tensor([e.ids for e in encodings], dtype=torch.long)
        real = torch.tensor([e.attention_mask for e in encodings], dtype=torch.bool)
        return ids, real

    @override
    def _take(self, text: str) -> None:
        ids = {word: at for at, word in enumerate(_pieces(text))}
        missing = [token for token in _SPECIALS if token not in ids]
        if missing:
            raise ConfigError(f"the vocabulary lacks {', '.join(missing)}; it needs a piece a line")
        self._tokenizer = _tokenizer(ids, self.max_length)
        self._saved, self._size = text, len(ids)


def read_vocabulary(tokenizer: str | Path | None, vocab_size: int) -> str:
    """The vocabulary in a file or text of several lines; None fetches that of bert-base-uncased.

    Raises:
        ConfigError: if `vocab_size` is not that of the vocabulary and the two tokens after it.
        WeightsError: if it cannot be read or fetched.
    """
    text = str(tokenizer)
    if tokenizer is None or "\n" not in text:
        path = fetch(VOCABULARY, "tokenizer") if tokenizer is None else Path(tokenizer)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WeightsError(f"cannot read the vocabulary {path}: {error}") from error
    found = len(_pieces(text)) + 2
    if found != vocab_size:
        raise ConfigError(
            f"the vocabulary has {found} entries with [DEC] and [ENC]; the model has {vocab_size}"
        )
    return text


def _pieces(vocabulary: str) -> list[str]:
    # not splitlines: a piece may be one of Unicode's other line separators
    return vocabulary.removesuffix("\n").split("\n")


def _tokenizer(ids: Mapping[str, int], max_length: int) -> Any:
    import tokenizers as hf  # noqa: PLC0415

    # no token is added to it: a special that a prompt spells out is split like any other word
    tokenizer = hf.Tokenizer(hf.models.WordPiece(dict(ids), unk_token="[UNK]"))
    tokenizer.normalizer = hf.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = hf.pre_tokenizers.BertPreTokenizer()
    ends = [(token, ids[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = hf.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding(pad_id=ids["[PAD]"], pad_token="[PAD]")
    return tokenizer
