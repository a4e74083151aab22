"""VQAScore: how likely a vision-language model answers "Yes" when asked whether a picture fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.weights import Published, renamed
from beholder.errors import ConfigError, DataError
from beholder.rewards._base import RewardCard, take_options
from beholder.rewards._card import Parity
from beholder.rewards._encoded import EncodedReward
from beholder.rewards._precision import at_least_float32
from beholder.rewards._towers import Features
from beholder.rewards._vlm.chat import CHAT, ChatTokenizer
from beholder.rewards._vlm.pictures import PixelBudget
from beholder.rewards._vlm.published import (
    backbone_name,
    fetch_shards,
    fill,
    has_backbone,
    read_shards,
    read_tokenizer,
    unfilled,
)
from beholder.rewards._vlm.qwen import Qwen2VL
from beholder.rewards._vlm.sizes import (
    QWEN2_VL_2B,
    QWEN2_VL_7B,
    dtype_named,
    sized,
    with_vocabulary,
)
from beholder.types import Scores

_7B, _2B = "Qwen/Qwen2-VL-7B-Instruct", "Qwen/Qwen2-VL-2B-Instruct"
_COMMITS = {
    _7B: "eed13092ef92e448dd6875b2a00151bd3f7db0ac",
    _2B: "895c3a49bc3fa70a340399125c650a463535e71c",
}
PUBLISHED = {
    repo: Published(repo, "model.safetensors.index.json", commit, None)
    for repo, commit in _COMMITS.items()
}
TOKENIZER = {
    repo: Published(repo, "tokenizer.json", commit, None) for repo, commit in _COMMITS.items()
}
_SIZES = {_7B: QWEN2_VL_7B, _2B: QWEN2_VL_2B}

QUESTION = "Does this figure show '{text}'? Please answer yes or no."
"""Lin et al., 2024, section 3; "{text}" is the prompt."""

PIXELS = (4 * 28 * 28, 16_384 * 28 * 28)
"""Lowest and highest area of a picture in t2v_metrics: most keep their size."""


class VQAScore(EncodedReward):
    """P("Yes" | picture, question) (Lin et al., ECCV 2024, eq. 2), of Qwen2-VL.

    The probability, among all tokens, that the first token of the answer is that of `answer`.

    Args:
        text, vision: sizes, values of transformers' `Qwen2VLTextConfig` and `Qwen2VLVisionConfig`.
        tokenizer: the text of a tokenizer.json of Qwen2-VL; None until `load_state_dict` brings it.
        question: what is asked, "{text}" in the place of the prompt.
        answer: the answer whose first token counts.
        pixels: lowest and highest area that a picture is brought to; it costs a token for every
            28x28 pixels.
        tied: the output layer is the table of token embeddings, as in the 2B model.
        dtype: of the weights, such as "bfloat16".

    Raises ConfigError if the question has no "{text}" or a value is out of range.
    """

    card = RewardCard(
        name="vqascore",
        paper="Lin et al., Evaluating Text-to-Visual Generation with Image-to-Text Generation, "
        "ECCV 2024",
        measures="how likely the picture shows what the prompt says",
        weights_license="Apache-2.0",
        weights=f"{_7B} or {_2B}: sharded safetensors and tokenizer.json",
        score_range=(0.0, 1.0),
        parity=(
            Parity(
                against="generate of transformers 5.24, one picture at a time, float32",
                error=2e-5,
                spread=0.42,
                how="tiny model, four pictures; nothing where no picture is resized",
            ),
        ),
        float_error=0.01,
        bf16_error=0.25,
        fp16_error=0.2,
        notes=(
            "the paper's figures are of CLIP-FlanT5-XXL, which transformers does not hold; none "
            "are published for these weights with this question",
            "t2v_metrics asks its Qwen models 'Does this image show \"{text}\"?': the same with "
            "question='Does this image show \"{text}\"?'; it scores one picture at a time",
            "published weights stay bfloat16, as in t2v_metrics; the softmax is float32, but the "
            "logits come from bfloat16 weights unless dtype=torch.float32",
            "special tokens that a prompt spells out are plain text, not so in t2v_metrics",
            "pictures longer than 200:1 are squeezed; t2v_metrics refuses them",
        ),
    )

    def __init__(
        self,
        text: Mapping[str, object],
        vision: Mapping[str, object],
        tokenizer: str | None = None,
        *,
        question: str = QUESTION,
        answer: str = "Yes",
        pixels: Sequence[int] = PIXELS,
        tied: bool = False,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        if "{text}" not in question:
            raise ConfigError(f"question needs '{{text}}' in the place of the prompt: {question!r}")
        if not answer:
            raise ConfigError("answer is empty; expected a word such as 'Yes'")
        self.question, self.answer = question, answer
        self.vlm = Qwen2VL({"text": text, "vision": vision}, ChatTokenizer(tokenizer))
        shape = self.vlm.shape
        self.pictures = _budget(pixels, shape.patch * shape.merge)
        words = len(self.vlm.embeddings)
        self.lm_head = None if tied else nn.Linear(shape.width, words, bias=False)
        self.cast(dtype_named(dtype))

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> VQAScore:
        known = {
            "text",
            "vision",
            "question",
            "answer",
            "pixels",
            "tied",
            "dtype",
        }
        return cls(**cast("Any", {**QWEN2_VL_7B, **take_options(options, known, "vqascore")}))

    @override
    def options(self) -> dict[str, object]:
        return {
            **self.vlm.sizes,
            "question": self.question,
            "answer": self.answer,
            "pixels": [self.pictures.min_pixels, self.pictures.max_pixels],
            "tied": self.lm_head is None,
            "dtype": str(self.vlm.dtype).removeprefix("torch."),
        }

    @property
    @override
    def fitting(self) -> PixelBudget:
        return self.pictures

    @override
    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor | Features:
        return self.vlm.encode(pixel_values)

    @override
    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        questions = [self.question.replace("{text}", prompt) for prompt in prompts]
        states = self.vlm.last_states(cast("Tensor", encoded), CHAT, questions)
        return Scores(self._probability(states))

    def forward_features(self, pixel_values: Tensor, input_ids: Tensor) -> Float[Tensor, " b"]:
        """One score a row from prepared inputs.

        `pixel_values` are (b, 3, s, t), `input_ids` (b, l) with as many picture tokens and no
        padding: whole chats up to where the answer starts.
        Raises DataError if pictures and ids do not fit.
        """
        pictures = self.vlm.encode(pixel_values)
        if len(input_ids) != len(pictures):
            raise DataError(f"{len(pictures)} pictures but {len(input_ids)} rows of ids")
        places = torch.full((len(input_ids),), input_ids.shape[1] - 1, device=input_ids.device)
        cells = pictures.shape[1] * pictures.shape[2]
        chats = self.vlm.tokenizer.read(input_ids, places, cells)
        return self._probability(self.vlm.states(pictures, chats))

    def _probability(self, states: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        weight = self.vlm.embeddings if self.lm_head is None else self.lm_head.weight
        logits = at_least_float32(functional.linear(states, weight))
        first = self.vlm.tokenizer.ids(self.answer)[0]
        return logits.softmax(dim=-1)[:, first]


def _budget(pixels: Sequence[int], factor: int) -> PixelBudget:
    if len(pixels) != 2:
        raise ConfigError(f"pixels are the lowest and the highest area, got {list(pixels)}")
    return PixelBudget(min_pixels=pixels[0], max_pixels=pixels[1], factor=factor)


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    tokenizer: str | Path | None = None,
    model: str = _7B,
    **options: object,
) -> VQAScore:
    """VQAScore with published weights, those of a file, or random ones.

    Args:
        weights: a local safetensors file of Qwen2-VL; its `*.index.json` stands for the shards
            beside it. None without `config` fetches those of `model`. They keep their type,
            bfloat16. A file without output layer is read as that of a model that ties it.
        config: sizes that differ from those of `model`, under "text" and "vision".
        tokenizer: a local tokenizer.json of Qwen2-VL; None fetches it.
        model: "Qwen/Qwen2-VL-7B-Instruct" or "Qwen/Qwen2-VL-2B-Instruct".
        options: of `VQAScore`: question, answer, pixels; tied without `weights`.

    Raises:
        ConfigError: if a size or an option is unknown or out of range.
        WeightsError: if the weights are missing, damaged or do not fit.
    """
    if model not in _SIZES:
        raise ConfigError(f"model is one of {', '.join(_SIZES)}; got {model!r}")
    known = {"question", "answer", "pixels", "tied"}
    given = take_options(options, known, "vqascore")
    sizes = sized(_SIZES[model], config or {}, "vqascore")
    found: str | Path | list[Path] | None = weights
    if weights is None and config is None:
        found = fetch_shards(PUBLISHED[model])
    state = None if found is None else renamed(read_shards(found), own_name)
    if state is not None:
        sizes = with_vocabulary(sizes, state)
        given["tied"] = "lm_head.weight" not in state
    text = read_tokenizer(tokenizer, TOKENIZER[model])
    make = partial(VQAScore, **cast("Any", {**sizes, "tokenizer": text, **given}))
    reward = make() if state is None else unfilled(make, state)
    reward.vlm.check_vocabulary()
    if state is not None:
        fill(reward, state, where=str(weights or model))
    return reward


def own_name(key: str) -> str | None:
    """This package's name of a published key."""
    return backbone_name(key) or key


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is a whole Qwen2-VL, with no other reward's head on it."""
    names = [own_name(key) for key in shapes]
    return has_backbone(names) and "rm_head.0.weight" not in names
