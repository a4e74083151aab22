import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from beholder.training.preference_losses import (
    denoising_errors,
    dpo_loss,
    implicit_accuracy,
    ipo_loss,
    kto_loss,
    nft_loss,
    optimality,
    preference_logits,
)


def one(value: float) -> Tensor:
    return torch.tensor([value], requires_grad=True)


def slope(loss: Tensor, of: Tensor) -> float:
    (grad,) = torch.autograd.grad(loss, of)
    return grad.item()


def test_an_error_is_a_mean_over_all_values_of_a_latent_in_any_layout() -> None:
    output = torch.tensor([[[1.0, 3.0]], [[2.0, 2.0]]])
    assert denoising_errors(output, torch.zeros(2, 1, 2)).tolist() == [5, 4]
    assert denoising_errors(output[0], torch.zeros(1, 2)).tolist() == [5]


def test_an_error_of_half_precision_is_summed_in_full() -> None:
    output = torch.full((1, 4096), 0.1).bfloat16()
    expected = float(output[0, 0]) ** 2
    assert denoising_errors(output, torch.zeros_like(output)).item() == pytest.approx(expected)


def test_the_log_odds_are_half_beta_times_how_much_more_the_winner_gained() -> None:
    z = preference_logits(one(0.1), one(0.5), one(0.2), one(0.3), beta=2000)
    assert z.item() == pytest.approx(-1000 * ((0.1 - 0.5) - (0.2 - 0.3)))


def test_the_log_odds_of_the_model_before_tuning_are_0() -> None:
    m_w, m_l = torch.rand(2, 5)
    assert preference_logits(m_w, m_l, m_w, m_l, beta=2000).tolist() == [0] * 5


@pytest.mark.parametrize(
    ("z", "p", "by_hand"),
    [
        (0.0, 1.0, math.log(2)),
        (math.log(3), 1.0, -math.log(3 / 4)),
        (math.log(3), 0.0, -math.log(1 / 4)),
        (math.log(3), 0.75, -0.75 * math.log(3 / 4) - 0.25 * math.log(1 / 4)),
    ],
)
def test_dpo_is_the_likelihood_of_the_answers(z: float, p: float, by_hand: float) -> None:
    assert dpo_loss(one(z), one(p)).item() == pytest.approx(by_hand)


def test_dpo_lowers_the_winner_s_error_and_raises_the_loser_s_alike() -> None:
    m_w, m_l = one(0.2), one(0.2)
    z = preference_logits(m_w, m_l, one(0.2).detach(), one(0.2).detach(), beta=40)
    loss = dpo_loss(z, torch.ones(1))
    down, up = torch.autograd.grad(loss, (m_w, m_l))
    assert down.item() == pytest.approx(40 / 2 * 0.5)  # beta / 2 sigmoid(-z): step against it
    assert up.item() == -down.item()


def test_soft_labels_stop_dpo_at_their_own_log_odds() -> None:
    z = one(math.log(0.8 / 0.2))
    assert slope(dpo_loss(z, torch.tensor([0.8])), z) == pytest.approx(0, abs=1e-7)


def test_a_sure_pair_no_longer_pulls_and_a_lost_one_pulls_with_all_its_weight() -> None:
    for z, pull in ((one(100.0), 0.0), (one(-100.0), -1.0)):
        assert slope(dpo_loss(z, torch.ones(1)), z) == pytest.approx(pull)


def test_ipo_stops_at_log_odds_of_one_half_and_pulls_back_beyond() -> None:
    assert ipo_loss(one(0.0), torch.ones(1)).item() == pytest.approx(0.25)
    for value, pull in ((0.0, -1.0), (0.5, 0.0), (1.5, 2.0)):
        z = one(value)
        assert slope(ipo_loss(z, torch.ones(1)), z) == pytest.approx(pull)


def test_soft_labels_lower_the_log_odds_at_which_ipo_stops() -> None:
    z = one(0.75 - 0.5)  # p/2 - (1 - p)/2
    assert slope(ipo_loss(z, torch.tensor([0.75])), z) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("loss", [dpo_loss, ipo_loss])
