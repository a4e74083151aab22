from dataclasses import replace
from typing import Any

import pytest

from beholder.errors import ConfigError
from beholder.training._pipeline.quirks import Quirk
from beholder.training._pipeline.sampling import Sampling, call_arguments, known_to


class Plain:
    def __call__(
        self, prompt: Any, height: int, max_sequence_length: int, negative_prompt: Any
    ) -> None: ...


TRUE = Quirk(guidance="true_cfg_scale", negative=" ")


def arguments(quirk: Quirk, sampling: Sampling, *, guided: bool = True) -> dict[str, Any]:
    given = call_arguments(Plain(), quirk, ["a", "b"], sampling, guided=guided)
    assert given.pop("prompt") == ["a", "b"]
    assert given.pop("num_inference_steps") == sampling.steps
    return given


def test_nothing_is_said_that_was_not_asked_for() -> None:
    assert arguments(Quirk(), Sampling(steps=3)) == {}
    assert arguments(Quirk(), Sampling(height=64, width=32)) == {"height": 64, "width": 32}


def test_guidance_is_set_and_turned_off_by_the_pipelines_own_argument() -> None:
    assert arguments(Quirk(), Sampling(guidance=5)) == {"guidance_scale": 5}
    assert arguments(Quirk(), Sampling(guidance=0)) == {"guidance_scale": 1.0}
    assert arguments(Quirk(no_guidance=0.0), Sampling(guidance=0)) == {"guidance_scale": 0.0}
    assert arguments(Quirk(), Sampling(guidance=5), guided=False) == {"guidance_scale": 1.0}


def test_true_guidance_gets_the_negative_prompt_that_it_needs() -> None:
    given = arguments(TRUE, Sampling(guidance=4))
    assert given == {"true_cfg_scale": 4, "negative_prompt": [" ", " "]}
    own = arguments(TRUE, Sampling(guidance=4, call={"negative_prompt": "blur"}))
    assert own == {"true_cfg_scale": 4, "negative_prompt": ["blur", "blur"]}
    assert arguments(TRUE, Sampling()) == {"true_cfg_scale": 1.0}
    kept = arguments(TRUE, Sampling(call={"negative_prompt": ["x", "y"]}))
    assert kept == {"negative_prompt": ["x", "y"]}


def test_without_guidance_there_is_no_negative_prompt() -> None:
    sampling = Sampling(guidance=4, call={"negative_prompt": "blur", "max_sequence_length": 9})
    given = arguments(Quirk(), sampling, guided=False)
    assert given == {"guidance_scale": 1.0, "max_sequence_length": 9}


def test_guidance_that_a_model_is_told_stays_in_every_call() -> None:
    told = Quirk(no_guidance=None)
    assert arguments(told, Sampling(guidance=3), guided=False) == {"guidance_scale": 3}
    assert arguments(told, Sampling(), guided=False) == {}


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({"max_sequence_lenght": 4}, "which Plain does not take; did you mean 'max_sequence_len"),
        ({"zzz": 4}, "'zzz', which Plain does not take; see the pipeline's documentation"),
        ({"output_type": "pil"}, "must not hold 'output_type': the driver itself sets it"),
        ({"height": 4}, "must not hold 'height': sampling.height sets it"),
        ({"guidance_scale": 4}, "must not hold 'guidance_scale': sampling.guidance sets it"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(call: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        arguments(Quirk(), Sampling(call=call))


def test_impossible_numbers_are_refused() -> None:
    for name, wrong in (("steps", 0), ("guidance", -1), ("height", 0), ("width", -8)):
        with pytest.raises(ConfigError, match=name):
            replace(Sampling(), **{name: wrong})  # type: ignore[arg-type]


def test_only_what_a_pipeline_takes_is_known_to_it() -> None:
    assert known_to(Plain(), {"height": 1, "strength": 2}) == {"height": 1}
