"""How published code that is no package scores, re-enacted with its calls on the same weights.

Each function makes the calls of its source, in its order: how pictures are read and resized, what
is encoded how often, one by one or in a batch. Each gives a score (n,) for paths and prompts, of
MPS one for each condition. `benchmarks.peers` asks the packages themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from beholder.rewards._towers.clip import clip_tokenizer
from beholder.rewards.mps import MPS
from beholder.rewards.pickscore import PickScore
from tests.rewards.published_mps import cross_model

_MASK_THRESHOLD = 0.3
"""Of the words that count for a condition, in MPS's evaluation."""


def processor(size: int) -> Any:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = {"height": size, "width": size}
    return CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size=side)


def tokens(prompts: Sequence[str]) -> Tensor:
    encoded = clip_tokenizer()(
        list(prompts), padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    )
    ids: Tensor = encoded["input_ids"]
    return ids


def logits(clip: Any, images: Tensor, texts: Tensor) -> Tensor:
    """exp(logit_scale) * cosine of each picture with each text."""
    image, text = (functional.normalize(states, dim=-1) for states in (images, texts))
    scaled: Tensor = clip.logit_scale.exp() * image @ text.T
    return scaled


@torch.no_grad()
def pickscore_one_by_one(
    reward: PickScore, paths: Sequence[Path], prompts: Sequence[str]
) -> Tensor:
    """As in PickScore's README: a pair at a time."""
    clip: Any = reward.towers.model
    prepare = processor(reward.towers.preprocess.size)
    scores = []
    for path, prompt in zip(paths, prompts, strict=True):
        pixels = prepare(Image.open(path).convert("RGB"), return_tensors="pt")["pixel_values"]
        image = clip.get_image_features(pixel_values=pixels).pooler_output
        text = clip.get_text_features(input_ids=tokens([prompt])).pooler_output
        scores.append(logits(clip, image, text)[0, 0])
    return torch.stack(scores)


@torch.no_grad()
def pickscore_batched(reward: PickScore, paths: Sequence[Path], prompts: Sequence[str]) -> Tensor:
    """As flow_grpo: one batch, every prompt encoded, all pairs, then the diagonal."""
    clip: Any = reward.towers.model
    prepare = processor(reward.towers.preprocess.size)
    pictures = [Image.open(path).convert("RGB") for path in paths]
    pixels = prepare(pictures, return_tensors="pt")["pixel_values"]
    image = clip.get_image_features(pixel_values=pixels).pooler_output
    text = clip.get_text_features(input_ids=tokens(prompts)).pooler_output
    return logits(clip, image, text).diag()


@torch.no_grad()
def mps_one_by_one(reward: MPS, paths: Sequence[Path], prompts: Sequence[str]) -> dict[str, Tensor]:
    """As MPS's evaluation: prompt, condition and picture are encoded anew for each score."""
    prepare = processor(reward.towers.preprocess.size)
    scores: dict[str, list[Tensor]] = {name: [] for name in reward.conditions}
    for name, words in reward.conditions.items():
        for path, prompt in zip(paths, prompts, strict=True):
            pixels = prepare(Image.open(path).convert("RGB"), return_tensors="pt")["pixel_values"]
            given = (pixels.half().float(), tokens([prompt]), tokens([words]))
            scores[name].append(_mps(reward, *given))
    return {name: torch.cat(each) for name, each in scores.items()}


def _mps(reward: MPS, pixels: Tensor, ids: Tensor, condition_ids: Tensor) -> Tensor:
    clip: Any = reward.towers.model
    states = clip.text_model(input_ids=ids).last_hidden_state
    text = clip.text_projection(states)
    pooled = text[torch.arange(len(ids)), ids.argmax(dim=1)]
    image = clip.visual_projection(clip.vision_model(pixel_values=pixels).last_hidden_state)
    condition = clip.text_projection(clip.text_model(input_ids=condition_ids).last_hidden_state)
    relevance = (text @ condition.mT).amax(dim=-1)
    mask = torch.where(relevance / relevance.max() > _MASK_THRESHOLD, 0.0, -torch.inf)
    weights = reward.cross_model.state_dict(keep_vars=True)
    first = cross_model(weights, reward.cross, image, text, mask)
    scores: Tensor = clip.logit_scale.exp() * functional.cosine_similarity(pooled, first)
    return scores
