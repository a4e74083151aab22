"""HPSv3: a vision-language model rates a picture, and says how sure it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, cast

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.weights import Published, fetch, renamed
from beholder.errors import DataError
from beholder.rewards._base import (
    RewardCard,
    check_pixels,
    prompt_fault,
    spread_prompts,
    take_options,
)
from beholder.rewards._card import Accuracy, Parity
from beholder.rewards._encoded import EncodedReward
from beholder.rewards._precision import at_least_float32
from beholder.rewards._towers import Features
from beholder.rewards._vlm.chat import CHAT, ChatTokenizer
from beholder.rewards._vlm.pictures import PixelBudget
from beholder.rewards._vlm.published import (
    backbone_name,
    fill,
    has_backbone,
    read_shards,
    read_tokenizer,
    unfilled,
)
from beholder.rewards._vlm.qwen import Qwen2VL
from beholder.rewards._vlm.sizes import QWEN2_VL_7B, dtype_named, sized, with_vocabulary
from beholder.types import Scores

PUBLISHED = Published(
    "MizzenAI/HPSv3", "HPSv3.safetensors", "4f81e3e09edd82fe3c5f636444c721b592a735ca", None
)
TOKENIZER = Published(
    "Qwen/Qwen2-VL-7B-Instruct",
    "tokenizer.json",
    "eed13092ef92e448dd6875b2a00151bd3f7db0ac",
    None,
)

REWARD = "<|Reward|>"
"""The token at which the rating is read; the published code adds it to Qwen2-VL's."""

PIXELS = 256 * 28 * 28
"""Every picture is brought to about this area: 256 tokens."""


_PROTOCOL = "the paper's: pairs of which people prefer one"


