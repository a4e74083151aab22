import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import beholder
from beholder._published.weights import renamed
from beholder.rewards._vlm.published import fill
from beholder.rewards.hpsv3 import HPSv3, own_name
from tests.rewards._vlm import tiny_qwen


def tiny(**options: Any) -> HPSv3:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        given = {"config": tiny_qwen.CONFIG, "pixels": 56 * 84, **options}
        tokenizer = tiny_qwen.tokenizer_file(Path(folder))
        reward = beholder.load("hpsv3", tokenizer=tokenizer, **given)
    assert isinstance(reward, HPSv3)
    fill(reward, renamed(tiny_qwen.noise(published_state(reward)), own_name), "noise")
    return reward


def published_state(reward: HPSv3) -> dict[str, Tensor]:
    """The weights as transformers 4.45 names them, with the language model's unused head."""
    own = reward.state_dict()
    text, vision = "vlm.model.language_model.", "vlm.model.visual."
    state = {
        name.replace(text, "model.").replace(vision, "visual."): value
        for name, value in own.items()
        if name.startswith((text, vision, "rm_head."))
    }
    return {**state, "lm_head.weight": torch.zeros_like(own[f"{text}embed_tokens.weight"])}
