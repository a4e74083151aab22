"""What frozen towers give, computed once and kept on the disk: states of pictures and prompts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from beholder.errors import ConfigError, ImageError
from beholder.images import read_images
from beholder.rewards import Reward
from beholder.rewards._towers import Features
from beholder.training.towers.feature_parts import Parts, PartWriter, Stored, narrowed
from beholder.training.towers.freezing import FeatureReward, tower_weights
from beholder.training.towers.pictures import CHUNK, Survey, content_hashes, share_of_chunks

_INFINITE = "non-finite: the towers give states of this picture that are no numbers"
FORMAT = 2
"""Counts up whenever this project prepares pictures or texts otherwise, so that kept states of
before are not taken for those of now."""

TEXT_BYTES = 2**30
"""States of prompts held in memory where they are not on the disk; a prompt of CLIP ViT-H has
3 KB, or 0.3 MB with its tokens."""

_ENTRY = 1024
"""What holding a prompt costs beside its states."""

CPU_BATCH = 2
"""Pictures in one pass on a CPU: the states of more outgrow its caches, which triples the time."""

Autocast = Callable[[], AbstractContextManager[object]]
Exchange = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From the entries of this process to those of all."""

_COMPUTING = ("torch", "torchvision", "transformers", "open_clip_torch", "timm", "Pillow")
"""Packages whose versions may move the bits of states."""


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

    def survey(
        self, pictures: Sequence[str], rank: int, count: int, exchange: Exchange | None = None
    ) -> Survey:
        """Compute what is missing of this process's share; says which pictures cannot be used.

        With `exchange`, such as `Processes.union`, each process reads its share of the files to
        know them, in place of all of them.

        A chunk of the share is computed whole if anything in it is missing: what a picture's states
        are, to the bit, must not depend on where an earlier run was killed.
        Raises ConfigError if the states are too large for the type in which they are kept.
        """
        own = pictures if exchange is None else pictures[rank::count]
        hashes, faults = content_hashes(own)
        if exchange is not None:
            hashes, faults = dict(exchange(hashes)), dict(exchange(faults))
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
    """The text states of a reward's frozen towers.

    Those of a `survey` are read from files that are mapped into memory, as pictures' are. Others
    are computed when they are asked for and held in memory, up to `TEXT_BYTES` together: those that
    came first stay, since each epoch asks for all of them again. Each prompt is encoded alone: a
    tower may cut a batch by the lengths of its texts, so that the states of one, to the bit, would
    depend on the others.

    Args:
        reward: a `FeatureReward` whose towers do not change.
        autocast: the precision to compute in.
        folder: of any number of models; needed by `survey` alone.
        precision: the name of the precision.
        dtype: how the states are kept.
    """

    def __init__(
        self,
        reward: Reward,
        autocast: Autocast,
        folder: Path | None = None,
        precision: str = "fp32",
        dtype: Stored = "fp32",
    ) -> None:
        self._reward = reward
        self._autocast = autocast
        self._folder, self._precision, self._dtype = folder, precision, dtype
        self._name = ""
        self._hashes: dict[str, str] = {}
        self._parts: Parts | None = None
        self._held: dict[str, Features] = {}
        self._bytes = 0

    def survey(self, prompts: Sequence[str], rank: int, count: int) -> None:
        """Compute, and keep on the disk, what is missing of this process's share of the prompts.

        All of them may be asked for once every process is done. Does nothing for a reward that
        reads no texts. Raises ConfigError if there is no folder, or the states are too large for
        the type in which they are kept.
        """
        one = self._encode("")
        if not one.tokens.nbytes + one.pooled.nbytes:
            return
        folder = self._place()
        hashes = {prompt: hashlib.sha256(prompt.encode()).hexdigest() for prompt in prompts}
        kept = Parts(folder, hashes.values())
        with PartWriter(folder, self._dtype) as writer:
            for prompt in _own_prompts(list(hashes), rank, count):
                if not kept.holds(hashes[prompt]):
                    writer.add([hashes[prompt]], self._encode(prompt))
        self._hashes |= hashes
        self._parts = None  # other processes may write meanwhile

    def of(self, prompts: Sequence[str]) -> Features:
        """The states of some prompts, in float32 where the reward is.

        Shorter ones are filled with zeros, which nothing reads.
        Raises DataError if what was kept is gone.
        """
        return filled([self._one(prompt) for prompt in prompts]).to(
            self._reward.device, torch.float32
        )

    @torch.no_grad()
    def conditions(self) -> Features:
        """The states of the reward's own texts."""
        with self._autocast():
            return cast("FeatureReward", self._reward).condition_features()

    def _one(self, prompt: str) -> Features:
        if prompt in self._hashes:
            if self._parts is None:
                self._parts = Parts(self._place(), self._hashes.values())
            return self._parts.load([self._hashes[prompt]])
        if prompt in self._held:
            return self._held[prompt]
        states = narrowed(self._encode(prompt), self._dtype)
        size = states.tokens.nbytes + states.pooled.nbytes + _ENTRY
        if self._bytes + size <= TEXT_BYTES:
            self._held[prompt] = states
            self._bytes += size
        return states

    def _place(self) -> Path:
        if self._folder is None:
            raise ConfigError("states of prompts are kept in a folder, but none is given")
        if not self._name:
            self._name = f"{text_hash(self._reward, self._precision)[:32]}-{self._dtype}"
        return self._folder / self._name

    @torch.no_grad()
    def _encode(self, prompt: str) -> Features:
        with self._autocast():
            states = cast("FeatureReward", self._reward).text_backbone([prompt])
        return states.to("cpu", torch.float32)


