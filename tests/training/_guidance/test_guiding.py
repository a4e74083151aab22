import gc
import weakref
from collections.abc import Sequence

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder.errors import BeholderError, ConfigError
from beholder.training._guidance.guiding import Guidance, Guided, guided
from beholder.training._pipeline.taps import steps_watched
from beholder.training._tuning.signal import Signal
from beholder.types import Scores
from tests.training._guidance.drivers import PROMPTS, driver, plain, redness, small
from tests.training._guidance.test_candidates import Moody
from tests.training.toy import Redness, SteppedRedness

ALWAYS = {"from_level": 100.0, "to_level": 0.0}


def pulled(name: str, scale: float, prompts: Sequence[str] = PROMPTS, **window: float) -> Guided:
    guidance = Guidance(scale=scale, **{**ALWAYS, **window})
    seeds = list(range(len(prompts)))
    return guided(driver(name), redness(), prompts, small(name), guidance, seeds=seeds)


@pytest.mark.parametrize("name", ["sd", "sd3", "flux"])
def test_without_scale_it_is_the_plain_picture_and_with_more_the_score_is_higher(name: str) -> None:
    weak, strong = pulled(name, 0.2), pulled(name, 0.6)
    none = pulled(name, 0.0)
    assert torch.equal(none.pixels, plain(name, [0, 1]))
    assert (none.guided_steps, none.previews.shape) == ((), (2, 0))
    assert (weak.scores > none.scores + 1e-3).all()
    assert (strong.scores > weak.scores + 1e-3).all()
    assert (strong.guided_steps, strong.seeds) == ((0, 1, 2, 3), (0, 1))
    assert torch.allclose(strong.scores, redness()(strong.pixels, PROMPTS))
    assert (strong.previews[:, 3] > strong.previews[:, 0]).all()


@pytest.mark.parametrize("name", ["sd", "sd3"])
def test_steps_inside_the_window_are_guided_and_no_others(name: str) -> None:
    levels = driver(name).levels("a cat", small(name))
    found = pulled(name, 0.5, from_level=levels[1] * 1.001, to_level=levels[2] * 0.999)
    assert found.guided_steps == (1, 2)
    assert found.previews.shape == (2, 2)
    nowhere = pulled(name, 0.5, from_level=levels[2] * 0.999, to_level=levels[3] * 1.001)
    assert nowhere.guided_steps == ()
    assert torch.allclose(nowhere.pixels, plain(name, [0, 1]), atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_pull_is_as_long_as_the_step_times_the_scale(scale: float) -> None:
    one = driver("sd3")
    levels = one.levels("a cat", small("sd3"))
    samples: list[Tensor] = []
    with steps_watched(one.pipe.scheduler, lambda _, __, sample, ___: samples.append(sample)):
        plain("sd3", [0, 1])
        pulled("sd3", scale, from_level=levels[1] * 1.001, to_level=levels[1] * 0.999)
    without, found = samples[:4], [sample.detach() for sample in samples[4:]]
    assert torch.allclose(without[1], found[1], atol=1e-6)
    step = (without[2] - without[1]).flatten(1).norm(dim=1)
    pull = (found[2] - without[2]).flatten(1).norm(dim=1)
    assert torch.allclose(pull, scale * step, rtol=1e-3)


def test_neighbours_change_nothing_and_every_step_counts() -> None:
    counted: list[int] = []
    alone = guided(
        driver("sd3"),
        redness(),
        PROMPTS[:1],
        small("sd3"),
        Guidance(**ALWAYS),
        seeds=[0],
        progress=counted.append,
    )
    together = pulled("sd3", 0.5)
    assert torch.allclose(alone.pixels, together.pixels[:1], atol=1e-4)
    assert alone.steps_run == sum(counted) == 4
    assert together.steps_run == 8


def test_a_picture_without_a_score_is_not_pulled() -> None:
    found = guided(
        driver("sd3"),
        Signal(Moody()),
        ["a cat", "ghost"],
        small("sd3"),
        Guidance(**ALWAYS),
        seeds=[0, 1],
    )
    with torch.no_grad():
        free = driver("sd3").sample(["a cat", "ghost"], small("sd3"), seeds=[0, 1]).pixels
    assert torch.allclose(found.pixels[1], free[1], atol=1e-5)
    assert not torch.allclose(found.pixels[0], free[0], atol=1e-3)
    assert list(found.errors) == [1]
    assert found.previews[1].isnan().all()
    with pytest.raises(BeholderError, match="no score for any of 1 pictures"):
        guided(
            driver("sd3"), Signal(Moody()), ["ghost"], small("sd3"), Guidance(**ALWAYS), seeds=[0]
        )


class Remembering(Redness):
    """Counts how many of the pictures that it has seen are still held by a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[weakref.ref[Tensor]] = []
        self.alive: list[int] = []

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        gc.collect()
        self.alive.append(sum(ref() is not None for ref in self.seen))
        self.seen.append(weakref.ref(pixel_values))
        return super().score_prepared(pixel_values, prompts)


def test_memory_holds_the_graph_of_one_step() -> None:
    reward = Remembering()
    guided(driver("sd3"), Signal(reward), PROMPTS, small("sd3"), Guidance(**ALWAYS), seeds=[0, 1])
    assert len(reward.alive) == 5
    assert max(reward.alive) == 0
    assert torch.is_grad_enabled()


def test_what_cannot_guide_is_refused() -> None:
    with pytest.raises(ConfigError, match="gives no gradient"):
        guided(
            driver("sd"), Signal(SteppedRedness()), PROMPTS, small("sd"), Guidance(), seeds=[0, 1]
        )
    for wrong in ({"scale": -1.0}, {"from_level": 0.0}, {"to_level": 2.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Guidance(**wrong)