def test_swapping_the_pictures_and_the_answer_changes_nothing(
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    z, p = torch.randn(6), torch.rand(6)
    torch.testing.assert_close(loss(z, p), loss(-z, 1 - p))


def test_kto_of_one_desirable_and_one_undesirable_picture_by_hand() -> None:
    m, ref, p = torch.tensor([0.1, 0.5]), torch.tensor([0.4, 0.4]), torch.tensor([1.0, 0.0])
    z = (0.3 - 0.1) / 2  # mean gain
    by_hand = (1 - 1 / (1 + math.exp(-10 * (0.3 - z)))) + (1 - 1 / (1 + math.exp(10 * (-0.1 - z))))
    assert kto_loss(m, ref, p, beta=10).item() == pytest.approx(by_hand / 2, rel=1e-5)


def test_kto_is_one_half_before_tuning_and_its_reference_point_is_never_below_0() -> None:
    m = torch.rand(4)
    assert kto_loss(m, m, torch.tensor([1.0, 0, 1, 0]), beta=1000).item() == pytest.approx(0.5)
    worse = kto_loss(torch.tensor([0.5]), torch.tensor([0.4]), torch.ones(1), beta=10)
    assert worse.item() == pytest.approx(1 - 1 / (1 + math.exp(1)), rel=1e-5)  # z = 0, not -0.1


def test_kto_lowers_errors_of_desirable_pictures_and_raises_the_others() -> None:
    m = torch.tensor([0.3, 0.3], requires_grad=True)
    kto_loss(m, m.detach(), torch.tensor([1.0, 0.0]), beta=8).backward()
    assert m.grad is not None
    assert m.grad.tolist() == pytest.approx(
        [8 / 4 / 2, -8 / 4 / 2]
    )  # beta sigmoid(0) sigmoid(0) / n


def test_accuracy_is_the_share_of_positive_log_odds_and_half_where_nothing_is_learned() -> None:
    assert implicit_accuracy(torch.tensor([1.0, 2.0, -1.0, 0.0])).item() == 2.5 / 4
    assert implicit_accuracy(torch.zeros(3)).item() == 0.5


def nft(model: Tensor, r: float, beta: float = 1.0, old: float = 0.0, clean: float = 1.0) -> Tensor:
    """Latents of two values."""
    flat = torch.full((1, 2), old), torch.full((1, 2), clean)
    return nft_loss(model.expand(1, 2), *flat, torch.tensor([r]), beta)


def test_nft_of_a_good_sample_is_its_normalised_error() -> None:
    assert nft(one(0.5), r=1.0).item() == pytest.approx(0.5**2 / 0.5)
    assert nft(one(0.5), r=1.0, beta=0.5).item() == pytest.approx(2 * 0.75**2 / 0.75)


def test_nft_of_a_bad_sample_is_the_error_of_the_mirrored_model() -> None:
    assert nft(one(0.5), r=0.0).item() == pytest.approx(1.5**2 / 1.5)  # x0- = -0.5
    assert nft(one(0.5), r=0.0, beta=0.5).item() == pytest.approx(2 * 1.25**2 / 1.25)


@pytest.mark.parametrize(("r", "sign"), [(1.0, -1), (0.75, -1), (0.5, 0), (0.25, 1), (0.0, 1)])
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_nft_goes_to_good_samples_and_away_from_bad_ones_by_2r_minus_1(
    r: float, sign: int, beta: float
) -> None:
    model = one(0.0)  # where the old model is
    pull = slope(nft(model, r, beta).sum(), model)
    assert pull == pytest.approx(-2 * (2 * r - 1), abs=1e-6)
    assert math.copysign(1, pull) * abs(sign) == sign or sign == 0


def test_nft_has_no_gradient_through_its_normaliser_and_none_explodes_at_0() -> None:
    model = one(1.0)  # where the sample is
    assert slope(nft(model, 1.0).sum(), model) == 0
    far = one(-3.0)
    assert slope(nft(far, 1.0).sum(), far) == pytest.approx(2 * -4 / 4)


def test_optimality_of_two_scores_is_one_spread_to_either_side() -> None:
    r = optimality(torch.tensor([[1.0, 3.0], [20.0, 0.0]]), "group")
    assert r.flatten().tolist() == pytest.approx([0.4, 0.6, 0.6, 0.4])  # 1/2 ± 1/(2 · 5)


def test_optimality_by_the_spread_of_all_scores_tells_apart_groups_that_differ_more() -> None:
    scores = torch.tensor([[1.0, 3.0], [4.0, 0.0]])
    std = math.sqrt((1 + 1 + 4 + 4) / 4)
    by_hand = [0.5 + a / std / 10 for a in (-1, 1, 2, -2)]
    assert optimality(scores, "global").flatten().tolist() == pytest.approx(by_hand)


def test_optimality_is_cut_at_0_and_1() -> None:
    r = optimality(torch.tensor([[100.0] + [0.0] * 30]), "group", clip=2)
    assert r[0, 0] == 1
    assert r.min() > 0.4


@pytest.mark.parametrize("spread", ["group", "global"])
def test_of_missing_scores_and_of_groups_without_a_difference_nothing_is_learned(
    spread: str,
) -> None:
    same = 0.1 + 0.2
    scores = torch.tensor([[1.0, math.nan, 3.0], [same, 0.3, same], [math.inf, 2.0, math.nan]])
    r = optimality(scores, spread)
    assert r.isnan().tolist() == [[False, True, False], [True] * 3, [True] * 3]
    assert r[0, 0] + r[0, 2] == pytest.approx(1)


@pytest.mark.parametrize("spread", ["group", "global"])
def test_optimality_does_not_depend_on_the_scale_of_the_reward(spread: str) -> None:
    scores = torch.randn(3, 5)
    torch.testing.assert_close(optimality(scores, spread), optimality(7 * scores + 2, spread))