def filled(states: Sequence[Features]) -> Features:
    """States of texts one after another; shorter ones end in tokens of zeros."""
    longest = max(one.tokens.shape[1] for one in states)
    tokens = [functional.pad(s.tokens, (0, 0, 0, longest - s.tokens.shape[1])) for s in states]
    return Features(torch.cat(tokens), torch.cat([one.pooled for one in states]))


@runtime_checkable
class NamedFeatures(Protocol):
    """A reward that says what its picture states depend on, so that others with the same share."""

    def feature_options(self) -> dict[str, object]:
        """JSON-ready; with the towers' weights and the precision it fixes the states."""


def model_hash(reward: Reward, towers: set[str], precision: str) -> str:
    """sha256 of what picture states depend on: options, weights of the picture tower, machinery.

    The options are the reward's `feature_options`, or its class and all of `options`. Of `towers`
    those count that picture states come from. The machinery is the precision, the kind of device,
    whether it rounds products to TF32, versions of what computes and `FORMAT`.
    """
    told = _options(reward)
    if isinstance(reward, NamedFeatures):
        told = reward.feature_options()
    return _states_hash(
        reward, towers & tower_weights(reward)[0], {**told, "of": "pictures"}, precision
    )


def text_hash(reward: Reward, precision: str) -> str:
    """The same of text states: all options, as padding is one, the text tower and its tokenizer."""
    beside = reward.state_dict().items()
    tokenizers = {k: v for k, v in beside if k.endswith("_extra_state") and isinstance(v, Tensor)}
    told = {**_options(reward), "of": "texts", "beside": weights_hash(tokenizers)}
    return _states_hash(reward, set().union(*tower_weights(reward)[1:]), told, precision)


def _options(reward: Reward) -> dict[str, object]:
    kind = f"{type(reward).__module__}:{type(reward).__qualname__}"
    return {"kind": kind, **reward.options()}


def _states_hash(
    reward: Reward, tower: set[str], told: Mapping[str, object], precision: str
) -> str:
    text = json.dumps([told, precision, _machinery(reward.device)], sort_keys=True)
    weights: dict[str, Tensor] = {k: v for k, v in reward.named_parameters() if k in tower}
    beside = {name.rpartition(".")[0] for name in tower}  # such as the statistics of a batch norm
    weights |= {k: v for k, v in reward.named_buffers() if k.rpartition(".")[0] in beside}
    return hashlib.sha256(f"{text}{weights_hash(weights)}".encode()).hexdigest()


def _machinery(device: torch.device) -> dict[str, object]:
    """What moves states beside weights and options; versions count to the second number."""
    rounds = [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32]
    return {
        "format": FORMAT,
        "versions": [_version(name) for name in _COMPUTING],
        "device": device.type,
        "tf32": rounds if device.type == "cuda" else [],
    }


def weights_hash(weights: nn.Module | Mapping[str, Tensor]) -> str:
    """sha256 of tensors by name."""
    named = weights.state_dict() if isinstance(weights, nn.Module) else weights
    total = hashlib.sha256()
    for name in sorted(named):
        value = named[name].detach().cpu().contiguous().flatten()
        total.update(f"{name} {tuple(named[name].shape)} {value.dtype}".encode())
        total.update(value.view(torch.uint8).numpy().data)
    return total.hexdigest()


def _version(package: str) -> str:
    try:
        return ".".join(metadata.version(package).split(".")[:2])
    except metadata.PackageNotFoundError:
        return ""


def _own_prompts(prompts: Sequence[str], rank: int, count: int) -> Iterable[str]:
    """A process's share of the prompts; the first one shows its progress."""
    from tqdm import tqdm  # noqa: PLC0415

    hidden = True if rank else None  # None: where no terminal is
    return tqdm(prompts[rank::count], desc="prompts", unit="prompt", disable=hidden)


def _readable(pictures: Sequence[str]) -> tuple[dict[str, Tensor], Survey]:
    """Those of the pictures that can be decoded, and why the others cannot."""
    read = dict(zip(pictures, read_images(pictures), strict=True))
    faults = {p: f"{r.code}: {r}" for p, r in read.items() if isinstance(r, ImageError)}
    return {p: r for p, r in read.items() if isinstance(r, Tensor)}, faults


def _is_finite(states: Features, row: int) -> bool:
    return bool(states.tokens[row].isfinite().all() and states.pooled[row].isfinite().all())
