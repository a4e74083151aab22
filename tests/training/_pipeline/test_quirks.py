from typing import Any

import pytest

from beholder.training._pipeline.quirks import Quirk, quirk_of
from tests.training.tiny_pipelines import tiny


@pytest.mark.parametrize(
    ("name", "quirk"),
    [
        ("sd", Quirk()),
        ("sd3", Quirk()),
        ("sana", Quirk()),
        ("flux", Quirk(guidance="true_cfg_scale", negative=" ")),
        ("qwen", Quirk(guidance="true_cfg_scale", negative=" ")),
        ("zimage", Quirk(no_guidance=0.0)),
    ],
)
def test_a_pipeline_tells_how_its_guidance_is_set_and_turned_off(name: str, quirk: Quirk) -> None:
    assert quirk_of(tiny(name)) == quirk


def test_guidance_that_a_model_is_told_cannot_be_turned_off() -> None:
    class SanaSprintPipeline:
        def __call__(self, guidance_scale: float = 4.5) -> None: ...

    assert quirk_of(SanaSprintPipeline()) == Quirk(no_guidance=None)


def test_a_rule_of_ones_own_is_asked() -> None:
    class Own:
        _guidance_scale: Any = None

        def __call__(self, guidance_scale: float = 4.5) -> None: ...

        @property
        def do_classifier_free_guidance(self) -> bool:
            return bool(self._guidance_scale > 0)

    assert quirk_of(Own()).no_guidance == 0