class HPSv3(EncodedReward):
    """Human preference score v3 (Ma et al., ICCV 2025) over Qwen2-VL.

    A head reads the state of the token `<|Reward|>` behind the picture, a long instruction and the
    prompt, and gives the mean of a normal distribution over ratings, which is the score, and the
    logarithm of its standard deviation.

    Args:
        text, vision: sizes, values of transformers' `Qwen2VLTextConfig` and `Qwen2VLVisionConfig`.
        tokenizer: the text of a tokenizer.json of Qwen2-VL; None until `load_state_dict` brings it.
        pixels: area that every picture is brought to, rounded to whole tokens of 28x28.
        rotary: "bfloat16" rounds the rotary frequencies as in the model that was trained and
            published, whatever the type of the weights; "float32" does not.
        dtype: of the weights, such as "bfloat16"; the head is never below float32.
    """

    card = RewardCard(
        name="hpsv3",
        paper="Ma et al., HPSv3: Towards Wide-Spectrum Human Preference Score, ICCV 2025",
        measures="how much people would prefer the picture for its prompt",
        weights_license="MIT",
        weights="MizzenAI/HPSv3 : HPSv3.safetensors; Qwen/Qwen2-VL-7B-Instruct : tokenizer.json",
        accuracy=(
            Accuracy("HPDv3 test", 76.9, _PROTOCOL, "Ma et al., 2025; its issue 23 reports 76.11"),
            Accuracy("HPDv2 test", 85.4, _PROTOCOL, "Ma et al., 2025"),
            Accuracy("Pick-a-Pic test", 72.8, _PROTOCOL, "Ma et al., 2025"),
            Accuracy("ImageReward test", 66.8, _PROTOCOL, "Ma et al., 2025"),
        ),
        parity=(
            Parity(
                against="hpsv3 1.0.0 on transformers 4.45.2, float32",
                error=1e-6,
                spread=0.14,
                how="tiny model, one picture that is resized alike; 8e-4 with three whose resize "
                "differs from Pillow's by up to two grey levels",
            ),
            Parity(
                against="hpsv3 1.0.0 on transformers 4.45.2, bfloat16 as published",
                error=0.022,
                spread=0.13,
                how="tiny model in bfloat16, four pictures; 0.042 with rotary='float32'",
            ),
        ),
        float_error=0.01,
        bf16_error=0.35,
        fp16_error=0.03,
        notes=(
            "the published file's weights stay bfloat16, 16 GB; dtype=torch.float32 takes 32 GB",
            "picture tokens are numbered like words in the rotary embedding, not by row and "
            "column: the published code passes no position ids to the language model",
            "rotary='bfloat16': that code casts the model as a whole, which rounds its rotary "
            "frequencies; scores of rotary='float32' differ",
            "tokens behind <|Reward|> are left out: under causal attention it cannot see them",
            "special tokens that a prompt spells out are plain text, not so in the published code",
            "pictures longer than 200:1 are squeezed; the published code refuses them",
        ),
    )
    float32: ClassVar[tuple[str, ...]] = ("rm_head",)

    def __init__(
        self,
        text: Mapping[str, object],
        vision: Mapping[str, object],
        tokenizer: str | None = None,
        *,
        pixels: int = PIXELS,
        rotary: str = "bfloat16",
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        self.vlm = Qwen2VL(
            {"text": text, "vision": vision},
            ChatTokenizer(tokenizer, added=[REWARD]),
            positions="line",
            rotary=rotary,
        )
        shape = self.vlm.shape
        self.pictures = PixelBudget(
            min_pixels=pixels, max_pixels=pixels, factor=shape.patch * shape.merge
        )
        self.rm_head = nn.Sequential(
            nn.Linear(shape.width, 1024),
            nn.ReLU(),
            nn.Dropout(0.05),
            nn.Linear(1024, 16),
            nn.ReLU(),
            nn.Linear(16, 2),
        )
        self.cast(dtype_named(dtype))

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> HPSv3:
        known = {"text", "vision", "pixels", "rotary", "dtype"}
        return cls(**cast("Any", {**QWEN2_VL_7B, **take_options(options, known, "hpsv3")}))

    @override
    def options(self) -> dict[str, object]:
        return {
            **self.vlm.sizes,
            "pixels": self.pictures.max_pixels,
            "rotary": self.vlm.rotary,
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
        states = self.vlm.last_states(cast("Tensor", encoded), chat(), prompts)
        return Scores(self._rate(states)[:, 0])

    def distribution(self, pixels: Tensor, prompts: str | Sequence[str]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (b,) of the rating of each picture; gradients pass.

        Pixels (b, 3, h, w) are float in [0, 1] or uint8. That a picture is preferred to another is
        as probable as that the difference of the two ratings is positive.
        Raises DataError if the shape, the value range, the number of prompts or one is wrong.
        """
        check_pixels(pixels)
        texts = spread_prompts(prompts, len(pixels), needed=True)
        for row, text in enumerate(texts):
            if why := prompt_fault(text):
                raise DataError(f"prompt {row}: {why}")
        pictures = self.vlm.encode(self.preprocess(pixels))
        mean, log_deviation = self._rate(self.vlm.last_states(pictures, chat(), texts)).unbind(1)
        return mean, log_deviation.exp()

    def forward_features(self, pixel_values: Tensor, input_ids: Tensor) -> Float[Tensor, "b 2"]:
        """Mean and logarithm of the standard deviation of each row from prepared inputs.

        `pixel_values` are (b, 3, s, t), `input_ids` (b, l) with as many picture tokens, and one
        `<|Reward|>` in each row; what stands behind it changes nothing.
        Raises DataError if pictures and ids do not fit.
        """
        pictures = self.vlm.encode(pixel_values)
        is_read = input_ids == self.vlm.tokenizer.special(REWARD)
        if len(input_ids) != len(pictures) or not (is_read.sum(dim=1) == 1).all():
            raise DataError(
                f"{len(pictures)} pictures need as many rows of ids, each with one {REWARD}"
            )
        cells = pictures.shape[1] * pictures.shape[2]
        chats = self.vlm.tokenizer.read(input_ids, is_read.int().argmax(dim=1), cells)
        return self._rate(self.vlm.states(pictures, chats))

    def _rate(self, states: Float[Tensor, "b d"]) -> Float[Tensor, "b 2"]:
        rated: Tensor = self.rm_head(at_least_float32(states))
        return rated


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    tokenizer: str | Path | None = None,
    **options: object,
) -> HPSv3:
    """HPSv3 with the published weights, those of a file, or random ones.

    Args:
        weights: the published file; a local `*.index.json` stands for the shards beside it. None
            without `config` fetches the published weights. They keep their type, bfloat16.
        config: sizes that differ from Qwen2-VL-7B's, under "text" and "vision".
        tokenizer: a local tokenizer.json of Qwen2-VL; None fetches it.
        options: of `HPSv3`: pixels, rotary.

    Raises:
        ConfigError: if a size or an option is unknown or out of range.
        WeightsError: if the weights are missing, damaged or do not fit.
    """
    given = take_options(options, {"pixels", "rotary"}, "hpsv3")
    sizes = sized(QWEN2_VL_7B, config or {}, "hpsv3")
    if weights is None and config is None:
        weights = fetch(PUBLISHED)
    state = None if weights is None else renamed(read_shards(weights), own_name)
    sizes = sizes if state is None else with_vocabulary(sizes, state)
    text = read_tokenizer(tokenizer, TOKENIZER)
    make = partial(HPSv3, **cast("Any", {**sizes, "tokenizer": text, **given}))
    reward = make() if state is None else unfilled(make, state)
    reward.vlm.check_vocabulary()
    if state is not None:
        fill(reward, state, where=str(weights))
    return reward


def own_name(key: str) -> str | None:
    """This package's name of a published key; None for the language model's head."""
    name = key.removeprefix("module.")
    if name == "lm_head.weight":
        return None
    return backbone_name(name) or name


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is a checkpoint of HPSv3: its head on a Qwen2-VL tells."""
    names = {own_name(key): shape for key, shape in shapes.items()}
    return has_backbone(names) and names.get("rm_head.5.weight", (0,))[0] == 2


@cache
def chat() -> str:
    """The published chat up to the token that is read, with "{text}" for the prompt."""
    data = files("beholder").joinpath("rewards/_vlm/hpsv3_instruction.json")
    instruction = "\n".join(json.loads(data.read_text(encoding="utf-8"))["lines"])
    whole = CHAT.replace("{text}", instruction)
    return whole[: whole.index(REWARD) + len(REWARD)]
