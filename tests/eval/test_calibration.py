import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval._calibration.margins import Pairs
from beholder.eval.calibration import (
    Fitting,
    calibrate,
    calibrate_pairs,
    check_judgements,
    fit_curve,
    fold_of,
    score_pairs,
    with_reference,
)
from beholder.types import Preference, Scores
from tests.eval._calibration.judged import drawn, log_loss, sigmoid

FAST = Fitting(draws=50)


class Named:
    """Scores a picture by the number in its name; the aspect "detail" is a tenth of it."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        total = torch.tensor([float(name.split("#")[0]) for name in images])
        return Scores(total, {"detail": total / 10, "alignment": total})


def said(pairs: Pairs, **more: float) -> list[Preference]:
    return [
        Preference(
            key=str(k),
            prompt=f"p{group}",
            first=f"{margin}#{k}",
            second=f"0#{k}",
            p_first={"overall": p, "detail": p, **more},
        )
        for k, (margin, p, group) in enumerate(
            zip(pairs.margin, pairs.p_first, pairs.group, strict=True)
        )
    ]


def test_a_known_temperature_is_found_and_what_it_gives_is_measured_on_other_prompts() -> None:
    found = calibrate_pairs(drawn(3000, temperature=3.0, scale=4.0), FAST)
    assert found.curve.temperature == pytest.approx(3.0, rel=0.1)
    assert found.before.ece.low > 0.08  # far too sure
    assert found.after.ece.low < 0.005
    assert found.after.log_loss.value < found.before.log_loss.value - 0.1
    assert found.log_loss_gain.low > 0
    assert found.log_loss_gain.value == pytest.approx(
        found.before.log_loss.value - found.after.log_loss.value
    )
    assert (found.pairs, found.prompts, found.human_ties) == (3000, 600, 0)


def test_no_pair_measures_the_curve_that_it_made() -> None:
    pairs, how = drawn(300), FAST
    fold = fold_of(pairs.group, how.folds, how.seed)
    losses = np.empty(300)
    for number in range(how.folds):
        curve = fit_curve(pairs.at(fold != number), "temperature")
        inside = fold == number
        for row in np.flatnonzero(inside):
            one = pairs.at(np.arange(300) == row)
            losses[row] = log_loss(curve.probability(one.margin), one.p_first)
    found = calibrate_pairs(pairs, how)
    assert found.after.log_loss.value == pytest.approx(losses.mean())


def test_folds_part_no_prompt_and_hold_as_many() -> None:
    group = np.repeat(np.arange(23), 4)
    fold = fold_of(group, 5, seed=1)
    assert all(len(set(fold[group == g])) == 1 for g in range(23))
    sizes = np.bincount(fold) // 4
    assert sorted(sizes.tolist()) == [4, 4, 5, 5, 5]


def test_where_the_truth_is_no_sigmoid_isotonic_is_better_than_a_temperature() -> None:
    generator = np.random.default_rng(0)
    margin = generator.normal(size=4000) * 2
    p = np.where(np.abs(margin) < 1, 0.55, 0.8)  # a step
    answers = (generator.random(4000) < np.where(margin > 0, p, 1 - p)).astype(np.float64)
    pairs = Pairs(margin=margin, p_first=answers, group=np.arange(4000) // 4)
    steps = calibrate_pairs(pairs, Fitting(method="isotonic", draws=50))
    line = calibrate_pairs(pairs, FAST)
    assert steps.after.log_loss.value < line.after.log_loss.value
    assert steps.after.ece.value < line.after.ece.value
    assert steps.curve.levels[-1] < 1


def test_ties_of_people_are_found_where_the_reward_is_unsure() -> None:
    generator = np.random.default_rng(0)
    margin = generator.normal(size=2000) * 3
    p = np.where(np.abs(margin) < 1, 0.5, (margin > 0).astype(np.float64))
    flipped = generator.random(2000) < 0.1
    p[flipped] = 1 - p[flipped]
    found = calibrate_pairs(Pairs(margin=margin, p_first=p, group=np.arange(2000) // 5), FAST)
    border = 2 * sigmoid(np.array([1 / found.curve.temperature]))[0] - 1
    assert found.curve.tie_threshold == pytest.approx(border, abs=0.02)
    assert found.tie_accuracy.low > found.plain_accuracy.high


@pytest.mark.parametrize(
    ("pairs", "how", "why"),
    [
        (drawn(25), Fitting(), "25 answered pairs are too few for the method temperature, which"),
        (drawn(150), Fitting(method="isotonic"), "needs 200; the method temperature needs fewer"),
        (drawn(40), Fitting(), "8 prompts, too few for 5 folds"),
    ],
)
def test_too_few_pairs_are_refused(pairs: Pairs, how: Fitting, why: str) -> None:
    with pytest.raises(DataError, match=why):
        calibrate_pairs(pairs, how)


def test_total_and_answered_aspects_are_calibrated_and_others_say_why_not() -> None:
    judged = score_pairs(Named(), said(drawn(400), style=1.0))
    found = calibrate(judged, FAST)
    total, detail = found.scores["total"], found.scores["detail"]
    assert (total.answers, detail.answers) == ("overall", "detail")
    assert detail.curve.temperature == pytest.approx(total.curve.temperature / 10, rel=1e-4)
    assert found.left_out == {
        "alignment": "0 answered pairs are too few for the method temperature, which needs 30"
    }
    assert found.reference == "800 pictures"  # those that were judged
    assert total.win_probability(np.array([0.0]))[0] == pytest.approx(0.5, abs=0.05)


def test_a_reference_set_of_ones_own_is_what_scores_are_compared_with() -> None:
    judged = score_pairs(Named(), said(drawn(400)))
    scores = torch.tensor([5.0, math.nan, 5.0])
    found = calibrate(
        judged, FAST, reference=Scores(scores, {"detail": scores, "alignment": scores})
    )
    assert found.scores["total"].reference == (5.0, 5.0)
    assert found.scores["total"].win_probability(np.array([5.0])).tolist() == [0.5]


def test_what_judges_the_total_must_have_been_asked() -> None:
    judged = score_pairs(Named(), said(drawn(100)))
    with pytest.raises(ConfigError, match=r"nobody was asked for 'looks'.*overall, detail"):
        calibrate(judged, Fitting(total_by="looks"))
    by_detail = calibrate(judged, Fitting(total_by="detail", draws=20))
    assert by_detail.scores["total"].answers == "detail"


def test_answers_that_are_reversed_are_refused_and_named() -> None:
    pairs = drawn(200)
    turned = Pairs(margin=-pairs.margin, p_first=pairs.p_first, group=pairs.group)
    with pytest.raises(DataError, match=r"above 1/2 fits.*reversed"):
        calibrate(score_pairs(Named(), said(turned)), FAST)


def test_one_fold_leaves_nothing_to_measure_on_and_is_refused() -> None:
    with pytest.raises(ConfigError, match="folds must be 2 or more, got 1"):
        Fitting(folds=1)


class Failing(Named):
    """Cannot read the second pictures 0 to 2, and gives infinity for that of 3."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        scores = super().score(images, prompts)
        bad = [k for k, name in enumerate(images) if name in {"0#0", "0#1", "0#2"}]
        scores.total[bad] = math.nan
        scores.total[[k for k, name in enumerate(images) if name == "0#3"]] = math.inf
        return Scores(scores.total, scores.aspects, errors=dict.fromkeys(bad, "truncated: cut"))


