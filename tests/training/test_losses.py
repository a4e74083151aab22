import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from beholder.errors import DataError
from beholder.training.losses import (
    aspect_kl,
    aspect_score,
    binary_entropy,
    contrastive_kl,
    preference_kl,
)
from beholder.types import Edges, Scores

FIXTURES = Path(__file__).parents[1] / "data" / "training"


def kl(margin: float, p: float) -> float:
    return preference_kl(torch.tensor([margin]), torch.tensor([p])).item()


def test_a_certain_answer_costs_the_negative_log_likelihood() -> None:
    assert kl(math.log(3), 1.0) == pytest.approx(math.log(4 / 3), abs=1e-6)  # q = 3/4
    assert kl(math.log(3), 0.0) == pytest.approx(math.log(4), abs=1e-6)


def test_a_soft_answer_costs_its_divergence() -> None:
    by_hand = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert kl(0.0, 0.75) == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_the_loss_is_zero_where_the_model_says_what_people_say(p: float) -> None:
    assert kl(math.log(p / (1 - p)), p) == pytest.approx(0, abs=1e-6)


def test_a_tie_is_zero_at_equal_scores_and_grows_alike_to_both_sides() -> None:
    assert kl(0.0, 0.5) == pytest.approx(0, abs=1e-7)
    assert kl(2.0, 0.5) == pytest.approx(kl(-2.0, 0.5))
    assert kl(2.0, 0.5) > 0.3


def test_the_gradient_is_the_difference_of_probabilities() -> None:
    margin = torch.tensor([math.log(3)], requires_grad=True)
    preference_kl(margin, torch.tensor([0.2])).backward()
    assert margin.grad is not None
    assert margin.grad.item() == pytest.approx(0.75 - 0.2, abs=1e-6)


def test_huge_margins_stay_finite() -> None:
    assert kl(1e4, 0.0) == pytest.approx(1e4)
    assert kl(-1e4, 0.0) == 0


def test_weights_make_a_weighted_mean() -> None:
    margin, p = torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 1.0])
    loss = preference_kl(margin, p, torch.tensor([3.0, 1.0]))
    assert loss.item() == pytest.approx((3 * math.log(2) + math.log(4 / 3)) / 4, abs=1e-6)


def test_no_pair_is_refused() -> None:
    with pytest.raises(DataError, match="no pair"):
        preference_kl(torch.zeros(0), torch.zeros(0))
    with pytest.raises(DataError, match="no pair"):
        aspect_kl(Scores(torch.zeros(2)), {}, {})


def test_entropy_of_a_coin_is_ln_2() -> None:
    entropy = binary_entropy(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(entropy, torch.tensor([0.0, math.log(2), 0.0]))


def test_the_loss_is_that_of_the_published_criterion() -> None:
    """Three pairs, the last a tie; each weighs 1 / (pairs of its prompt)."""
    t = load_file(FIXTURES / "pickscore_criterion.safetensors")
    text = functional.normalize(t["text"], dim=1)
    first, second = (
        t["logit_scale"] * (text * functional.normalize(t[name], dim=1)).sum(1)
        for name in ("image_0", "image_1")
    )
    expected = json.loads((FIXTURES / "pickscore_criterion.json").read_text())["loss"]
    loss = preference_kl(first - second, t["label_0"], 1 / t["num_examples_per_prompt"])
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def criterion() -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor, Edges]:
    """The published criterion's inputs: three pairs, the last a tie."""
    t = load_file(FIXTURES / "pickscore_criterion.safetensors")
    images = functional.normalize(torch.cat([t["image_0"], t["image_1"]]), dim=1)
    edges = Edges(torch.tensor([(0, 3), (1, 4), (2, 5)]), t["label_0"])
    return t, functional.normalize(t["text"], dim=1), images, edges


def test_the_loss_with_negatives_of_the_batch_is_that_of_the_published_criterion() -> None:
    t, texts, images, edges = criterion()
    expected = json.loads((FIXTURES / "pickscore_criterion.json").read_text())
    scale = t["logit_scale"].log()
    loss = contrastive_kl(texts, images, edges, scale, 1 / t["num_examples_per_prompt"])
    assert loss.item() == pytest.approx(expected["loss_in_batch_negatives"], rel=1e-5)


def test_the_contrastive_loss_is_0_where_every_text_knows_its_pictures() -> None:
    texts = torch.eye(4)[:2]
    images = torch.stack([texts[0], texts[1], texts[0], texts[1]])  # both of a tie fit alike
    ties = Edges.from_pairs([(0, 2), (1, 3)], [0.5, 0.5])
    scale = torch.tensor(50.0).log()
    assert contrastive_kl(texts, images, ties, scale).item() == pytest.approx(0, abs=1e-6)
    apart = torch.eye(4)
    certain = Edges.from_pairs([(0, 2), (1, 3)], [1.0, 1.0])
    assert contrastive_kl(apart[:2], apart, certain, scale).item() == pytest.approx(0, abs=1e-6)
    uniform = contrastive_kl(texts, torch.zeros(4, 4), certain, scale)
    assert uniform.item() == pytest.approx((math.log(4) + math.log(2)) / 2, abs=1e-6)


def test_the_contrastive_loss_wants_pairs_and_a_text_each() -> None:
    _, texts, images, edges = criterion()
    scale = torch.tensor(1.0)
    with pytest.raises(DataError, match="no pair"):
        contrastive_kl(texts[:0], images, Edges.from_pairs([], []), scale)
    with pytest.raises(DataError, match="3 pairs need a text each, got 2"):
        contrastive_kl(texts[:2], images, edges, scale)


def test_an_answer_weighs_as_much_as_its_aspect() -> None:
    scores = Scores(
        torch.zeros(2),
        {"detail": torch.tensor([0.0, 0.0]), "overall": torch.tensor([math.log(3), 0.0])},
    )
    one = Edges.from_pairs([(0, 1)], [1.0])
    two = Edges.from_pairs([(0, 1), (1, 0)], [1.0, 1.0])
    loss = aspect_kl(scores, {"detail": one, "overall": two}, {"detail": 2.0, "overall": 1.0})
    by_hand = (2 * math.log(2) + math.log(4 / 3) + math.log(4)) / (2 + 2)
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_overall_is_the_total_of_a_reward_without_aspects() -> None:
    scores = Scores(torch.tensor([1.0, 2.0]))
    assert aspect_score(scores, "overall").tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match="'detail'"):
        aspect_score(scores, "detail")
