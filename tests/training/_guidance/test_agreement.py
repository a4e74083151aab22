import json
import math

import numpy as np
import pytest

from beholder.errors import ConfigError
from beholder.eval._bootstrap import Floats
from beholder.training._guidance.agreement import (
    PreviewAgreement,
    StepAgreement,
    kept_chance,
    step_agreements,
)

FINALS = np.array([[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]])


def one_step(previews: Floats, finals: Floats = FINALS) -> StepAgreement:
    (step,) = step_agreements([5], previews[None], finals, draws=200, seed=0)
    return step


def agreement(*steps: StepAgreement) -> PreviewAgreement:
    return PreviewAgreement(steps, of_steps=9, prompts=2, each=4, steps_run=72, errors={})


def test_previews_that_are_the_pictures_agree_wholly() -> None:
    step = one_step(FINALS)
    assert step.step == 5
    assert (step.pearson.value, step.spearman.value) == (1, 1)
    assert [chance.value for chance in step.kept] == [1, 1, 1, 1]
    assert step.regret.value == 0
    assert (step.kept[0].low, step.kept[0].high) == (1, 1)


def test_previews_in_reverse_lose_everything_but_the_last_place() -> None:
    step = one_step(-FINALS)
    assert (step.pearson.value, step.spearman.value) == (-1, -1)
    assert [chance.value for chance in step.kept] == [0, 0, 0, 1]
    # of scores 0 to 3, whose standard deviation is sqrt(5 / 3), all 3 are lost
    assert step.regret.value == pytest.approx(3 / math.sqrt(5 / 3))


def test_ranks_agree_where_distances_do_not_and_differences_between_prompts_count_nothing() -> None:
    bent = np.exp(FINALS) + np.array([[0.0], [1000.0]])
    step = one_step(bent)
    assert step.spearman.value == pytest.approx(1)
    x, y = np.exp([0, 1, 2, 3]), np.array([0, 1, 2, 3])
    assert step.pearson.value == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_equal_previews_are_kept_at_random() -> None:
    finals = FINALS[0]
    assert [kept_chance(np.zeros(4), finals, k) for k in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1]
    one_above = np.array([1.0, 0.0, 0.0, 0.0])
    assert kept_chance(one_above, finals, 1) == 0
    assert kept_chance(one_above, finals, 2) == pytest.approx(1 / 3)
    step = one_step(np.zeros((2, 4)))
    assert step.regret.value == pytest.approx(1.5 / math.sqrt(5 / 3))
    assert step.pearson.value is None
    assert "no prompt has two" in step.pearson.why


def test_of_equally_good_pictures_the_best_placed_counts() -> None:
    finals = np.array([2.0, 2.0, 0.0])
    assert kept_chance(np.array([0.0, 2.0, 1.0]), finals, 1) == 1
    assert kept_chance(np.array([0.0, 1.0, 2.0]), finals, 1) == 0


def test_candidates_without_a_score_and_prompts_with_one_picture_count_nowhere() -> None:
    finals = np.array([[0.0, 1.0, 2.0, np.nan], [5.0, np.nan, np.nan, np.nan]])
    previews = np.array([[0.0, 1.0, 2.0, -9.0], [1.0, 2.0, 3.0, 4.0]])
    step = one_step(previews, finals)
    assert step.spearman.value == 1
    assert step.spearman.samples == 1
    assert step.kept[0].value == 1


def test_the_interval_of_a_chance_that_half_of_the_prompts_have_is_wide_and_shrinks() -> None:
    def width(prompts: int) -> float:
        finals = np.tile(FINALS[:1], (2 * prompts, 1))
        previews = finals.copy()
        previews[::2] *= -1
        chance = one_step(previews, finals).kept[0]
        assert chance.value == 0.5
        assert chance.low is not None
        assert chance.high is not None
        assert chance.low < 0.5 < chance.high
        return chance.high - chance.low

    assert width(50) < width(5) / 2


def test_the_trusted_step_is_the_first_from_which_on_all_are_trusted() -> None:
    steps = step_agreements(
        [0, 3, 6, 8], np.stack([FINALS, -FINALS, FINALS, FINALS]), FINALS, draws=50, seed=0
    )
    found = agreement(*steps)
    assert found.trusted_step(0.9) == 6
    assert found.trusted_step(0.9, keep=4) == 0
    assert agreement(*steps[:2]).trusted_step(0.9) is None
    for keep in (0, 5):
        with pytest.raises(ConfigError, match="expected 1 to 4 candidates"):
            found.trusted_step(keep=keep)


def test_everything_can_be_written_as_json() -> None:
    found = PreviewAgreement((one_step(FINALS),), 9, 2, 4, 72, {3: "no score"})
    read = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert read["steps"][0]["kept"][0]["value"] == 1
    assert read["steps"][0]["step"] == 5
    assert (read["of_steps"], read["errors"]) == (9, {"3": "no score"})
