import numpy as np
import pytest

from beholder.calibration import Curve, Floats, Reliability
from beholder.eval._calibration.margins import Pairs
from beholder.eval._calibration.reliability import Redraws, equal_mass, reliability
from tests.eval._calibration.judged import drawn, sigmoid


def redraws(group: list[int], draws: int = 200) -> Redraws:
    return Redraws(group=np.array(group, dtype=np.int64), draws=draws, seed=0)


def of(pairs: Pairs, curve: Curve, draws: int = 200) -> Reliability:
    given = Redraws(group=pairs.group, draws=draws, seed=0)
    stated, losses = curve.probability(pairs.margin), curve.log_loss(pairs.margin, pairs.p_first)
    return reliability(stated, pairs.p_first, losses, given)


def true_error(temperature: float, scale: float = 2.0) -> float:
    """Mean |sigmoid(m) - sigmoid(m / T)| of normal margins."""
    margin = np.random.default_rng(9).normal(size=100_000) * scale
    return float(np.abs(sigmoid(margin) - sigmoid(margin / temperature)).mean())


def test_a_hand_made_table_gives_its_error_exactly() -> None:
    stated = np.array([0.6, 0.4, 0.6, 0.4, 0.9, 0.9, 0.1, 0.9])
    p_first = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.5, 0.0, 1.0])
    # turned: at 0.6 people agree with 2 of 4, at 0.9 with 3.5 of 4
    found = reliability(stated, p_first, np.zeros(8), redraws(list(range(8))), bins=2)
    assert found.ece_plain == pytest.approx((4 * 0.1 + 4 * 0.025) / 8)
    assert [b.pairs for b in found.bins] == [4, 4]
    assert [b.stated for b in found.bins] == pytest.approx([0.6, 0.9])
    assert [b.observed.value for b in found.bins] == pytest.approx([0.5, 0.875])


def test_without_any_chance_the_error_is_the_plain_one_and_certain() -> None:
    stated, p_first = np.full(10, 0.8), np.full(10, 0.7)  # everybody says the same
    found = reliability(stated, p_first, np.zeros(10), redraws(list(range(10))))
    assert found.ece_plain == pytest.approx(0.1)
    assert (found.ece.value, found.ece.low, found.ece.high) == pytest.approx((0.1, 0.1, 0.1))


def test_an_equal_pair_is_as_good_as_its_mirror() -> None:
    found = reliability(
        np.full(4, 0.5), np.array([1.0, 1, 1, 0]), np.zeros(4), redraws([0, 1, 2, 3])
    )
    assert found.ece_plain == 0


def test_of_calibrated_pairs_the_error_vanishes_with_their_number() -> None:
    found = [of(drawn(n, temperature=1.0), Curve()) for n in (500, 5_000, 50_000)]
    plain = [each.ece_plain for each in found]
    assert plain[0] > plain[1] > plain[2]
    assert plain[2] < 0.01
    assert found[2].ece.value < 0.005
    assert [each.ece.low < 0.002 for each in found] == [True] * 3


@pytest.mark.parametrize("temperature", [1.0, 1.2, 1.7])
def test_chance_is_taken_off_and_the_interval_holds_the_truth_as_often_as_it_says(
    temperature: float,
) -> None:
    truth, tries = true_error(temperature), 60
    found = [of(drawn(600, temperature=temperature, seed=k), Curve()) for k in range(tries)]
    plain = np.mean([each.ece_plain for each in found])
    value = np.mean([each.ece.value for each in found])
    assert abs(value - truth) < 0.6 * abs(plain - truth)
    inside = sum(f.ece.low - 1e-3 <= truth <= f.ece.high + 1e-3 for f in found)
    assert inside >= 0.87 * tries


def test_pairs_of_one_prompt_are_redrawn_together() -> None:
    pairs = drawn(400)
    twice = Pairs(
        margin=np.repeat(pairs.margin, 4),
        p_first=np.repeat(pairs.p_first, 4),
        group=np.repeat(pairs.group, 4),
    )
    once, copied = (of(each, Curve()).log_loss for each in (pairs, twice))
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))


def test_log_loss_is_the_mean_of_the_pairs_losses_whatever_their_prompts() -> None:
    losses = np.array([1.0, 2.0, 6.0])
    found = reliability(np.full(3, 0.7), np.ones(3), losses, redraws([0, 0, 1]))
    assert found.log_loss.value == 3
    assert (found.log_loss.low, found.log_loss.high) == (1.5, 6.0)


def values(*given: float) -> Floats:
    return np.array(given, dtype=np.float64)


def test_bins_hold_as_many_as_they_can_and_never_part_equal_values() -> None:
    assert equal_mass(values(0.3, 0.1, 0.2, 0.4), 2).tolist() == [1, 0, 0, 1]
    assert equal_mass(values(0.1, 0.2, 0.2, 0.2, 0.3, 0.4), 3).tolist() == [0, 0, 0, 0, 1, 1]
    assert equal_mass(values(0.5, 0.5, 0.5), 3).tolist() == [0, 0, 0]
