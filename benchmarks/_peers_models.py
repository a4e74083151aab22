"""Scoring packages, each called as its own documentation calls it, with random weights.

Imported by `_peers_child`, in the environment of the peers; `_peers_shims` says what was replaced
to make them run. Towers are ViT-B/32 in place of the published ViT-H/14; ImageReward has one size,
BLIP with ViT-L/16. Every score function takes paths and prompts, of the pictures of one prompt
lying together, and gives a score a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks import _peers_shims as shims

Score = Callable[[list[str], list[str]], Sequence[Any]]
WEIGHTS = "weights.pt"
OPEN_CLIP = "ViT-B-32"
_TEXT = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}
_VISION = {"hidden_size": 768, "intermediate_size": 3072, "patch_size": 32}
_MED = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "vocab_size": 30524,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "pad_token_id": 0,
    "add_type_embeddings": False,
    "encoder_width": 768,
    "add_cross_attention": True,
}


@dataclass(frozen=True)
class Peer:
    """A package, and how its model is made; `make` writes the weights into a folder."""

    package: str
    make: Callable[[Path], Score]


def by_prompt(paths: list[str], prompts: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each prompt with its pictures, in order."""
    pairs = zip(prompts, paths, strict=True)
    for prompt, group in groupby(pairs, key=lambda pair: pair[0]):
        yield prompt, [path for _, path in group]


def hpsv2(folder: Path) -> Score:
    """`hpsv2.score(paths, prompt)`: a call a prompt, each of which reads the checkpoint again."""
    shims.empty_modules()
    shims.hpsv2_vocabulary()
    package: Any = import_module("hpsv2.img_score")
    create = package.create_model_and_transforms
    package.create_model_and_transforms = lambda _, __, **options: create(
        OPEN_CLIP, None, **{**options, "precision": "fp32"}
    )
    package.initialize_model()
    checkpoint = folder / WEIGHTS
    torch.save({"state_dict": package.model_dict["model"].state_dict()}, checkpoint)

    def score(paths: list[str], prompts: list[str]) -> list[float]:
        calls = (
            package.score(images, prompt, cp=str(checkpoint))
            for prompt, images in by_prompt(paths, prompts)
        )
        return [value for call in calls for value in call]

    return score


def image_reward(folder: Path) -> Score:
    """`RM.load(…).score(prompt, paths)`: a call a prompt."""
    import json

    shims.empty_modules()
    shims.moved_functions()
    package: Any = import_module("ImageReward")
    blip: Any = import_module("ImageReward.models.BLIP.blip")
    blip.BertTokenizer = shims.fetched(shims.bert_tokenizer)
    sizes = folder / "med_config.json"
    sizes.write_text(json.dumps(_MED))
    made = import_module("ImageReward.ImageReward").ImageReward(med_config=str(sizes))
    _spread(made.mlp)
    _save(made, folder)
    del made
    model = package.load(str(folder / WEIGHTS), device="cpu", med_config=str(sizes))

    def score(paths: list[str], prompts: list[str]) -> list[float]:
        with torch.no_grad():
            calls = [model.score(prompt, images) for prompt, images in by_prompt(paths, prompts)]
        return [value for call in calls for value in call]

    return score


def open_clip(folder: Path) -> Score:
    """The loop of open_clip's README, a picture and its text at a time."""
    package: Any = import_module("open_clip")
    model, _, prepare = package.create_model_and_transforms("ViT-B-32-quickgelu", pretrained=None)
    model.eval()
    model.text_projection.data.neg_()  # else all cosines of this seed are negative, and scores 0
    tokenize = package.get_tokenizer(OPEN_CLIP)
    torch.save(model.state_dict(), folder / WEIGHTS)

    @torch.no_grad()
    def one(path: str, prompt: str) -> Tensor:
        image = model.encode_image(prepare(Image.open(path)).unsqueeze(0))
        text = model.encode_text(tokenize([f"A photo depicts {prompt}"]))
        image /= image.norm(dim=-1, keepdim=True)
        text /= text.norm(dim=-1, keepdim=True)
        cosine: Tensor = (image @ text.T).squeeze()
        return 2.5 * cosine.clamp(min=0)

    return lambda paths, prompts: [one(*pair) for pair in zip(paths, prompts, strict=True)]


def imscore_hpsv2(folder: Path) -> Score:
    """`HPSv2().score(pixels, prompts)`."""
    package: Any = import_module("imscore.hps.model")
    create = package.create_model_and_transforms
    package.create_model_and_transforms = lambda _, __, **options: create(
        OPEN_CLIP, None, **options
    )
    return _imscore(package.HPSv2(), folder)


def imscore_pickscore(folder: Path) -> Score:
    """`PickScorer(…).score(pixels, prompts)`."""
    package: Any = import_module("imscore.pickscore.model")
    package.AutoProcessor = shims.fetched(partial(shims.clip_tokenizer, folder))
    package.CLIPModel = shims.fetched(partial(_clip, package.CLIPModel))
    return _imscore(package.PickScorer(), folder)


def imscore_mps(folder: Path) -> Score:
    """`MPS().score(pixels, prompts)`."""
    package: Any = import_module("imscore.mps.model")
    package.AutoTokenizer = shims.fetched(partial(shims.clip_tokenizer, folder))
    package.XCLIPModel = shims.fetched(partial(_clip, package.XCLIPModel))
    cross = package.CrossModel
    package.CrossModel = lambda **_: cross(dim=512, layer_num=4, heads=8)
    return _imscore(package.MPS(), folder)


def imscore_imagereward(folder: Path) -> Score:
    """`ImageReward().score(pixels, prompts)`."""
    package: Any = import_module("imscore.imreward.model")
    package.BertTokenizer = shims.fetched(shims.bert_tokenizer)
    model = package.ImageReward()
    _spread(model.mlp)
    return _imscore(model, folder)


def _imscore(model: Any, folder: Path) -> Score:
    """As its README: pictures as floats in [0, 1], here all in one batch."""
    from torchvision.transforms.functional import to_tensor

    model.eval()
    _save(model, folder)

    @torch.no_grad()
    def score(paths: list[str], prompts: list[str]) -> Sequence[Any]:
        pixels = torch.stack([to_tensor(Image.open(path).convert("RGB")) for path in paths])
        return list(model.score(pixels, prompts).flatten())

    return score


def _clip(kind: Any) -> Any:
    from transformers import CLIPConfig

    sizes = {"text_config": _TEXT, "vision_config": _VISION, "projection_dim": 512}
    return kind(CLIPConfig(**sizes))


def _save(model: Any, folder: Path) -> None:
    torch.save(model.state_dict(), folder / WEIGHTS)


def _spread(head: torch.nn.Module) -> None:
    """A head that tells pictures apart, as a trained one does; as it starts, all score alike."""
    for name, weight in head.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.normal_(weight, std=weight.shape[1] ** -0.5)


PEERS = {
    "hpsv2": Peer("hpsv2", hpsv2),
    "image-reward": Peer("image-reward", image_reward),
    "open_clip": Peer("open_clip_torch", open_clip),
    "imscore HPSv2": Peer("imscore", imscore_hpsv2),
    "imscore PickScorer": Peer("imscore", imscore_pickscore),
    "imscore MPS": Peer("imscore", imscore_mps),
    "imscore ImageReward": Peer("imscore", imscore_imagereward),
}
