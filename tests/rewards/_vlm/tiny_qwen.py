"""A Qwen2-VL of milliseconds: sizes, a tokenizer with the special tokens, weights by formula."""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

TEXT: dict[str, object] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "rms_norm_eps": 1e-6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 720,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
}
VISION: dict[str, object] = {"hidden_size": 32, "depth": 2, "embed_dim": 32, "num_heads": 2}
CONFIG: dict[str, dict[str, object]] = {"text": TEXT, "vision": VISION}

SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_INSTRUCTION = Path(__file__).parents[3] / "beholder/rewards/_vlm/hpsv3_instruction.json"


@cache
def tokenizer_text() -> str:
    """A tokenizer.json like Qwen2's: byte-level, special tokens behind the vocabulary."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = json.loads(_INSTRUCTION.read_text(encoding="utf-8"))["lines"]
    tokenizer.train_from_iterator([*lines, "Yes, a red cat. No, a cube."], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    return str(tokenizer.to_str())


def tokenizer_file(folder: Path) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(tokenizer_text(), encoding="utf-8")
    return path


def noise(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of these names and shapes that anyone can make again from the names."""
    return {name: noise_like(name, tuple(value.shape)) for name, value in state.items()}


def noise_like(name: str, shape: tuple[int, ...]) -> Tensor:
    phase = sum(place * letter for place, letter in enumerate(name.encode())) % 9973
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    values = 2 * ((steps + phase).sin() * 43758.5453).frac().abs() - 1
    is_norm = len(shape) == 1 and name.endswith("weight")
    gain = 3 if name.endswith(("merger.mlp.2.weight", "q_proj.weight")) else 2
    scale = 0.1 if len(shape) == 1 else gain / math.prod(shape[1:]) ** 0.5
    return (is_norm + scale * values).reshape(shape).float()


def picture(number: int, height: int, width: int) -> Tensor:
    """Pixels (3, h, w) of some stripes, 8-bit."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    planes = [
        (rows * (number + 2 * plane + 1) + columns * (7 - plane) * (number % 3 - 1)) % 256
        for plane in range(3)
    ]
    return (127 - (torch.stack(planes) - 128).abs()).clamp(0, 127).mul(2).to(torch.uint8)
