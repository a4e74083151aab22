from itertools import count, islice
from pathlib import Path

import pytest
import torch

import beholder
from beholder.errors import DataError
from beholder.training.data import make_batch
from beholder.training.features import PictureFeatures, TextFeatures
from beholder.training.freezing import freeze, tower_weights
from beholder.training.loop import autocast
from beholder.training.scorers import FeatureScorer, PixelScorer, one_ahead
from tests.training.brightness import preferences, tiny_mps


def test_kept_features_score_like_pixels_and_like_the_reward_itself(tmp_path: Path) -> None:
    reward = tiny_mps().eval()
    freeze(reward, "head", last_blocks=1, lora_rank=1)
    batch = make_batch(preferences(tmp_path, prompts=2), ["overall"])
    image, text = tower_weights(reward)

    def fp32() -> torch.autocast:
        return autocast("fp32", torch.device("cpu"))

    kept = PictureFeatures(reward, tmp_path / "kept", image | text, fp32, "fp32")
    kept.survey(batch.pictures, 0, 1)
    for weight in (image | text).intersection(dict(reward.named_parameters())):
        reward.get_parameter(weight).requires_grad_(False)  # noqa: FBT003
    scorers = (FeatureScorer(reward, kept, TextFeatures(reward, fp32)), PixelScorer(reward))
    mine, computed = (s.score(batch, s.load(batch)) for s in scorers)  # type: ignore[arg-type]
    shown = [batch.pictures[k] for k in batch.picture_rows.tolist()]
    plain = reward.score(shown, batch.texts)
    for aspect, expected in plain.aspects.items():
        torch.testing.assert_close(mine.aspects[aspect].detach(), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(computed.aspects[aspect].detach(), expected)
    assert mine.total.requires_grad


def test_any_reward_scores_pixels_with_gradient(tmp_path: Path) -> None:
    reward = beholder.load("tiny")
    batch = make_batch(preferences(tmp_path, prompts=2), ["overall"])
    scorer = PixelScorer(reward)
    scores = scorer.score(batch, scorer.load(batch))
    shown = [batch.pictures[k] for k in batch.picture_rows.tolist()]
    torch.testing.assert_close(scores.total.detach(), reward.score(shown, batch.texts).total)
    scores.total.sum().backward()
    assert all(weight.grad is not None for weight in reward.parameters())


def test_a_thread_makes_the_next_item_and_order_is_kept() -> None:
    made: list[int] = []
    items = one_ahead(made.append(k) or k for k in count())  # type: ignore[func-returns-value]
    assert list(islice(items, 3)) == [0, 1, 2]
    items.close()  # type: ignore[attr-defined]
    assert made[:4] == [0, 1, 2, 3]
    assert len(made) <= 5


def test_what_goes_wrong_in_the_thread_is_raised_here() -> None:
    def broken() -> object:
        raise DataError("picture gone")

    with pytest.raises(DataError, match="picture gone"):
        next(one_ahead(broken() for _ in count()))
