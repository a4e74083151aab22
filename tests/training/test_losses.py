import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from beholder.errors import DataError
from beholder.training.losses import aspect_kl, aspect_score, binary_entropy, preference_kl
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
