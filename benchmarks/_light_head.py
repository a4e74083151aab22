"""The quickstart's judgements with a reward that is fitted to them in milliseconds.

The score of a picture for a prompt is linear in 500 features: the principal components of

    k(x, y) = <mean_x, mean_y> + <thirds_x, thirds_y> <text_x, text_y>,

where mean and thirds are averages over all cells, and over the upper, middle and lower part, of
the feature maps of the quickstart's frozen picture tower, and text is the prompt in the strongest
directions of its text tower. The first term sees how a picture looks, the second whether what is
where is what the prompt says. All is centred within a prompt, as only differences are judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import beholder
from beholder.annotation.asking.information import sigmoid
from beholder.annotation.reading.importing import import_export
from beholder.annotation.records.dataset import read_preferences
from beholder.quickstart.annotators import NOTICE
from beholder.quickstart.material import Part, Sizes, write_material
from beholder.quickstart.towers import save_start
from beholder.rewards._towers import Features
from beholder.training.fit.loop import autocast
from beholder.training.judged.data import pictures_of
from beholder.training.towers.features import PictureFeatures, TextFeatures
from beholder.training.towers.freezing import tower_weights
from beholder.types import Preference

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FEATURES = 500
DIRECTIONS = 24  # of the prompts; the others are noise: 15 photographs, 5 + 4 + 3 words
PENALTY = 0.1
_SAMPLE = 96  # pictures and prompts that set the scale of the towers
_PARTS: tuple[Part, ...] = ("train", "test")
_THIRDS = ((0, 3), (2, 5), (4, 7))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Judged pairs of one aspect: rows of two items, and how strongly the first is preferred."""

    rows: Integers
    p_first: Floats


@dataclass(frozen=True, slots=True)
class Pool:
    """Items, each a picture with a prompt, and what annotators said of pairs of them.

    Attributes:
        images, prompts: of each item.
        features: (items, FEATURES)
        preferences: pairs to learn from and pairs to judge by.
    """

    images: Sequence[str]
    prompts: Sequence[str]
    features: Floats
    preferences: dict[Part, list[Preference]]

    def pairs(self, part: Part, aspect: str) -> Pairs:
        place = {item: k for k, item in enumerate(zip(self.images, self.prompts, strict=True))}
        said = [p for p in self.preferences[part] if aspect in p.p_first]
        rows = [[place[picture, p.prompt] for picture in (p.first, p.second)] for p in said]
        return Pairs(np.array(rows), np.array([p.p_first[aspect] for p in said]))


@dataclass(frozen=True, slots=True)
class Head:
    """Weights of the features, and the curvature of their posterior there."""

    weights: Floats
    curvature: Floats

    @classmethod
    def fit(cls, features: Floats, pairs: Integers, p_first: Floats) -> Head:
        """The minimum of sum KL(p_first || sigma(margin)) + PENALTY / 2 |w|^2, by Newton."""
        x = features[pairs[:, 0]] - features[pairs[:, 1]]
        weights = np.zeros(x.shape[1])
        for _ in range(12):
            p = sigmoid(x @ weights)
            curvature = (x.T * (p * (1 - p))) @ x + PENALTY * np.eye(len(weights))
            step = np.linalg.solve(curvature, x.T @ (p - p_first) + PENALTY * weights)
            weights = weights - step
            if np.abs(step).max() < 1e-4:
                break
        return cls(weights, curvature)

    def members(self, count: int, rng: np.random.Generator) -> Floats:
        """Weights drawn from Laplace's approximation of their posterior: (count, d)."""
        root = np.linalg.cholesky(self.curvature)
        noise = rng.standard_normal((len(self.weights), count))
        return np.asarray(self.weights + np.linalg.solve(root.T, noise).T)


def make_pool(folder: Path, sizes: Sizes, seed: int) -> Pool:
    """Pictures, judgements and features, all made anew in `folder`."""
    write_material(folder, sizes, seed=seed, progress=lambda _: None)
    said = {part: _judgements(folder, part) for part in _PARTS}
    everything = [p for part in _PARTS for p in said[part]]
    items = list(dict.fromkeys((i, p.prompt) for p in everything for i in (p.first, p.second)))
    train = len({(i, p.prompt) for p in said["train"] for i in (p.first, p.second)})
    pictures, prompts = pictures_of(everything), sorted({p.prompt for p in everything})
    states, texts = _towers(folder, pictures, prompts, seed)
    picture = torch.tensor([pictures.index(image) for image, _ in items])
    prompt = torch.tensor([prompts.index(text) for _, text in items])
    gram = _gram(states.rows(picture), texts[prompt], prompt)
    images, texts_of = zip(*items, strict=True)
    return Pool(images, texts_of, _components(gram, train), said)


def _judgements(folder: Path, part: Part) -> list[Preference]:
    answers, judged = folder / "annotations" / part, folder / "judgements" / part
    import_export(
        [answers / "export.json"],
        judged,
        mapping=answers / "mapping.jsonl",
        images_root=folder / "pictures",
        notice=NOTICE,
    )
    return read_preferences(judged / "preferences")


def _towers(
    folder: Path, pictures: Sequence[str], prompts: Sequence[str], seed: int
) -> tuple[Features, Tensor]:
    """What the quickstart's towers give: states of pictures, and directions of prompts."""
    few = [values[:: max(1, len(values) // _SAMPLE)] for values in (pictures, prompts)]
    save_start(folder / "start", few[0], few[1], seed=seed)
    reward = beholder.load(str(folder / "start")).float().eval()
    compute = partial(autocast, "fp32", torch.device("cpu"))
    towers = set().union(*tower_weights(reward))
    kept = PictureFeatures(reward, folder / "features", towers, compute, "fp32", "fp32")
    kept.survey(pictures, 0, 1)
    texts = TextFeatures(reward, compute).of(prompts).pooled.double()
    directions = torch.linalg.svd(texts - texts.mean(0), full_matrices=False).U[:, :DIRECTIONS]
    return kept.load(pictures), directions * (len(prompts) / DIRECTIONS) ** 0.5


def _gram(states: Features, texts: Tensor, prompt: Tensor) -> Tensor:
    """k(x, y) of all items (n, n)."""
    cells = states.tokens[:, 1:].double()
    cells = ((cells - cells.mean((0, 1))) / cells.std((0, 1))).unflatten(1, (7, 7))
    thirds = torch.cat([cells[:, a:b, 2:5].mean((1, 2)) for a, b in _THIRDS], dim=1)
    looks, places = (
        _centred(part / part.shape[1] ** 0.5, prompt) for part in (cells.mean((1, 2)), thirds)
    )
    return looks @ looks.T + (places @ places.T) * (texts @ texts.T)


def _centred(values: Tensor, groups: Tensor) -> Tensor:
    """Values minus the mean of their group."""
    sums = values.new_zeros(int(groups.max()) + 1, values.shape[1]).index_add_(0, groups, values)
    return values - (sums / torch.bincount(groups)[:, None])[groups]


def _components(gram: Tensor, train: int) -> Floats:
    """The strongest principal components of the first `train` items; of the others, their place."""
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(0)
        u, strength, _ = torch.svd_lowrank(gram[:train, :train], q=FEATURES + 50, niter=2)
    kept = u[:, :FEATURES] / strength[:FEATURES].sqrt()
    return np.asarray((gram[:, :train] @ kept).numpy(), dtype=np.float64)
