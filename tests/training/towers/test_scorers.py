from importlib import import_module
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
import torch

import beholder
from beholder.errors import DataError
from beholder.rewards import Reward
from beholder.training.fit.loop import autocast
from beholder.training.judged.data import Batch, make_batch
from beholder.training.towers.features import PictureFeatures, TextFeatures
from beholder.training.towers.freezing import tower_weights
from beholder.training.towers.scorers import EmbeddingReward, FeatureScorer, PixelScorer, one_ahead
from beholder.types import Edges
from tests.training.brightness import preferences


def fp32() -> torch.autocast:
    return autocast("fp32", torch.device("cpu"))


def frozen(reward: Reward) -> set[str]:
    """Freezes the towers and gives the names of their weights."""
    names = set().union(*tower_weights(reward))
    for name in names:
        reward.get_parameter(name).requires_grad_(False)  # noqa: FBT003
    return names


def kept_scorer(reward: Reward, batch: Batch, folder: Path) -> FeatureScorer:
    kept = PictureFeatures(reward, folder / "kept", frozen(reward), fp32, "fp32", "fp32")
    kept.survey(batch.pictures, 0, 1)
    return FeatureScorer(reward, kept, TextFeatures(reward, fp32))


def tiny(name: str) -> Any:
    return import_module(f"tests.rewards.tinies.{name}").tiny().eval()


@pytest.mark.parametrize(
    "name", ["mps", "pickscore", "hps", "clipscore", "siglip", "aesthetic", "head"]
)
def test_kept_features_score_like_pixels_and_like_the_reward_itself(
    name: str, tmp_path: Path
) -> None:
    reward = tiny(name)
    batch = make_batch(preferences(tmp_path, prompts=2), ["overall"])
    scorers = (kept_scorer(reward, batch, tmp_path), PixelScorer(reward))
    mine, computed = (s.score(batch, s.load(batch)) for s in scorers)  # type: ignore[arg-type]
    shown = [batch.pictures[k] for k in batch.picture_rows.tolist()]
    plain = reward.score(shown, batch.texts)
    for aspect in ("total", *plain.aspects):
        expected = plain.named(aspect)
        torch.testing.assert_close(mine.named(aspect).detach(), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(computed.named(aspect).detach(), expected, atol=1e-5, rtol=1e-5)
    assert mine.total.requires_grad


@pytest.mark.parametrize("name", ["pickscore", "hps", "siglip"])
def test_embeddings_are_what_the_scores_of_the_same_pass_come_from(
    name: str, tmp_path: Path
) -> None:
    reward = tiny(name)
    batch = make_batch(preferences(tmp_path, prompts=2), ["overall"])
    scorers = (kept_scorer(reward, batch, tmp_path), PixelScorer(reward))
    for scorer in scorers:
        loaded: Any = scorer.load(batch)
        scores, embedded = scorer.embed(batch, loaded)
        torch.testing.assert_close(scores.total, scorer.score(batch, loaded).total)
        cosine = (embedded.images * embedded.texts).sum(dim=1)
        torch.testing.assert_close(
            reward.from_cosine(cosine),
            scores.total,
            atol=1e-5,
            rtol=1e-5,
        )
        assert embedded.images.requires_grad or embedded.texts.requires_grad


def test_only_rewards_that_compare_in_a_shared_space_have_embeddings() -> None:
    are = {name: isinstance(tiny(name), EmbeddingReward) for name in ("mps", "pickscore", "tiny")}
    assert are == {"mps": False, "pickscore": True, "tiny": False}


def in_a_ranking_of_four() -> Batch:
    """Six pairs of four pictures of one prompt."""
    rows = torch.arange(4)
    edges = {"overall": Edges.from_ranks([[1, 2, 3, 4]])}
    return Batch(("a", "b", "c", "d"), ("a cat",), rows, torch.zeros(4).long(), edges)


TOWER_CALLS = {
    "mps": ("towers.image_backbone", "towers.text_backbone"),
    "pickscore": ("towers.pooled_image_backbone", "towers.pooled_text_backbone"),
    "hps": ("towers.pooled_image_backbone", "towers.pooled_text_backbone"),
    "imagereward": ("blip.see", ""),
    "blipscore": ("blip.see", ""),
}


@pytest.mark.parametrize("name", TOWER_CALLS)
def test_a_ranking_of_four_passes_the_picture_tower_four_times_and_the_text_tower_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = tiny(name)
    reward.train()
    pictures = list(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    seen: dict[str, int] = {}

    def count(call: str) -> None:
        holder, _, method = call.partition(".")
        part = getattr(reward, holder)
        whole = getattr(part, method)

        def counted(given: Any) -> Any:
            seen[call] = seen.get(call, 0) + len(given)
            return whole(given)

        monkeypatch.setattr(part, method, counted)

    for call in filter(None, TOWER_CALLS[name]):
        count(call)
    batch = in_a_ranking_of_four()
    scores = PixelScorer(reward).score(batch, pictures)
    assert len(batch.edges["overall"]) == 6
    picture, text = TOWER_CALLS[name]
    assert seen[picture] == 4
    if name == "mps":
        assert seen[text] == 1 + len(reward.conditions)
    elif text:
        assert seen[text] == 1
    scores.total.sum().backward()


def test_a_picture_of_two_prompts_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = tiny("imagereward")
    rows: list[int] = []
    see = reward.blip.see

    def watched(values: torch.Tensor) -> torch.Tensor:
        rows.append(len(values))
        seen: torch.Tensor = see(values)
        return seen

    monkeypatch.setattr(reward.blip, "see", watched)
    picture_rows, prompt_rows = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])
    batch = Batch(("a", "b"), ("a cat", "a cube"), picture_rows, prompt_rows, {})
    pictures = list(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    scores = PixelScorer(reward).score(batch, pictures).total
    assert rows == [2]
    shown = [pictures[k] for k in picture_rows.tolist()]
    expected = reward.score(shown, ["a cat", "a cube", "a cat"]).total
    torch.testing.assert_close(scores.detach(), expected, atol=1e-5, rtol=1e-5)


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
