import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from scipy.integrate import quad
from scipy.special import expit, ndtr
from torch.nn import functional

from beholder.errors import DataError
from beholder.training.losses import (
    aspect_kl,
    aspect_score,
    binary_entropy,
    contrastive_kl,
    gaussian_kl,
    over_aspects,
    preference_kl,
    rao_kupper,
    rating_error,
)
from beholder.types import Edges, Scores, Targets

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


def test_an_answer_weighs_as_much_as_its_aspect_times_its_own_weight() -> None:
    scores = Scores(
        torch.zeros(2),
        {"detail": torch.tensor([0.0, 0.0]), "overall": torch.tensor([math.log(3), 0.0])},
    )
    one = Edges.from_pairs([(0, 1)], [1.0], [3.0])
    two = Edges.from_pairs([(0, 1), (1, 0)], [1.0, 1.0], [1.0, 0.5])
    loss = aspect_kl(scores, {"detail": one, "overall": two}, {"detail": 2.0, "overall": 1.0})
    by_hand = (2 * 3 * math.log(2) + math.log(4 / 3) + 0.5 * math.log(4)) / (2 * 3 + 1.5)
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_an_aspect_without_answers_changes_nothing() -> None:
    scores = Scores(torch.tensor([math.log(3), 0.0]))
    edges = {"overall": Edges.from_pairs([(0, 1)], [1.0]), "detail": Edges.from_pairs([], [])}
    loss = aspect_kl(scores, edges, {"overall": 1.0, "detail": 1.0})
    assert loss.item() == pytest.approx(math.log(4 / 3), abs=1e-6)


def test_aspects_make_a_mean_by_their_shares() -> None:
    losses = {"a": torch.tensor(1.0), "b": torch.tensor(4.0)}
    assert over_aspects(losses, {"a": torch.tensor(1.0), "b": 2.0}).item() == pytest.approx(3)
    assert over_aspects(losses, {"a": 1.0, "b": 2.0}, total=18.0).item() == pytest.approx(3 / 6)
    with pytest.raises(DataError, match="no answer"):
        over_aspects({}, {})


def test_overall_is_the_total_of_a_reward_without_aspects() -> None:
    scores = Scores(torch.tensor([1.0, 2.0]))
    assert aspect_score(scores, "overall").tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match="'detail'"):
        aspect_score(scores, "detail")


def ties(margin: float, p: float, strength: float) -> float:
    return rao_kupper(torch.tensor([margin]), torch.tensor([p]), strength).item()


def test_wins_and_ties_have_the_probabilities_of_rao_and_kupper() -> None:
    """Strengths 3 and 1, k = 2: 3 / (3 + 2), 1 / (1 + 6) and (4 - 1) 3 / (5 7), together 1."""
    found = [math.exp(-ties(math.log(3), p, 2.0)) for p in (1.0, 0.0, 0.5)]
    assert found == pytest.approx([3 / 5, 1 / 7, 9 / 35], abs=1e-6)
    assert sum(found) == pytest.approx(1, abs=1e-6)


def test_votes_that_are_split_are_wins_and_losses_by_share() -> None:
    by_hand = -0.25 * math.log(3 / 5) - 0.75 * math.log(1 / 7)
    assert ties(math.log(3), 0.25, 2.0) == pytest.approx(by_hand, abs=1e-6)


def test_a_tie_pulls_scores_together_and_a_win_apart() -> None:
    margin = torch.tensor([0.0, 1.0, -1.0, 0.0], requires_grad=True)
    rao_kupper(margin, torch.tensor([0.5, 0.5, 0.5, 1.0]), 2.0).backward()
    assert margin.grad is not None
    level, above, below, win = (4 * margin.grad).tolist()
    assert level == pytest.approx(0, abs=1e-6)
    assert above == pytest.approx(-below)
    assert above > 0
    assert win == pytest.approx(-2 / 3, abs=1e-6)  # P(first) - 1, where P(first) = 1 / (1 + 2)


def test_without_room_for_ties_a_win_costs_what_it_costs_elsewhere() -> None:
    assert ties(0.7, 1.0, 1 + 1e-6) == pytest.approx(kl(0.7, 1.0), abs=1e-5)


def test_ties_and_wins_at_huge_margins_stay_finite() -> None:
    assert ties(1e4, 0.0, 5.0) == pytest.approx(1e4, rel=1e-3)
    assert ties(1e4, 0.5, 5.0) == pytest.approx(1e4, rel=1e-3)


def unsure(margin: float, deviation: float, p: float) -> float:
    given = (torch.tensor([x]) for x in (margin, deviation, p))
    return gaussian_kl(*given).item()