def test_pictures_without_a_score_and_what_they_cost_are_counted() -> None:
    found = calibrate(score_pairs(Failing(), said(drawn(400))), FAST)
    assert found.scores["total"].pairs == 396
    assert found.pairs_left_out == 4
    assert found.unreadable == found.reference_left_out == {"truncated": 3, "non-finite": 1}
    assert found.reference == "796 pictures"
    assert len(found.scores["total"].reference) == 796
    whole = calibrate(score_pairs(Named(), said(drawn(400))), FAST)
    assert (whole.pairs_left_out, whole.unreadable) == (0, {})


def test_a_reference_set_counts_the_pictures_that_have_a_score() -> None:
    found = calibrate(score_pairs(Named(), said(drawn(400))), FAST)
    scores = torch.tensor([5.0, math.nan, 4.0])
    own = {"detail": scores, "alignment": scores}
    other = with_reference(found, Scores(scores, own, errors={1: "missing: gone"}))
    assert other.reference == "2 pictures"
    assert other.reference_left_out == {"missing": 1}
    assert other.scores["total"].reference == (4.0, 5.0)
    assert other.scores["total"].curve == found.scores["total"].curve


@pytest.mark.parametrize(
    ("pairs", "how", "error", "why"),
    [
        (25, Fitting(), DataError, "25 answered pairs are too few"),
        (40, Fitting(), DataError, "8 prompts, too few for 5 folds"),
        (100, Fitting(total_by="looks"), ConfigError, "nobody was asked for 'looks'"),
    ],
)
def test_judgements_that_cannot_suffice_are_refused_before_any_score(
    pairs: int, how: Fitting, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        check_judgements(said(drawn(pairs)), how)
    check_judgements(said(drawn(100)), Fitting())
