"""A RichHF to start from: pretrained towers out of packages under random heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from beholder._published.weights import read_state
from beholder.errors import ImageError
from beholder.images import read_images
from beholder.quickstart.towers import EFFICIENTNET, MINILM, class_names, ridge
from beholder.rewards import richhf
from beholder.rewards._towers._encoders import ImageEncoder

DIM = 192
LEVELS = (0, 1, 2, 3)
T5 = {
    "d_model": DIM,
    "d_kv": 32,
    "num_heads": 6,
    "d_ff": 768,
    "num_layers": 4,
    "num_decoder_layers": 2,
    "dropout_rate": 0.0,
}


def build_start(seed: int = 0) -> richhf.RichHF:
    """EfficientNet-Lite0 and MiniLM as towers; T5, projections and heads are random."""
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        vision = {
            "kind": "timm",
            "name": "tf_efficientnet_lite0",
            "weights": str(EFFICIENTNET.path()),
            "levels": LEVELS,
            "grid": 14,
        }
        return richhf.RichHF(
            vision=vision,
            t5=T5,
            text={"folder": str(MINILM.path().parent), "max_length": 256},
            heads={
                "heatmap_width": 96,
                "heatmap_stages": 2,
                "score_width": 96,
                "scores_pooled": True,
                "words": True,
            },
        )


@torch.no_grad()
def align(reward: richhf.RichHF, pictures: Sequence[str], prompts: Sequence[str]) -> None:
    """Let cells and words that mean the same start near each other.

    The classifier's weights of 1,000 ImageNet classes are mapped by ridge regression to the texts
    of the class names; words and cells then share the directions in which the prompts differ.
    """
    names = [f"a photo of a {name}" for name in class_names()]
    texts = torch.cat([_words(reward, names[k : k + 100]) for k in range(0, len(names), 100)])
    words = torch.cat([_states(reward, prompts[k : k + 50]) for k in range(0, len(prompts), 50)])
    mean, basis = _principal(words, reward.joint.dim)
    joint = reward.joint.text_projection
    assert joint is not None
    joint.weight.copy_(basis)
    joint.bias.copy_(-basis @ mean)
    scale = _last_scale(reward, pictures)
    classes = read_state(EFFICIENTNET.path())["_fc.weight"]
    to_words = basis @ ridge(classes, texts).T
    width = to_words.shape[1]
    projection = reward.visual_token_projection
    to_words = to_words / (to_words * scale).norm(dim=1).mean()
    projection.weight[:, -width:].copy_(to_words * scale)
    for block in reward.joint.t5.encoder.block:
        attention = block.layer[0].SelfAttention
        attention.k.weight.copy_(attention.q.weight)
    assert reward.joint.text is not None
    spelled = reward.joint.text.encoder.embeddings.word_embeddings.weight
    mean, basis = _principal(spelled, reward.joint.dim)
    reward.joint.t5.shared.weight.copy_((spelled - mean) @ basis.T)


def _words(reward: richhf.RichHF, texts: Sequence[str]) -> Tensor:
    states, real = _encode(reward, texts)
    return (states * real[..., None]).sum(1) / real.sum(1, keepdim=True)


def _states(reward: richhf.RichHF, texts: Sequence[str]) -> Tensor:
    states, real = _encode(reward, texts)
    return states[real]


def _encode(reward: richhf.RichHF, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    ids, real = reward.tokens.encode(texts)
    assert reward.joint.text is not None
    reward.joint.text.eval()
    return reward.joint.text(ids, real), real


def _principal(states: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    mean = states.mean(0)
    centred = states - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    values, vectors = values.flip(0)[:dim], vectors.flip(1)[:, :dim]
    return mean, (vectors / (values + 0.1 * values[0]).sqrt()).T


def _last_scale(reward: richhf.RichHF, pictures: Sequence[str]) -> Tensor:
    """Deviation of each channel of the last map over those pictures."""
    encoder = reward.vision.get_submodule("encoder").eval()
    assert isinstance(encoder, ImageEncoder)
    maps = []
    for k in range(0, len(pictures), 32):
        read = read_images(pictures[k : k + 32])
        values = [reward.preprocess(p[None]) for p in read if not isinstance(p, ImageError)]
        maps.append(encoder.maps(torch.cat(values))[-1])
    return torch.cat(maps).std(dim=(0, 2, 3))
