import math
from itertools import permutations

import pytest
import torch

from beholder.errors import DataError
from beholder.training import losses
from beholder.training.losses import plackett_luce, preference_kl, rank_hinge
from beholder.types import Rankings


def rankings(*ranks: tuple[int, ...], weight: tuple[float, ...] | None = None) -> Rankings:
    """Rankings of pictures 0, 1, …; a rank of 0 leaves the picture out."""
    rows = [[k if rank else -1 for k, rank in enumerate(one)] for one in ranks]
    given = weight or (1.0,) * len(ranks)
    return Rankings(torch.tensor(rows), torch.tensor(ranks), torch.tensor(given))


NOBODY = torch.zeros(0, 2).long()
NO_RANKING = Rankings(NOBODY, NOBODY, torch.zeros(0))
STRENGTHS = torch.tensor([3.0, 2.0, 1.0]).log()


def order_cost(*ranks: int) -> float:
    return plackett_luce(STRENGTHS, rankings(ranks)).item()


def test_an_order_has_the_probability_of_plackett_and_luce() -> None:
    assert order_cost(1, 2, 3) == pytest.approx(-math.log(3 / 6 * 2 / 3), abs=1e-6)
    assert order_cost(3, 1, 2) == pytest.approx(-math.log(2 / 6 * 1 / 4), abs=1e-6)


def test_an_order_costs_the_sum_of_its_choices() -> None:
    scores = torch.tensor([0.3, -1.2, 2.0, 0.1])
    order = [2, 0, 3, 1]
    choices = (-scores[order[t:]].log_softmax(0)[0] for t in range(4))
    loss = plackett_luce(scores, rankings((2, 4, 1, 3)))
    assert loss.item() == pytest.approx(sum(choice.item() for choice in choices), abs=1e-5)


def test_a_tie_leaves_its_order_open() -> None:
    """At the top: 3/6 2/3 and 2/6 3/4; at the bottom: 3/6 2/3 and 3/6 1/3."""
    top = -(math.log(1 / 3) + math.log(1 / 4)) / 2 - math.log(2)
    bottom = -(math.log(1 / 3) + math.log(1 / 6)) / 2 - math.log(2)
    assert order_cost(1, 1, 2) == pytest.approx(top, abs=1e-6)
    assert order_cost(1, 2, 2) == pytest.approx(bottom, abs=1e-6)


def test_what_may_be_left_is_worked_out_once_for_a_kind_of_ranking() -> None:
    many = rankings(*[(1, 1, 1, 1, 2, 2, 2, 3), (1, 2, 3, 4, 5, 6, 7, 8)] * 50)
    scores = torch.randn(8, generator=torch.Generator().manual_seed(0))
    alone = [plackett_luce(scores, rankings(tuple(r))).item() for r in many.ranks[:2].tolist()]
    assert plackett_luce(scores, many).item() == pytest.approx(sum(alone) / 2, rel=1e-6)
    before = losses._left.cache_info()
    plackett_luce(scores, many)
    after = losses._left.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (0, 100)


def test_a_pair_of_unsure_people_is_no_order() -> None:
    """Only the labels that an order knows have its loss under both."""
    margin = torch.tensor([0.7])
    for ranks, p in (((1, 2), 1.0), ((2, 1), 0.0), ((1, 1), 0.5)):
        order = plackett_luce(torch.tensor([0.7, 0.0]), rankings(ranks)).item()
        assert order == pytest.approx(preference_kl(margin, torch.tensor([p])).item(), abs=1e-6)


def test_ties_cost_the_mean_over_all_orders_that_they_allow() -> None:
    ranks, scores = (2, 1, 2, 3, 2, 3), torch.randn(6, generator=torch.Generator().manual_seed(0))
    costs = [
        sum(-scores[list(order[t:])].log_softmax(0)[0].item() for t in range(6))
        for order in permutations(range(6))
        if [ranks[k] for k in order] == sorted(ranks)
    ]
    assert len(costs) == math.factorial(3) * math.factorial(2)
    expected = sum(costs) / len(costs) - math.log(len(costs))
    loss = plackett_luce(scores, rankings(ranks)).item()
    assert loss == pytest.approx(expected, abs=1e-5)
    assert loss > 0