@pytest.mark.parametrize("deviation", [0.1, 1.0, 5.0, 11.0])
@pytest.mark.parametrize("margin", [-6.0, -0.5, 0.0, 3.0])
def test_an_unsure_margin_wins_as_often_as_integration_says(
    margin: float, deviation: float
) -> None:
    """Another integral for the same: a logistic variable stays below a Gaussian one."""

    def below(x: float) -> float:
        return float(expit(x) * expit(-x) * ndtr((margin - x) / deviation))

    exact, _ = quad(below, -60, 60, points=[margin, 0], epsabs=1e-12, limit=500)
    assert math.exp(-unsure(margin, deviation, 1.0)) == pytest.approx(exact, abs=1e-6)
    assert math.exp(-unsure(margin, deviation, 0.0)) == pytest.approx(1 - exact, abs=1e-6)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_a_sure_margin_costs_what_a_score_costs(p: float) -> None:
    assert unsure(1.3, 0.0, p) == pytest.approx(kl(1.3, p), abs=1e-6)


def test_at_equal_scores_it_does_not_matter_how_unsure_they_are() -> None:
    assert unsure(0.0, 4.0, 1.0) == pytest.approx(math.log(2), abs=1e-6)
    assert unsure(0.0, 4.0, 0.5) == pytest.approx(0, abs=1e-6)


def test_doubt_is_learned_where_the_score_is_wrong_and_given_up_where_it_is_right() -> None:
    deviation = torch.ones(2, requires_grad=True)
    margin = torch.tensor([2.0, -2.0], requires_grad=True)
    gaussian_kl(margin, deviation, torch.ones(2)).backward()
    assert deviation.grad is not None
    assert margin.grad is not None
    assert deviation.grad[0] > 0 > deviation.grad[1]
    assert (margin.grad < 0).all()


def test_huge_unsure_margins_stay_finite() -> None:
    assert unsure(1e4, 1.0, 0.0) == pytest.approx(1e4, rel=1e-3)
    assert unsure(1e4, 1.0, 1.0) == pytest.approx(0, abs=1e-6)


def alike(prompts: list[int] | None) -> float:
    """Two certain pairs where all embeddings are the same, so that every share is even."""
    edges = Edges.from_pairs([(0, 1), (2, 3)], [1.0, 1.0])
    given = None if prompts is None else torch.tensor(prompts)
    zeros = torch.zeros(4, 3)
    return contrastive_kl(zeros[:2], zeros, edges, torch.tensor(0.0), None, given).item()


def test_what_a_prompt_gave_elsewhere_in_the_batch_is_no_negative() -> None:
    four, two = math.log(4), math.log(2)
    assert alike(None) == pytest.approx((four + two) / 2, abs=1e-6)
    assert alike([0, 0, 1, 1]) == pytest.approx((four + two) / 2, abs=1e-6)
    assert alike([0, 0, 0, 0]) == pytest.approx(two / 2, abs=1e-6)  # its pair, its own text


def test_pictures_that_no_pair_shares_are_negatives() -> None:
    edges = Edges.from_pairs([(0, 1)], [1.0])
    zeros, prompts = torch.zeros(5, 3), torch.tensor([0, 0, 0, 1, 1])
    loss = contrastive_kl(zeros[:1], zeros, edges, torch.tensor(0.0), None, prompts)
    assert loss.item() == pytest.approx(math.log(4) / 2, abs=1e-6)


def test_distinct_prompts_give_the_published_criterion() -> None:
    t, texts, images, edges = criterion()
    prompts = torch.tensor([7, 1, 3, 7, 1, 3])
    scale = t["logit_scale"].log()
    expected = contrastive_kl(texts, images, edges, scale)
    assert torch.equal(contrastive_kl(texts, images, edges, scale, None, prompts), expected)


def test_ratings_are_learned_by_their_squared_errors() -> None:
    scores = torch.tensor([1.0, 9.0, 4.0], requires_grad=True)
    targets = Targets(torch.tensor([2, 0]), torch.tensor([3.0, 3.0]), torch.tensor([1.0, 3.0]))
    loss = rating_error(scores, targets)
    assert loss.item() == pytest.approx((1 * 1 + 3 * 4) / 4)
    loss.backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == pytest.approx([2 * 3 * -2 / 4, 0, 2 * 1 / 4])
    with pytest.raises(DataError, match="no rating"):
        rating_error(scores, Targets(torch.zeros(0).long(), torch.zeros(0), torch.zeros(0)))


def test_every_loss_of_pairs_weighs_them_and_wants_one() -> None:
    margin, p = torch.tensor([0.0, 3.0]), torch.ones(2)
    weight = torch.tensor([3.0, 1.0])
    tied = rao_kupper(margin, p, 2.0, weight).item()
    assert tied == pytest.approx((3 * ties(0.0, 1.0, 2.0) + ties(3.0, 1.0, 2.0)) / 4)
    doubted = gaussian_kl(margin, torch.ones(2), p, weight).item()
    assert doubted == pytest.approx((3 * unsure(0.0, 1.0, 1.0) + unsure(3.0, 1.0, 1.0)) / 4)
    nothing = torch.zeros(0)
    with pytest.raises(DataError, match="no pair"):
        rao_kupper(nothing, nothing, 2.0)
    with pytest.raises(DataError, match="no pair"):
        gaussian_kl(nothing, nothing, nothing)
