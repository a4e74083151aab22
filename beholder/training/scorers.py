"""How a batch of pairs becomes scores: from pixels, or from what frozen towers gave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward
from beholder.rewards._towers import Features
from beholder.training.data import Batch
from beholder.training.features import PictureFeatures, TextFeatures
from beholder.training.freezing import FeatureReward
from beholder.training.pictures import read_all
from beholder.types import Scores

Loaded = TypeVar("Loaded")
Item = TypeVar("Item")


class Scorer(ABC, Generic[Loaded]):
    """Two halves, so that the first can run ahead in a thread."""

    @abstractmethod
    def load(self, batch: Batch) -> Loaded:
        """What the batch's pictures hold, on the CPU."""

    @abstractmethod
    def score(self, batch: Batch, loaded: Loaded) -> Scores:
        """Scores of the batch's rows, with gradient."""


class PixelScorer(Scorer[list[Tensor]]):
    """Decodes pictures and runs the whole reward; each picture goes through its tower once."""

    def __init__(self, reward: Reward) -> None:
        self._reward = reward

    @override
    def load(self, batch: Batch) -> list[Tensor]:
        return read_all(batch.pictures)

    @override
    def score(self, batch: Batch, loaded: list[Tensor]) -> Scores:
        reward, device = self._reward, self._reward.device
        pixels = torch.cat([reward.preprocess(picture[None].to(device)) for picture in loaded])
        rows = batch.picture_rows.to(device)
        if isinstance(reward, FeatureReward):
            images = reward.image_backbone(pixels).rows(rows)
            return reward.score_features(images, reward.text_backbone(batch.texts))
        return reward.score_prepared(pixels[rows], batch.texts)


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
        images = loaded.to(self._device).rows(batch.picture_rows)
        texts = self._texts.of(batch.prompts).rows(batch.prompt_rows)
        return self._reward.score_features(images, texts, self._conditions)


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items of an endless stream; a thread makes the next one while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="batch") as pool:
        coming = pool.submit(next, items)
        while True:
            item = coming.result()
            coming = pool.submit(next, items)
            yield item
