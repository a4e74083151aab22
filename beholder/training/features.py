"""What frozen towers give, computed once: pictures on the disk, prompts in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from beholder.errors import ImageError
from beholder.images import read_images
from beholder.rewards import Reward
from beholder.rewards._towers import Features
from beholder.training.feature_parts import Parts, PartWriter, Stored
from beholder.training.freezing import FeatureReward
from beholder.training.pictures import CHUNK, Survey, content_hashes, share_of_chunks

_INFINITE = "non-finite: the towers give states of this picture that are no numbers"
TEXTS_KEPT = 4096
"""Prompts whose states stay in memory; 0.3 MB each at the size of CLIP ViT-H."""

CPU_BATCH = 2
"""Pictures in one pass on a CPU: the states of more outgrow its caches, which triples the time."""

Autocast = Callable[[], AbstractContextManager[object]]


class PictureFeatures:
    """The picture states of a reward's frozen towers, kept in files that are mapped into memory.

    A picture is known by its contents, and a folder by everything that the states depend on, so
    other runs may use them too, also at the same time. What was cut short or damaged is made anew.

    Args:
        reward: a `FeatureReward` whose towers do not change.
        folder: of any number of models.
        towers: names of the towers' weights.
        autocast: the precision to compute in.
        precision: its name.
        dtype: how the states are kept.
    """

    def __init__(
        self,
        reward: Reward,
        folder: Path,
        towers: set[str],
        autocast: Autocast,
        precision: str,
        dtype: Stored = "fp16",
    ) -> None:
        self._reward = reward
        self._autocast = autocast
        self._folder = folder / f"{model_hash(reward, towers, precision)[:32]}-{dtype}"
        self._dtype = dtype
        self._hashes: dict[str, str] = {}
        self._parts: Parts | None = None

    def survey(self, pictures: Sequence[str], rank: int, count: int) -> Survey:
        """Compute what is missing of this process's share; says which pictures cannot be used.

        A chunk of the share is computed whole if anything in it is missing: what a picture's states
        are, to the bit, must not depend on where an earlier run was killed.
        Raises ConfigError if the states are too large for the type in which they are kept.
        """
        hashes, faults = content_hashes(pictures)
        self._hashes |= hashes
        kept = Parts(self._folder, hashes.values())
        with PartWriter(self._folder, self._dtype) as writer:
            for chunk in share_of_chunks(pictures, rank, count):
                there = [p for p in chunk if p in hashes]
                done = {p for p in there if kept.holds(hashes[p]) or writer.holds(hashes[p])}
                faults |= self._compute(there, done, writer)
        self._parts = None  # other processes may have written meanwhile
        return faults

    def load(self, pictures: Sequence[str]) -> Features:
        """The states of some pictures, in float32 on the CPU; DataError if they are gone."""
        if self._parts is None:
            self._parts = Parts(self._folder, self._hashes.values())
        return self._parts.load([self._hashes[picture] for picture in pictures])

    def _compute(self, chunk: Sequence[str], done: set[str], writer: PartWriter) -> Survey:
        """Add what is not `done` of a chunk to the writer."""
        pictures, faults = _readable([p for p in chunk if p not in done])
        if not pictures:
            return faults
        pictures |= _readable(sorted(done))[0]
        together = [p for p in chunk if p in pictures]
        at_once = CPU_BATCH if self._reward.device.type == "cpu" else CHUNK
        for start in range(0, len(together), at_once):
            batch = together[start : start + at_once]
            states = self._states([pictures[p] for p in batch])
            good = [_is_finite(states, row) for row in range(len(batch))]
            new = [k for k, p in enumerate(batch) if good[k] and p not in done]
            writer.add([self._hashes[batch[k]] for k in new], states.rows(torch.tensor(new).long()))
            faults |= {p: _INFINITE for p, fine in zip(batch, good, strict=True) if not fine}
        return faults

    @torch.no_grad()
    def _states(self, pictures: Sequence[Tensor]) -> Features:
        reward, device = cast("FeatureReward", self._reward), self._reward.device
        pixels = [self._reward.preprocess(picture[None].to(device)) for picture in pictures]
        with self._autocast():
            return reward.image_backbone(torch.cat(pixels)).to("cpu", torch.float32)


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


@runtime_checkable
class NamedFeatures(Protocol):
    """A reward that says what its picture states depend on, so that others with the same share."""

    def feature_options(self) -> dict[str, object]:
        """JSON-ready; with the towers' weights and the precision it fixes the states."""


def model_hash(reward: Reward, towers: set[str], precision: str) -> str:
    """sha256 of what picture states depend on: options, precision, the towers' weights.

    The options are the reward's `feature_options`, or its class and all of `options`.
    """
    kind = f"{type(reward).__module__}:{type(reward).__qualname__}"
    told = {"kind": kind, **reward.options()}
    if isinstance(reward, NamedFeatures):
        told = reward.feature_options()
    text = json.dumps([told, precision], sort_keys=True)
    weights: dict[str, Tensor] = {k: v for k, v in reward.named_parameters() if k in towers}
    beside = {name.rpartition(".")[0] for name in towers}  # such as the statistics of a batch norm
    weights |= {k: v for k, v in reward.named_buffers() if k.rpartition(".")[0] in beside}
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


def _readable(pictures: Sequence[str]) -> tuple[dict[str, Tensor], Survey]:
    """Those of the pictures that can be decoded, and why the others cannot."""
    read = dict(zip(pictures, read_images(pictures), strict=True))
    faults = {p: f"{r.code}: {r}" for p, r in read.items() if isinstance(r, ImageError)}
    return {p: r for p, r in read.items() if isinstance(r, Tensor)}, faults


def _is_finite(states: Features, row: int) -> bool:
    return bool(states.tokens[row].isfinite().all() and states.pooled[row].isfinite().all())
