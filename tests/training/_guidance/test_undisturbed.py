import pytest
import torch

from beholder.training._guidance.undisturbed import undisturbed
from beholder.training.pipeline import Step
from tests.training._guidance.drivers import PROMPTS, driver, plain, small


@pytest.mark.parametrize("name", ["sd", "sd3", "flux"])
def test_a_picture_decoded_from_inside_the_loop_leaves_the_run_as_it_was(name: str) -> None:
    one = driver(name)
    sampling = small(name, guidance=3.0)
    previews: list[torch.Tensor] = []

    def decode(step: Step) -> None:
        with undisturbed(one.pipe):
            previews.append(one.decode(step.x0, sampling))

    with torch.no_grad():
        pixels = one.sample(PROMPTS, sampling, seeds=[0, 1], on_step=decode).pixels
        stopped = one.sample(PROMPTS, sampling, seeds=[0, 1], stop_at=1).pixels
    assert torch.equal(pixels, plain(name, [0, 1], sampling))
    assert torch.equal(previews[1], stopped)


def test_state_comes_back_even_after_an_error() -> None:
    pipe = driver("sd").pipe
    pipe._kept = 1
    pipe.scheduler._kept = 2
    with pytest.raises(KeyError), undisturbed(pipe):
        pipe._kept = pipe.scheduler._kept = 3
        pipe._made = 4
        raise KeyError
    assert (pipe._kept, pipe.scheduler._kept) == (1, 2)
    assert not hasattr(pipe, "_made")
    del pipe._kept, pipe.scheduler._kept
