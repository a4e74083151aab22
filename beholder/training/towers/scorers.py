"""How a batch of pairs becomes scores: from pixels, or from what frozen towers gave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward
from beholder.rewards._towers import Embeddings, Features
from beholder.training.judged.data import Batch
from beholder.training.towers.features import PictureFeatures, TextFeatures
from beholder.training.towers.freezing import FeatureReward
from beholder.training.towers.pictures import read_all
from beholder.types import Scores

Loaded = TypeVar("Loaded")
Item = TypeVar("Item")


@runtime_checkable
class EmbeddingReward(FeatureReward, Protocol):
    """A reward that compares a picture and its prompt in a space that both share."""

    def embeddings(self, images: Features, texts: Features) -> Embeddings:
        """Where backbone states lie in that space, a row each."""


class Scorer(ABC, Generic[Loaded]):
    """Two halves, so that the first can run ahead in a thread."""

    @abstractmethod
    def load(self, batch: Batch) -> Loaded:
        """What the batch's pictures hold, on the CPU."""

    @abstractmethod
    def score(self, batch: Batch, loaded: Loaded) -> Scores:
        """Scores of the batch's rows, with gradient."""

    @abstractmethod
    def embed(self, batch: Batch, loaded: Loaded) -> tuple[Scores, Embeddings]:
        """The same of an `EmbeddingReward`, and the embeddings that they come from, a row each."""


class PixelScorer(Scorer[list[Tensor]]):
    """Decodes pictures and runs the whole reward.

    Each distinct picture goes through its tower once, and so does each distinct prompt where the
    reward encodes it apart from the picture.
    """

    def __init__(self, reward: Reward) -> None:
        self._reward = reward

    @override
    def load(self, batch: Batch) -> list[Tensor]:
        return read_all(batch.pictures)

    @override
    def score(self, batch: Batch, loaded: list[Tensor]) -> Scores:
        encoded = self._reward.encode(self._prepared(loaded))
        rows = batch.picture_rows.to(self._reward.device)
        shown = encoded.rows(rows) if isinstance(encoded, Features) else encoded[rows]
        return self._reward.score_encoded(shown, batch.texts)

    @override
    def embed(self, batch: Batch, loaded: list[Tensor]) -> tuple[Scores, Embeddings]:
        reward = cast("EmbeddingReward", self._reward)
        images = reward.image_backbone(self._prepared(loaded)).rows(batch.picture_rows)
        texts = reward.text_backbone(batch.texts)
        return reward.score_features(images, texts), reward.embeddings(images, texts)

    def _prepared(self, pictures: list[Tensor]) -> Float[Tensor, "b 3 s t"]:
        reward, device = self._reward, self._reward.device
        return torch.cat([reward.preprocess(picture[None].to(device)) for picture in pictures])


class FeatureScorer(Scorer[Features]):
    """Runs the head alone on what the frozen towers gave."""

    def __init__(self, reward: Reward, pictures: PictureFeatures, texts: TextFeatures) -> None:
        self._reward = cast("FeatureReward", reward)
        self._device = reward.device
        self._pictures = pictures
        self._texts = texts
        self._conditions = texts.conditions()

    @override
    def load(self, batch: Batch) -> Features:
        return self._pictures.load(batch.pictures)

    @override
    def score(self, batch: Batch, loaded: Features) -> Scores:
        images, texts = self._rows(batch, loaded)
        return self._reward.score_features(images, texts, self._conditions)

    @override
    def embed(self, batch: Batch, loaded: Features) -> tuple[Scores, Embeddings]:
        reward = cast("EmbeddingReward", self._reward)
        images, texts = self._rows(batch, loaded)
        scores = reward.score_features(images, texts, self._conditions)
        return scores, reward.embeddings(images, texts)

    def _rows(self, batch: Batch, loaded: Features) -> tuple[Features, Features]:
        """Picture and text states of each row."""
        images = loaded.to(self._device).rows(batch.picture_rows)
        return images, self._texts.of(batch.prompts).rows(batch.prompt_rows)


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items of an endless stream; a thread makes the next one while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="batch") as pool:
        coming = pool.submit(next, items)
        while True:
            item = coming.result()
            coming = pool.submit(next, items)
            yield item
