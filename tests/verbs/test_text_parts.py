"""Rows without a prompt, odd references, models that compare nothing."""

from pathlib import Path

import pytest
import torch

from beholder._verbs.text_metrics import ask
from beholder._verbs.text_parts import Asked, TextRun, part_of
from beholder.errors import ConfigError
from beholder.eval._lpips import load_lpips
from beholder.eval.diversity import diversity
from beholder.inputs import Row
from beholder.rewards.tiny import Tiny
from tests.eval.test_lpips import trunk
from tests.rewards.tinies.clipscore import tiny


def row(key: str, prompt: str | None, **extra: object) -> Row:
    return Row(key=key, image=torch.rand(3, 40, 40), prompt=prompt, name="", extra=extra)


def test_a_row_without_a_prompt_fails_alone() -> None:
    for metric, model in (("clipscore", tiny()), ("", Tiny(0))):
        part = part_of("x", Asked(model=model, metric=metric), TextRun())
        assert part.add([row("a", "fox"), row("b", None)]) == {
            "b": ("no-prompt", "the row has no prompt")
        }
        assert list(part.result()[0].samples) == ["a"]


@pytest.mark.parametrize("given", [["a fox", "dog"], '["a fox", "dog"]', "a fox"])
def test_references_are_a_list_json_of_one_or_one_text(given: object) -> None:
    part = part_of("x", Asked(model=tiny(), metric="refclipscore"), TextRun())
    assert part.add([row("a", "a fox", references=given)]) == {}
    (found,) = part.result()
    assert found.value is not None
    assert found.value > 0


def test_a_text_that_only_begins_like_json_is_a_reference() -> None:
    part = part_of("x", Asked(model=tiny(), metric="refclipscore"), TextRun())
    assert part.add([row("a", "a fox", references="[a fox")]) == {}


def test_a_model_without_vectors_compares_nothing() -> None:
    with pytest.raises(ConfigError, match="x compares vectors, which tiny does not have"):
        part_of("x", Asked(model=Tiny(0), metric="clipscore"), TextRun())


def test_a_row_without_a_picture_or_video_fails(tmp_path: Path) -> None:
    empty = Row(key="a", image=None, prompt="fox", name="")
    picture = part_of("x", Asked(model=tiny(), metric="clipscore"), TextRun())
    assert picture.add([empty])["a"][0] == "no-picture"
    settings = {"frames": 2, "scale": 1}
    video = part_of("x", Asked(model=tiny(), metric="clipsim", settings=settings), TextRun())
    assert video.add([empty])["a"][0] == "no-video"
    assert video.kind == "videos"


def test_diversity_is_the_mean_over_prompts_of_their_pictures_distances(tmp_path: Path) -> None:
    torch.save(trunk(), tmp_path / "alexnet.pth")
    asked = ask("lpips_diversity", {"size": 64}, str(tmp_path / "alexnet.pth"), None)
    rows = [row(str(k), "fox" if k < 3 else "cup") for k in range(5)] + [row("alone", "car")]
    broken = Row(key="broken", image=b"", prompt="fox", name="")
    part = part_of("x", asked, TextRun(batch_size=2))
    assert part.add([*rows, broken]) == {}
    (found,) = part.result()
    assert part.failed["broken"][0] == "empty"
    pictures = [r.image for r in rows if r.image is not None]
    direct = diversity(
        pictures, [str(r.prompt) for r in rows], embed=load_lpips(tmp_path / "alexnet.pth"), size=64
    )
    assert found.value == pytest.approx(direct.mean.value)
    assert set(found.samples) == {"fox", "cup"}
    assert (found.fake, found.details["prompts_of_one_picture"]) == (5, 1)
    with pytest.raises(ConfigError, match="no setting 'sise'"):
        ask("lpips_diversity", {"sise": 64}, None, None)
