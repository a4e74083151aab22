"""Clean latents to denoise: samples of the base model, or pictures that are encoded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from beholder.errors import DataError, ImageError
from beholder.images import read_images
from beholder.inputs import Row, read_inputs
from beholder.training._tuning.pairs_latents import fitted, sampled_size
from beholder.training.pipeline import Driver, Sampling

_TOGETHER = 4  # pictures in one pass


@dataclass(frozen=True, slots=True)
class Clean:
    """What is denoised.

    Attributes:
        latents: (n, …) on the CPU, as the scheduler holds them.
        prompts: one each.
        unread: picture -> why it is not among them, as "code: why".
    """

    latents: Tensor
    prompts: Sequence[str]
    unread: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write one safetensors file, whole."""
        from safetensors.torch import save_file  # noqa: PLC0415

        words = {"prompts": json.dumps(list(self.prompts)), "unread": json.dumps(dict(self.unread))}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        save_file({"latents": self.latents.contiguous()}, partial, metadata=words)
        partial.replace(path)

    @staticmethod
    def join(parts: Sequence[Clean]) -> Clean:
        """All parts in order."""
        latents = [part.latents for part in parts if len(part.prompts) > 0]
        unread = {name: why for part in parts for name, why in part.unread.items()}
        prompts = [prompt for part in parts for prompt in part.prompts]
        return Clean(torch.cat(latents) if latents else torch.empty(0), prompts, unread)

    @staticmethod
    def load(path: Path) -> Clean:
        """What `save` wrote; DataError if it is damaged."""
        from safetensors import SafetensorError, safe_open  # noqa: PLC0415

        try:
            with safe_open(path, framework="pt") as file:
                words = {key: json.loads(text) for key, text in file.metadata().items()}
                return Clean(file.get_tensor("latents"), words["prompts"], words["unread"])
        except (OSError, SafetensorError, ValueError, KeyError, AttributeError) as error:
            raise DataError(
                f"{path} is not a whole file of latents ({type(error).__name__}: {error}); delete "
                "it and start the run again"
            ) from error


def base_samples(
    driver: Driver,
    prompts: Sequence[str],
    sampling: Sampling,
    count: int,
    seed: int,
    share: slice = slice(None),
) -> Clean:
    """Pictures of the pipeline as it was before tuning, with guidance as `sampling` says.

    There are `count`, of which `share` is made; prompts come in an order drawn by the seed, each as
    often as any other, give or take one.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(prompts))
    seeds = random.integers(2**31, size=count).tolist()
    parts = []
    for rows in _chunks(range(count)[share]):
        texts = [prompts[order[row % len(prompts)]] for row in rows]
        with torch.no_grad(), driver.reference():
            sampled = driver.sample(
                texts, sampling, seeds=[seeds[row] for row in rows], decode=False
            )
        parts.append(Clean(sampled.latents.cpu(), texts))
    return Clean.join(parts)


def from_pictures(
    driver: Driver, source: str, sampling: Sampling, share: slice = slice(None)
) -> Clean:
    """The `share` of a source's pictures, see `beholder.inputs`, at the size that is sampled.

    The shorter side is brought to the size, then the centre is taken. A picture that cannot be
    read, or has no prompt, is left out and told in `unread`.
    Raises ConfigError if the pipeline cannot encode, DataError if there are no pictures.
    """
    size = sampled_size(driver, sampling)
    parts = []
    for rows in _chunks(list(read_inputs(source))[share]):
        good, unread = _read(rows)
        parts.append(Clean(torch.empty(0), [], unread))
        if good:
            pixels = torch.stack([fitted(picture, size) for picture, _ in good])
            latents = driver.encode(pixels, sampling).cpu()
            parts.append(Clean(latents, [prompt for _, prompt in good]))
    return Clean.join(parts)


def _read(rows: Sequence[Row]) -> tuple[list[tuple[Tensor, str]], dict[str, str]]:
    """Pictures with their prompts, and why others are left out."""
    read = read_images([row.image for row in rows])  # type: ignore[misc]
    good, unread = [], {}
    for row, picture in zip(rows, read, strict=True):
        if isinstance(picture, ImageError):
            unread[row.key] = f"{picture.code}: {picture}"
        elif row.prompt is None:
            unread[row.key] = "prompt: there is none"
        else:
            good.append((picture, row.prompt))
    return good, unread


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[start : start + _TOGETHER] for start in range(0, len(rows), _TOGETHER))
