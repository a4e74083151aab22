import inspect

import pytest
import torch

from beholder.training import guidance
from beholder.training.pipeline import Driver
from tests.training import toy
from tests.training._guidance.drivers import PROMPTS, driver, redness, small

WAYS = (
    "best_of",
    "early_rejection",
    "preview_agreement",
    "guided",
    "optimise_noise",
    "base_early",
    "repair",
)


def test_every_way_is_behind_the_door_and_in_its_description() -> None:
    for name in WAYS:
        assert inspect.isfunction(getattr(guidance, name))
        assert f"`{name}`" in (guidance.__doc__ or "")


def test_choosing_and_pulling_both_beat_the_plain_picture_and_repeat_for_their_seeds() -> None:
    arguments = driver("sd3"), redness(), PROMPTS, small("sd3")
    plain = guidance.best_of(*arguments, guidance.Candidates(each=1))
    best, same = (guidance.best_of(*arguments, guidance.Candidates(each=3)) for _ in range(2))
    pull = guidance.Guidance(scale=0.5)
    pulled, again = (guidance.guided(*arguments, pull, seeds=plain.seeds) for _ in range(2))
    assert (best.scores >= plain.scores - 1e-6).all()
    assert (pulled.scores > plain.scores).all()
    assert torch.equal(pulled.pixels, again.pixels)
    assert torch.equal(best.pixels, same.pixels)


def test_the_trusted_step_of_a_measurement_rejects_without_a_loss() -> None:
    arguments = driver("sd3"), redness(), PROMPTS, small("sd3")
    candidates = guidance.Candidates(each=4)
    at = guidance.preview_agreement(*arguments, candidates).trusted_step(0.9, keep=2)
    assert at is not None
    best = guidance.best_of(*arguments, candidates)
    early = guidance.early_rejection(*arguments, candidates, at=at, keep=2)
    assert early.seeds == best.seeds
    assert early.steps_run <= best.steps_run


@pytest.mark.slow
def test_on_a_pipeline_that_has_learned_each_way_leads_to_red_and_previews_save_steps() -> None:
    driver = Driver(toy.toy_pipeline())
    prompts = list(toy.PROMPTS) * 2
    arguments = driver, redness(), prompts, toy.SAMPLING
    candidates = guidance.Candidates(each=8, batch_size=64)
    plain = guidance.best_of(*arguments, guidance.Candidates(each=1, batch_size=64))
    best = guidance.best_of(*arguments, candidates)
    assert plain.scores.mean() < 0.35
    assert best.scores.mean() > 0.45
    early = guidance.early_rejection(*arguments, candidates, at=3, keep=2)
    assert early.saved == 1 - (8 * 4 + 2 * 4) / 64
    assert early.scores.mean() > best.scores.mean() - 0.01
    pulled = guidance.guided(*arguments, guidance.Guidance(), seeds=plain.seeds)
    assert pulled.scores.mean() > 0.7
