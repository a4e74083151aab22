"""What frozen towers give, computed once: pictures on the disk, prompts in memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from beholder.errors import DataError, ImageError
from beholder.images import read_images
from beholder.rewards import Reward
from beholder.rewards._towers import Features
from beholder.training.freezing import FeatureReward
from beholder.training.pictures import CHUNK, Survey, content_hashes, share_of_chunks

TEXTS_KEPT = 4096
"""Prompts whose states stay in memory; 0.3 MB each at the size of CLIP ViT-H."""

CPU_BATCH = 2
"""Pictures in one pass on a CPU: the states of more outgrow its caches, which triples the time."""

Autocast = Callable[[], AbstractContextManager[object]]


class PictureFeatures:
    """The picture states of a reward's frozen towers, one file a picture.

    Files are named by the picture's contents and lie in a folder named by everything that the
    states depend on, so other runs may use them too. A file that was cut short is made anew.

    Args:
        reward: a `FeatureReward` whose towers do not change.
        folder: of any number of models.
        towers: names of the towers' weights.
        autocast: the precision to compute in.
        precision: its name.
    """

    def __init__(
        self, reward: Reward, folder: Path, towers: set[str], autocast: Autocast, precision: str
    ) -> None:
        self._reward = reward
        self._autocast = autocast
        self._folder = folder / model_hash(reward, towers, precision)[:32]
        self._files: dict[str, Path] = {}

    def survey(self, pictures: Sequence[str], rank: int, count: int) -> Survey:
        """Compute what is missing of this process's share; says which pictures cannot be read.

        A part of the share is computed whole if anything in it is missing: what a picture's states
        are, to the bit, must not depend on where an earlier run was killed.
        """
        hashes, faults = content_hashes(pictures)
        self._files |= {p: self._file(h) for p, h in hashes.items()}
        for chunk in share_of_chunks(pictures, rank, count):
            there = [p for p in chunk if p in hashes]
            if not all(_is_whole(self._files[p]) for p in there):
                faults |= self._compute(there)
        return faults

    def load(self, pictures: Sequence[str]) -> Features:
        """The states of some pictures, on the CPU; DataError if their files are gone."""
        try:
            parts = [load_file(self._files[picture]) for picture in pictures]
        except (OSError, SafetensorError) as error:
            raise DataError(f"kept features are gone ({error}); start the run again") from error
        return Features(
            torch.cat([p["tokens"] for p in parts]), torch.cat([p["pooled"] for p in parts])
        )

    @torch.no_grad()
    def _compute(self, pictures: Sequence[str]) -> Survey:
        read = dict(zip(pictures, read_images(pictures), strict=True))
        faults = {p: f"{r.code}: {r}" for p, r in read.items() if isinstance(r, ImageError)}
        good = [(p, r) for p, r in read.items() if isinstance(r, Tensor)]
        at_once = CPU_BATCH if self._reward.device.type == "cpu" else CHUNK
        for start in range(0, len(good), at_once):
            self._keep(dict(good[start : start + at_once]))
        return faults

    def _keep(self, pictures: Mapping[str, Tensor]) -> None:
        """Compute and write the states of decoded pictures."""
        reward, device = cast("FeatureReward", self._reward), self._reward.device
        pixels = [self._reward.preprocess(p[None].to(device)) for p in pictures.values()]
        with self._autocast():
            states = reward.image_backbone(torch.cat(pixels)).to("cpu", torch.float32)
        for row, picture in enumerate(pictures):
            if not _is_whole(path := self._files[picture]):
                one = states.rows(torch.tensor([row]))
                _save(path, {"tokens": one.tokens, "pooled": one.pooled})

    def _file(self, content: str) -> Path:
        return self._folder / content[:2] / f"{content}.safetensors"


class TextFeatures:
    """The text states of a reward's frozen towers; the latest `TEXTS_KEPT` stay in memory.

    Each prompt is encoded alone: its states, to the bit, depend on no other prompt.
    """

    def __init__(self, reward: Reward, autocast: Autocast) -> None:
        self._reward = cast("FeatureReward", reward)
        self._autocast = autocast
        self._one = lru_cache(maxsize=TEXTS_KEPT)(self._encode)

    def of(self, prompts: Sequence[str]) -> Features:
        """The states of some prompts; shorter ones are filled with zeros, which nothing reads."""
        parts = [self._one(prompt) for prompt in prompts]
        longest = max(part.tokens.shape[1] for part in parts)
        tokens = [functional.pad(p.tokens, (0, 0, 0, longest - p.tokens.shape[1])) for p in parts]
        return Features(torch.cat(tokens), torch.cat([p.pooled for p in parts]))

    @torch.no_grad()
    def conditions(self) -> Features:
        """The states of the reward's own texts."""
        with self._autocast():
            return self._reward.condition_features()

    @torch.no_grad()
    def _encode(self, prompt: str) -> Features:
        with self._autocast():
            return self._reward.text_backbone([prompt])


def model_hash(reward: Reward, towers: set[str], precision: str) -> str:
    """sha256 of what picture states depend on: class, options, precision, the towers' weights."""
    kind = f"{type(reward).__module__}:{type(reward).__qualname__}"
    text = json.dumps([kind, reward.options(), precision], sort_keys=True)
    weights = {k: v for k, v in reward.named_parameters() if k in towers}
    return hashlib.sha256(f"{text}{weights_hash(weights)}".encode()).hexdigest()


def weights_hash(weights: nn.Module | Mapping[str, Tensor]) -> str:
    """sha256 of tensors by name."""
    named = weights.state_dict() if isinstance(weights, nn.Module) else weights
    total = hashlib.sha256()
    for name in sorted(named):
        value = named[name].detach().cpu().contiguous().flatten()
        total.update(f"{name} {tuple(named[name].shape)} {value.dtype}".encode())
        total.update(value.view(torch.uint8).numpy().data)
    return total.hexdigest()


def _is_whole(path: Path) -> bool:
    # A safetensors file tells its length in its first bytes, which is checked on opening.
    try:
        with safe_open(path, "pt") as file:
            return bool(file.keys())
    except (FileNotFoundError, SafetensorError):
        return False


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    save_file({k: v.contiguous() for k, v in tensors.items()}, partial)
    partial.replace(path)
