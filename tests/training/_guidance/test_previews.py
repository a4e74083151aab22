import pytest
import torch

from beholder.errors import ConfigError
from beholder.training._guidance.candidates import Candidates
from beholder.training._guidance.previews import preview_agreement
from beholder.training._tuning.signal import Signal
from tests.training._guidance.drivers import PROMPTS, driver, redness, small
from tests.training._guidance.test_candidates import Moody

FOUR = Candidates(each=4, batch_size=3)


@pytest.mark.parametrize("name", ["sd", "sd3", "flux"])
def test_the_last_step_knows_what_the_first_does_not_know_as_well(name: str) -> None:
    counted: list[int] = []
    found = preview_agreement(
        driver(name), redness(), PROMPTS, small(name), FOUR, progress=counted.append
    )
    assert [step.step for step in found.steps] == [0, 1, 2, 3]
    last = found.steps[-1]
    assert last.spearman.value == pytest.approx(1)
    assert last.kept[0].value == 1
    assert last.regret.value == 0
    assert found.steps[0].pearson.value is not None
    assert found.steps[0].pearson.value < 0.999
    assert found.trusted_step(keep=4) == 0
    assert (found.prompts, found.each, found.of_steps) == (2, 4, 4)
    assert found.steps_run == sum(counted) == 2 * 4 * 4


def test_previews_are_what_a_run_that_stops_there_gives() -> None:
    one, sampling = driver("sd3"), small("sd3")
    candidates = Candidates(each=3, batch_size=2)
    (step,) = preview_agreement(one, redness(), PROMPTS[:1], sampling, candidates, steps=[1]).steps
    seeds = candidates.seeds(0)
    with torch.no_grad():
        stopped, final = (
            redness()(one.sample(["a cat"] * 3, sampling, seeds=seeds, stop_at=at).pixels, [""] * 3)
            for at in (1, None)
        )
    expected = torch.corrcoef(torch.stack([stopped, final]))[0, 1]
    assert step.pearson.value == pytest.approx(float(expected), abs=1e-3)


def test_eight_steps_are_taken_of_many_and_those_that_are_asked_for() -> None:
    one = driver("sd3")
    candidates = Candidates(each=2, batch_size=2)
    many = preview_agreement(one, redness(), ["a"], small("sd3", steps=15), candidates)
    assert [step.step for step in many.steps] == [0, 2, 4, 6, 8, 10, 12, 14]
    two = preview_agreement(one, redness(), ["a"], small("sd3"), candidates, steps=[3, 0, 3])
    assert [step.step for step in two.steps] == [0, 3]
    for wrong in ([], [4], [-1]):
        with pytest.raises(ConfigError, match="expected one or more of 0 to 3"):
            preview_agreement(one, redness(), ["a"], small("sd3"), candidates, steps=wrong)


def test_a_prompt_whose_pictures_have_no_score_is_left_out_with_the_reason() -> None:
    found = preview_agreement(
        driver("sd3"), Signal(Moody()), ["a cat", "ghost"], small("sd3"), FOUR, steps=[3]
    )
    assert found.prompts == 1
    assert list(found.errors) == [1]
    assert "non-finite" in found.errors[1]
    assert found.steps[0].spearman.samples == 1


def test_one_candidate_agrees_with_nothing() -> None:
    with pytest.raises(ConfigError, match="each must be at least 2"):
        preview_agreement(driver("sd"), redness(), PROMPTS, small("sd"), Candidates(each=1))
