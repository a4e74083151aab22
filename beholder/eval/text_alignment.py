"""How well pictures and videos show what their prompts say: CLIPScore, RefCLIPScore, CLIPSIM, ITM.

The formulas take cosines; `picture_cosines` and `reference_cosines` have a reward make them. The
towers, and what stands before every prompt, are the reward's: for Hessel's two scores it is
`beholder.load("clipscore")`, which puts "A photo depicts " before prompts and references.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from beholder.errors import ConfigError, DataError, ImageError
from beholder.eval._bootstrap import Floats
from beholder.eval._estimate import Estimate, Ratio, estimates
from beholder.images import Alpha, ImageSource, as_list, read_each

PROTOCOLS = ("hessel", "torchmetrics")
"""Of CLIPScore."""
WEIGHT = 2.5
"""What brings the cosines of ViT-B/32 to about [0, 1] (Hessel et al., 2021, section 3)."""
_NOTHING = "no row has a value"
_SLACK = 1e-3  # by which a cosine in half precision may be over 1


@runtime_checkable
class CosineModel(Protocol):
    """What is used of a reward that compares a picture's vector with its prompt's."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""

    def preprocess(self, pixels: Tensor) -> Tensor:
        """Model-ready values of pixels (1, 3, h, w)."""

    def encode(self, pixel_values: Tensor) -> Tensor:
        """The vectors (b, d) of prepared pictures."""

    def prompt_features(self, prompts: Sequence[str]) -> Tensor:
        """The vectors (n, d), of length 1, of prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAlignment:
    """A mean of per-sample agreements of pictures or videos with their texts.

    Attributes:
        metric: "clipscore", "refclipscore", "clipsim", "itm", or "score" of a reward.
        mean: with its bootstrap interval over samples, or over the groups that were given.
        samples: one value a picture or video, NaN where there is none.
        keys: the videos that the samples are of, in the order in which they first stand; or ().
        left_out: how many pictures, or frames of videos, have no value.
        settings: what else decides the number.
    """

    metric: str
    mean: Estimate
    samples: tuple[float, ...]
    keys: tuple[str, ...] = ()
    left_out: int
    settings: dict[str, object]

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values; a sample without value is None."""
        samples = [None if np.isnan(value) else value for value in self.samples]
        return asdict(self) | {"samples": samples}


@dataclass(frozen=True, slots=True)
class Cosines:
    """Cosines of pictures and prompts, in [-1, 1]; NaN in a row of `errors`, which says why."""

    values: Floats
    errors: dict[int, str]


