import numpy as np
import pytest

from beholder.annotation.asking.gains import DisagreementGain, FixedGain, Meetings, RankingGain
from beholder.annotation.asking.information import disagreement, order_information, sigmoid
from beholder.annotation.asking.strengths import Strengths
from tests.annotation.asking.pools import pool


def test_meetings_are_two_checkpoints_in_either_order() -> None:
    found = Meetings(pool("xxxyy", checkpoints=["old", "new", "old", "new", "old"]))
    named = [found.pairs[k].tolist() for k in found.of]
    assert named == [[0, 1], [0, 0], [0, 1], [0, 1]]


def test_a_fixed_gain_is_the_same_after_any_answer() -> None:
    gain = FixedGain(np.array([0.1, 0.4]))
    gain.take(1)
    assert gain.nats().tolist() == [0.1, 0.4]


def test_disagreement_starts_as_mutual_information() -> None:
    logits = np.array([[2.0, 0.0, 1.0], [-2.0, 0.0, 0.5]])
    assert DisagreementGain(logits).nats() == pytest.approx(disagreement(sigmoid(logits)))


def test_an_answer_settles_what_rewards_see_alike_and_leaves_what_they_see_apart() -> None:
    """Pairs 0 and 1 split four rewards alike, pair 2 splits them across."""
    logits = np.array([[2.0, 2, 2], [2, 2, -2], [-2, -2, 2], [-2, -2, -2]])
    gain = DisagreementGain(logits)
    before = gain.nats()
    gain.take(0)
    share = gain.nats() / before
    # variance 4, Fisher information 1/4 at p = 1/2: 1 / (1 + 4 / 4) of it is left
    assert share == pytest.approx([0.5, 0.5, 1.0])


def test_the_variance_left_is_that_of_the_posterior_given_all_answers() -> None:
    """Against the covariance inverted at once: (I + sum w d d')^-1."""
    logits = np.random.default_rng(0).standard_normal((5, 7))
    gain = DisagreementGain(logits)
    before = gain.nats()
    p = sigmoid(logits).mean(0)
    deviation = (logits - logits.mean(0)) / np.sqrt(5)
    precision = np.eye(5)
    for row in (3, 0, 3):
        gain.take(row)
        precision += p[row] * (1 - p[row]) * np.outer(deviation[:, row], deviation[:, row])
    left = (deviation * (np.linalg.inv(precision) @ deviation)).sum(0)
    assert gain.nats() / before == pytest.approx(left / (deviation**2).sum(0))


def test_rewards_that_agree_gain_nothing_and_stay_finite() -> None:
    gain = DisagreementGain(np.ones((3, 2)))
    gain.take(0)
    assert gain.nats() == pytest.approx([0, 0], abs=1e-12)


def test_ranking_gain_is_the_order_information_of_the_meeting_and_falls() -> None:
    candidates = pool("xxxx", checkpoints=["a", "b", "c", "c"])
    belief = Strengths(np.array([0.2, 0.0, -4.0]), np.eye(3))
    gain = RankingGain(Meetings(candidates), belief)
    before = gain.nats()
    close = order_information(np.array([0.2]), np.array([2.0]))[0]
    far = order_information(np.array([4.2]), np.array([2.0]))[0]
    # pairs: ab ac ac bc bc cc
    assert before[[0, 1, 2]] == pytest.approx([close, far, far])
    assert before[5] == pytest.approx(0, abs=1e-12)
    gain.take(0)
    assert gain.nats()[0] < before[0]


def test_two_pictures_of_one_checkpoint_teach_nothing_about_the_ranking() -> None:
    gain = RankingGain(
        Meetings(pool("xxx", checkpoints=["a", "b", "b"])), Strengths(np.zeros(2), np.eye(2))
    )
    before = gain.nats()
    gain.take(2)
    assert gain.nats().tolist() == before.tolist()
