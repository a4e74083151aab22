"""Baselines worked out by hand, and the saliency of one odd patch."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from beholder.errors import DataError
from beholder.eval.feedback import evaluate_feedback
from beholder.eval.feedback_baselines import (
    CentreBias,
    ConstantBaseline,
    GaussianCentre,
    SpectralResidual,
    TrainingMeans,
    spectral_residual,
)
from beholder.types import MAPS, Feedback, WordLabel


def grey(*levels: Sequence[int]) -> Tensor:
    return torch.tensor(levels, dtype=torch.uint8)


def train(key: str, overall: float, values: Tensor, p: float) -> Feedback:
    return Feedback(
        key=key,
        prompt="cat",
        image=f"{key}.png",
        values={"overall": overall},
        maps={"implausibility": values},
        words=[WordLabel("cat", 0, 3, p)],
    )


TRAINING = [
    train("a", 0.2, grey([0, 255], [0, 0]), 1.0),
    train("b", 0.6, grey([255, 255], [0, 0]), 0.4),
]
MEANS = TrainingMeans.of(TRAINING, 2)


def test_training_means_by_hand() -> None:
    assert MEANS.values["overall"] == pytest.approx(0.4)
    assert MEANS.maps["implausibility"].tolist() == [[0.5, 1], [0, 0]]
    assert MEANS.p_misaligned == 0.5


def test_means_of_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="no training records"):
        TrainingMeans.of([], 2)


def test_the_constant_says_the_same_of_every_picture_and_place() -> None:
    scores = ConstantBaseline(MEANS).score(["x", "y"], ["a cat", "dog"])
    assert scores.total.tolist() == pytest.approx([0.4, 0.4])
    assert scores.maps["implausibility"].tolist() == [[[0.375] * 2] * 2] * 2
    assert [[(w.word, w.p_misaligned) for w in words] for words in scores.words] == [
        [("a", 0.5), ("cat", 0.5)],
        [("dog", 0.5)],
    ]


def test_the_centre_bias_draws_the_mean_training_map() -> None:
    scores = CentreBias(MEANS).score(["x"], ["cat"])
    assert torch.equal(scores.maps["implausibility"][0], MEANS.maps["implausibility"])


def test_the_gaussian_is_highest_in_the_middle_and_falls_as_it_should() -> None:
    maps = GaussianCentre(side=5, spread=0.2).score(["x"], ["cat"]).maps
    assert set(maps) == set(MAPS)
    drawn = maps["misalignment"][0]
    assert drawn[2, 2] == 1
    assert drawn[2, 3].item() == pytest.approx(torch.exp(torch.tensor(-0.5)).item())
    assert torch.allclose(drawn, drawn.flip(0))
    assert torch.allclose(drawn, drawn.T)


def test_a_baseline_runs_through_the_same_evaluation() -> None:
    found = evaluate_feedback(CentreBias(MEANS), TRAINING, draws=5).figures
    assert (
        found["overall.plcc"].why == "the predictions are all equal, so they correlate with nothing"
    )
    # squared differences: (1/4, 0, 0, 0) for each
    assert found["implausibility.mse"].value == pytest.approx(1 / 16)
    assert found["words.average_precision"].value == pytest.approx(0.5)


def stripes() -> Tensor:
    """A regular pattern with one patch that is turned by a right angle."""
    picture = ((torch.arange(64)[None, :] // 4) % 2).float().expand(64, 64).clone()
    picture[40:52, 12:24] = picture[12:24, 40:52].T
    return picture


def test_the_odd_patch_stands_out() -> None:
    found = spectral_residual(stripes())
    assert found.max() == 1
    row, column = divmod(int(found.argmax()), 64)
    assert 38 <= row <= 54
    assert 10 <= column <= 26


def test_a_lone_square_stands_out_of_an_even_ground() -> None:
    picture = torch.full((64, 64), 0.2)
    picture[30:36, 40:46] = 0.9
    row, column = divmod(int(spectral_residual(picture).argmax()), 64)
    assert 30 <= row < 36
    assert 40 <= column < 46


def test_an_even_picture_has_no_saliency() -> None:
    assert spectral_residual(torch.full((64, 64), 0.3)).abs().max() == 0


def test_saliency_of_files_has_the_asked_side_and_an_unreadable_file_is_a_row(
    tmp_path: Path,
) -> None:
    path = tmp_path / "odd.png"
    pixels = (stripes() * 255).byte().repeat_interleave(2, 0).repeat_interleave(3, 1)
    Image.fromarray(pixels.numpy()).convert("RGB").save(path)
    scores = SpectralResidual(side=24).score([str(path), str(tmp_path / "none.png")], ["", ""])
    drawn = scores.maps["implausibility"]
    assert drawn.shape == (2, 24, 24)
    row, column = divmod(int(drawn[0].argmax()), 24)
    assert 14 <= row <= 20
    assert 3 <= column <= 10
    assert scores.errors[1].startswith("missing: ")
    assert scores.total.isnan().tolist() == [False, True]