def clip_score(
    cosines: npt.ArrayLike,
    protocol: str = "hessel",
    *,
    groups: Sequence[Hashable] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> TextAlignment:
    """CLIPScore of the cosines (n,) of pictures and prompts; a NaN is left out and counted.

    Args:
        cosines: in [-1, 1].
        protocol: "hessel" is 2.5 max(cos, 0) of each picture, then the mean (Hessel et al., EMNLP
            2021, eq. 1). "torchmetrics" is 100 cos of each picture, and only the mean is cut off at
            0; that package puts nothing before a prompt, and its default towers are ViT-L/14.
        groups: of each picture, such as its prompt; whole groups are redrawn for the interval.
        draws: of the bootstrap.
        seed: of these draws.

    Raises:
        ConfigError: if `protocol` is unknown or `draws` not positive.
        DataError: if the values are not (n,) cosines, or the groups not as many.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol is {' or '.join(map(repr, PROTOCOLS))}, got {protocol!r}")
    values = _checked(cosines, "cosines")
    samples = WEIGHT * values.clip(min=0) if protocol == "hessel" else 100 * values
    mean = _mean(samples, groups, draws, seed)
    if protocol == "torchmetrics":
        mean = _cut_off(mean)
    settings: dict[str, object] = {"protocol": protocol, "draws": draws, "seed": seed}
    return _alignment("clipscore", samples, mean, settings)


def ref_clip_score(
    cosines: npt.ArrayLike,
    references: Sequence[npt.ArrayLike],
    *,
    groups: Sequence[Hashable] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> TextAlignment:
    """RefCLIPScore: harmonic mean of a picture's CLIPScore and its prompt's nearest reference.

    2 a b / (a + b) with a = 2.5 max(cos(picture, prompt), 0) and b = max(0, cosines of the prompt
    and its references), 0 if both are (Hessel et al., EMNLP 2021, section 3). As in the authors'
    code, the weight 2.5 stands on the picture's side alone; their code does not cut b off at 0.

    Args:
        cosines: of pictures and prompts, (n,); a NaN is left out and counted.
        references: for each picture the cosines of its prompt and references; a picture without
            any is left out and counted.
        groups: of each picture, as in `clip_score`.
        draws: of the bootstrap.
        seed: of these draws.

    Raises:
        ConfigError: if `draws` is not positive.
        DataError: if the values are no cosines, or not as many as pictures.
    """
    pictures = WEIGHT * _checked(cosines, "cosines").clip(min=0)
    if len(references) != len(pictures):
        raise DataError(f"{len(pictures)} cosines but references of {len(references)}; give each")
    texts = np.array([_nearest(row) for row in references], dtype=np.float64).reshape(-1)
    both = pictures + texts
    samples = 2 * pictures * texts / np.where(both == 0, 1, both)
    mean = _mean(samples, groups, draws, seed)
    return _alignment("refclipscore", samples, mean, {"draws": draws, "seed": seed})


def clipsim(
    cosines: npt.ArrayLike,
    videos: Sequence[str],
    *,
    scale: int = 1,
    sampling: str = "",
    draws: int = 1000,
    seed: int = 0,
) -> TextAlignment:
    """CLIPSIM: mean cosine of a video's frames and its prompt, then the mean over videos.

    Wu et al., GODIVA, 2021, section 4; NUWA, 2022. Neither cuts off at 0, puts anything before the
    prompt, or says which frames are looked at; the towers are ViT-B/32.

    Args:
        cosines: of frames and prompts, (n,); a NaN is left out and counted.
        videos: the video of each frame.
        scale: 1, or 100 as some tables have it.
        sampling: how frames were taken, to be told with the result.
        draws: of the bootstrap over videos.
        seed: of these draws.

    Raises:
        ConfigError: if `scale` is another number or `draws` not positive.
        DataError: if the values are no cosines, or the videos not as many.
    """
    if scale not in {1, 100}:
        raise ConfigError(f"scale is 1 or 100, got {scale}")
    values = scale * _checked(cosines, "cosines")
    ratio = _grouped(values, videos)
    with np.errstate(invalid="ignore"):
        samples = ratio.top / ratio.bottom
    settings: dict[str, object] = {"scale": scale, "sampling": sampling}
    settings |= {"draws": draws, "seed": seed}
    found = _alignment("clipsim", samples, _mean(samples, None, draws, seed), settings)
    left_out = int(np.isnan(values).sum())
    return replace(found, keys=tuple(dict.fromkeys(videos)), left_out=left_out)


def itm_score(
    probabilities: npt.ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> TextAlignment:
    """BLIP's mean probability (n,) that picture and text match; a NaN is left out and counted.

    It is what `beholder.load("blipscore", mode="itm")` scores (Li et al., ICML 2022, section 3.2).

    Raises:
        ConfigError: if `draws` is not positive.
        DataError: if the values are not (n,) in [0, 1], or the groups not as many.
    """
    samples = _checked(probabilities, "probabilities", least=0)
    mean = _mean(samples, groups, draws, seed)
    return _alignment("itm", samples, mean, {"draws": draws, "seed": seed})


def mean_score(
    scores: npt.ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> TextAlignment:
    """The mean of what a reward scores, (n,), in its own units; a NaN is left out and counted.

    Raises:
        ConfigError: if `draws` is not positive.
        DataError: if there are not as many groups as scores.
    """
    samples = np.asarray(scores, dtype=np.float64).reshape(-1)
    mean = _mean(samples, groups, draws, seed)
    return _alignment("score", samples, mean, {"draws": draws, "seed": seed})


@torch.no_grad()
def picture_cosines(
    model: CosineModel,
    images: ImageSource | Sequence[ImageSource],
    prompts: Sequence[str],
    *,
    batch_size: int = 32,
    alpha: Alpha = "white",
) -> Cosines:
    """The cosine of every picture and its prompt; what cannot be read is told in `errors`.

    Args:
        model: a reward that compares vectors, such as `beholder.load("clipscore")`, in eval mode.
        images: pictures or frames of any kind, or a batch.
        prompts: one each.
        batch_size: pictures in one pass.
        alpha: what shows behind transparent pixels.

    Raises:
        DataError: if the numbers of pictures and prompts differ.
        ConfigError: if `batch_size` is not positive.
    """
    sources = as_list(images)
    if len(sources) != len(prompts):
        raise DataError(f"{len(sources)} pictures but {len(prompts)} prompts; give one each")
    if batch_size < 1:
        raise ConfigError(f"batch_size must be 1 or more, got {batch_size}")
    values = np.full(len(sources), np.nan)
    errors: dict[int, str] = {}
    for start in range(0, len(sources), batch_size):
        batch = sources[start : start + batch_size]
        prepared = read_each(
            batch, lambda p: model.preprocess(p[None].to(model.device)), alpha=alpha
        )
        for at, picture in enumerate(prepared, start):
            if isinstance(picture, ImageError):
                errors[at] = f"{picture.code}: {picture}"
        for rows, pictures in _alike(prepared):
            where = [start + row for row in rows]
            texts = model.prompt_features([prompts[at] for at in where])
            vectors = model.encode(pictures).to(texts)
            values[where] = functional.cosine_similarity(vectors, texts).double().cpu().numpy()
    return Cosines(values, errors)


@torch.no_grad()
def reference_cosines(
    model: CosineModel, prompts: Sequence[str], references: Sequence[Sequence[str]]
) -> list[Floats]:
    """For every prompt its cosines with its references, as `ref_clip_score` takes them.

    Raises DataError if there are not references of every prompt.
    """
    if len(prompts) != len(references):
        raise DataError(f"{len(prompts)} prompts but references of {len(references)}; give each")
    return [
        (model.prompt_features(texts) @ model.prompt_features([prompt])[0]).double().cpu().numpy()
        if texts
        else np.zeros(0)
        for prompt, texts in zip(prompts, references, strict=True)
    ]


def _alike(prepared: Sequence[Tensor | ImageError]) -> list[tuple[list[int], Tensor]]:
    """The readable pictures of each shape in one batch, and their rows."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, picture in enumerate(prepared):
        if isinstance(picture, Tensor):
            groups.setdefault(tuple(picture.shape), []).append(row)
    return [(rows, torch.cat([prepared[r] for r in rows])) for rows in groups.values()]  # type: ignore[misc]


def _checked(values: npt.ArrayLike, what: str, least: int = -1) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise DataError(f"{what} must have one axis, (n,), got shape {found.shape}")
    outside = (found < least - _SLACK) | (found > 1 + _SLACK)
    if outside.any():
        at = int(outside.argmax())
        raise DataError(f"{what} must lie in [{least}, 1], but number {at} is {found[at]:.4g}")
    return found


def _nearest(row: npt.ArrayLike) -> float:
    values = _checked(row, "cosines of references")
    return max(0.0, float(values.max())) if len(values) else np.nan


def _mean(samples: Floats, groups: Sequence[Hashable] | None, draws: int, seed: int) -> Estimate:
    """The mean of the samples that are no NaN; whole groups are redrawn for its interval."""
    given = range(len(samples)) if groups is None else groups
    found = estimates({"mean": _grouped(samples, given)}, draws=draws, seed=seed)["mean"]
    return replace(found, samples=int(np.isfinite(samples).sum()))


def _grouped(samples: Floats, groups: Sequence[Hashable]) -> Ratio:
    """Sum and number of each group's samples, groups in the order in which they first stand."""
    if len(groups) != len(samples):
        raise DataError(f"{len(samples)} values but groups of {len(groups)}; give one each")
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    at = np.array([numbers[group] for group in groups], dtype=np.int64)
    known = np.isfinite(samples)
    parts = (np.where(known, samples, 0), known)
    sums, counts = (np.bincount(at, part, len(numbers)).astype(np.float64) for part in parts)
    return Ratio(sums, counts, _NOTHING)


def _cut_off(mean: Estimate) -> Estimate:
    def cut(value: float | None) -> float | None:
        return None if value is None else max(value, 0.0)

    return replace(mean, value=cut(mean.value), low=cut(mean.low), high=cut(mean.high))


def _alignment(
    metric: str, samples: Floats, mean: Estimate, settings: dict[str, object]
) -> TextAlignment:
    return TextAlignment(
        metric=metric,
        mean=mean,
        samples=tuple(samples.tolist()),
        left_out=int(np.isnan(samples).sum()),
        settings=settings,
    )
