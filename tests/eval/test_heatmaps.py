"""Heatmap measures against the published numbers, a plain reference and values by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from beholder.errors import DataError
from beholder.eval.heatmaps import (
    WHERE_MARKED,
    HeatmapMeasures,
    auc_judd,
    cc,
    kld,
    mse,
    nss,
    sim,
    truth_map,
)

Array = npt.NDArray[Any]
PUBLISHED = load_file(Path(__file__).parents[1] / "data" / "richhf_heatmap_metrics.safetensors")
MEASURES = {"mse": mse, "cc": cc, "similarity": sim, "kld": kld, "nss": nss, "auc_judd": auc_judd}
EMPTY = 4


def thresholded_auc(values: Array, marked: Array) -> float:
    """The published form: O(N^2), one threshold at each marked pixel, no two values equal."""
    thresholds = np.sort(values[marked])[::-1]
    n, others = len(thresholds), int((~marked).sum())
    found = [0.0, *((k + 1) / n for k in range(n)), 1.0]
    raised = [0.0, *(((values >= t).sum() - k) / others for k, t in enumerate(thresholds)), 1.0]
    return float(np.trapezoid(found, raised))


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("row", range(5))
def test_every_measure_gives_the_published_number(name: str, row: int) -> None:
    found = MEASURES[name](PUBLISHED["pred"][row], PUBLISHED["gt"][row])
    assert found == pytest.approx(PUBLISHED[name][row].item(), abs=1e-6, nan_ok=True)


def test_an_empty_truth_gives_what_is_published() -> None:
    prediction, truth = PUBLISHED["pred"][EMPTY], PUBLISHED["gt"][EMPTY]
    assert truth.sum() == 0
    assert [cc(prediction, truth), sim(prediction, truth), kld(prediction, truth)] == [0, 0, 0]
    assert math.isnan(nss(prediction, truth))
    assert math.isnan(auc_judd(prediction, truth))


@pytest.mark.parametrize("seed", range(8))
def test_the_rank_sum_is_the_thresholded_area(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.permutation(63).reshape(7, 9) / 63
    marked = generator.random((7, 9)) < 0.3
    found = auc_judd(torch.tensor(values), torch.tensor(marked).double())
    assert found == pytest.approx(thresholded_auc(values, marked), abs=1e-12)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_ties_count_the_mean_over_the_published_jitter(levels: int) -> None:
    generator = np.random.default_rng(levels)
    values = generator.integers(levels, size=(4, 5)) / 8
    marked = np.arange(20).reshape(4, 5) % 3 == 0
    jittered = [
        thresholded_auc(values + generator.random((4, 5)) * 1e-7, marked) for _ in range(3000)
    ]
    found = auc_judd(torch.tensor(values), torch.tensor(marked).double())
    assert found == pytest.approx(np.mean(jittered), abs=4 * np.std(jittered) / 3000**0.5 + 1e-9)


def test_a_large_map_is_measured_as_the_area_of_its_curve() -> None:
    """At the published 384 x 384 the corrections are small: the area is that of the pairs."""
    truth = torch.zeros(384, 384)
    truth[100:160, 100:160] = 1
    prediction = truth * 0.3 + torch.rand(384, 384)
    assert auc_judd(prediction, truth) == pytest.approx(1 - 0.7**2 / 2, abs=0.01)


def test_measures_by_hand() -> None:
    prediction = torch.tensor([[0.0, 0.5], [0.5, 1.0]])
    truth = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    assert mse(prediction, truth) == pytest.approx(0.5 / 4)
    assert sim(prediction, truth) == pytest.approx(0.5)
    assert kld(prediction, truth) == pytest.approx(math.log(2))
    assert cc(prediction, truth) == pytest.approx(0.5 / math.sqrt(0.5 * 0.75))
    assert nss(prediction, truth) == pytest.approx(0.5 / math.sqrt(0.5 / 3))


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_constant_prediction_is_at_chance(value: float) -> None:
    prediction, truth = torch.full((24, 24), value), PUBLISHED["gt"][0]
    assert cc(prediction, truth) == pytest.approx(0, abs=1e-6)
    assert nss(prediction, truth) == pytest.approx(0, abs=1e-6)
    assert auc_judd(prediction, truth) == pytest.approx(0.5, abs=0.01)
    assert math.isfinite(kld(prediction, truth))


def test_a_truth_without_another_pixel_has_no_area() -> None:
    assert math.isnan(auc_judd(torch.rand(2, 2), torch.ones(2, 2)))


def gathered(rows: list[int]) -> HeatmapMeasures:
    measures = HeatmapMeasures()
    for row in rows:
        measures.add(PUBLISHED["pred"][row], PUBLISHED["gt"][row])
    return measures


def test_only_marked_maps_count_outside_the_squared_error() -> None:
    found = gathered([0, 1, 2, 3, 4]).estimates(draws=200)
    assert list(found) == ["mse", "mse_empty", *WHERE_MARKED]
    assert found["mse"].value == pytest.approx(PUBLISHED["mse"].mean().item(), abs=1e-6)
    assert found["mse_empty"].value == pytest.approx(PUBLISHED["mse"][EMPTY].item(), abs=1e-6)
    assert found["cc"].value == pytest.approx(PUBLISHED["cc"][:EMPTY].mean().item(), abs=1e-6)
    assert {name: e.samples for name, e in found.items()} == {
        "mse": 5,
        "mse_empty": 1,
        **dict.fromkeys(WHERE_MARKED, 4),
    }


def test_intervals_lie_around_the_mean_and_repeat() -> None:
    measures = gathered([0, 1, 2, 3, 4])
    found = measures.estimates(draws=200)["kld"]
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert PUBLISHED["kld"][:4].min() < found.low < found.value < found.high
    assert measures.estimates(draws=200)["kld"] == found


def test_without_an_empty_truth_its_error_is_none_and_says_why() -> None:
    found = gathered([0, 1]).estimates(draws=10)["mse_empty"]
    assert (found.value, found.samples, found.why) == (None, 0, "no true map is empty")


def test_no_map_at_all_is_no_number() -> None:
    assert {e.value for e in HeatmapMeasures().estimates(draws=5).values()} == {None}


def test_a_truth_marked_everywhere_counts_in_all_but_the_area() -> None:
    measures = gathered([0])
    measures.add(torch.rand(24, 24), torch.ones(24, 24))
    found = measures.estimates(draws=10)
    assert (found["nss"].samples, found["auc_judd"].samples) == (2, 1)


@pytest.mark.parametrize(
    ("prediction", "fault"),
    [
        (torch.zeros(3, 4), "see truth_map"),
        (torch.full((4, 4), math.nan), "not finite"),
    ],
)
def test_maps_that_do_not_fit_are_refused(prediction: Tensor, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        HeatmapMeasures().add(prediction, torch.zeros(4, 4))


@pytest.mark.parametrize("size", [(24, 24), (30, 17)])
def test_the_truth_is_resized_as_the_published_code_does(size: tuple[int, int]) -> None:
    grey = (torch.rand(6, 8).repeat_interleave(10, 0).repeat_interleave(10, 1) * 255).byte()
    height, width = size
    pillow = Image.fromarray(grey.numpy()).resize((width, height), Image.Resampling.BILINEAR)
    expected = torch.tensor(np.array(pillow)).float() / 255
    assert (truth_map(grey, size) - expected).abs().max() <= 1.001 / 255