@pytest.mark.parametrize(("ranks", "p"), [((1, 2), 1.0), ((2, 1), 0.0), ((1, 1), 0.5)])
def test_an_order_of_two_pictures_is_a_pair(ranks: tuple[int, int], p: float) -> None:
    scores = torch.tensor([0.9, -0.4])
    loss = plackett_luce(scores, rankings(ranks))
    pair = preference_kl(torch.tensor([1.3]), torch.tensor([p]))
    assert loss.item() == pytest.approx(pair.item(), abs=1e-6)


def test_pictures_that_all_tie_cost_nothing_at_equal_scores() -> None:
    assert plackett_luce(torch.full((4,), 2.5), rankings((1, 1, 1, 1))).item() == pytest.approx(
        0, abs=1e-5
    )


def test_only_differences_of_scores_count_and_gradients_lift_the_best() -> None:
    scores = STRENGTHS.clone().requires_grad_()
    plackett_luce(scores, rankings((3, 2, 1))).backward()
    assert scores.grad is not None
    assert scores.grad.sum().item() == pytest.approx(0, abs=1e-6)
    assert scores.grad[0] > 0 > scores.grad[2]
    moved = plackett_luce(STRENGTHS + 7, rankings((1, 2, 2)))
    assert moved.item() == pytest.approx(order_cost(1, 2, 2), abs=1e-5)


def test_shorter_rankings_are_filled_and_rankings_weigh() -> None:
    both = rankings((1, 2, 3), (2, 0, 1), weight=(3.0, 1.0))
    pair = math.log(4)  # 1 / (1 + 3)
    loss = plackett_luce(STRENGTHS, both).item()
    assert loss == pytest.approx((3 * math.log(3) + pair) / 4, abs=1e-6)


def test_huge_scores_and_fills_stay_finite_with_their_gradients() -> None:
    scores = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    loss = plackett_luce(scores, rankings((2, 1, 0), (1, 3, 2)))
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_a_tie_of_too_many_is_refused() -> None:
    with pytest.raises(DataError, match="13 pictures of a ranking share rank 1"):
        plackett_luce(torch.zeros(13), rankings((1,) * 13))
    with pytest.raises(DataError, match="no ranking"):
        plackett_luce(torch.zeros(2), NO_RANKING)


def test_a_hinge_wants_more_of_pictures_that_are_far_apart() -> None:
    """Scores 2, 1, 0 at ranks 1, 2, 4 and margin 3: 3 - 1, 3 - 2 * 1, and 3 - 3 * 2 is below 0."""
    scores = torch.tensor([2.0, 1.0, 0.0], requires_grad=True)
    loss = rank_hinge(scores, rankings((1, 2, 4)), 3.0)
    assert loss.item() == pytest.approx((2 + 1 + 0) / 3)
    loss.backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == pytest.approx([-1 / 3, 1 / 3 - 2 / 3, 2 / 3])


def test_a_hinge_leaves_ties_and_fills_out() -> None:
    scores = torch.tensor([0.0, 0.0, 0.0])
    assert rank_hinge(scores, rankings((1, 1, 2))).item() == 1
    assert rank_hinge(scores, rankings((1, 1, 1))).item() == 0
    both = rankings((1, 2, 0), (1, 1, 1), weight=(1.0, 3.0))
    assert rank_hinge(scores, both).item() == pytest.approx(1 / 4)
    with pytest.raises(DataError, match="no ranking"):
        rank_hinge(scores, NO_RANKING)


def test_the_hinge_is_the_published_one_without_its_constants() -> None:
    """That averages, over half a matrix with its diagonal, max(0, 1 - (s_j - s_i) (r_i - r_j))."""
    scores, ranks = torch.tensor([0.4, 0.1, -0.7, 0.5]), torch.tensor([2, 1, 4, 3])
    apart = (scores - scores[:, None]) * (ranks[:, None] - ranks)
    half = torch.tril_indices(4, 4)
    published = (1 - apart[half[0], half[1]]).clamp(min=0).mean().item()
    loss = rank_hinge(scores, rankings((2, 1, 4, 3))).item()
    assert published == pytest.approx((6 * loss + 4 * 1) / 10, abs=1e-6)
