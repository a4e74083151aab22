import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import beholder
from beholder._published.weights import renamed
from beholder.rewards._vlm.published import fill
from beholder.rewards.vqascore import VQAScore, own_name
from tests.rewards._vlm import tiny_qwen


def tiny(**options: Any) -> VQAScore:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        given = {"config": tiny_qwen.CONFIG, "pixels": [28 * 28, 56 * 84]}
        tokenizer = tiny_qwen.tokenizer_file(Path(folder))
        reward = beholder.load("vqascore", tokenizer=tokenizer, **{**given, **options})
    assert isinstance(reward, VQAScore)
    state = tiny_qwen.noise(published_state(reward))
    if reward.lm_head is not None:  # one answer of 720 would have no chance
        state["lm_head.weight"][reward.vlm.tokenizer.ids(reward.answer)[0]] *= 8
    fill(reward, renamed(state, own_name), "noise")
    return reward


def published_state(reward: VQAScore) -> dict[str, Tensor]:
    """The weights as the files of Qwen/Qwen2-VL-7B-Instruct name them."""
    text, vision = "vlm.model.language_model.", "vlm.model.visual."
    return {
        name.replace(text, "model.").replace(vision, "visual."): value
        for name, value in reward.state_dict().items()
        if not name.endswith("_extra_state")
    }
