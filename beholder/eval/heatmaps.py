"""How well a heatmap finds what people marked, by the rules of RichHF (Liang et al., CVPR 2024).

Predicted and true map have the same resolution, the one at which the reward draws: `truth_map`
resizes the truth to it, as published, so numbers of two resolutions differ a little. A map without
any positive pixel is empty: nobody marked a fault. CC, SIM, KLD, NSS and AUC-Judd are then
meaningless (their functions give 0, 0, 0, NaN and NaN) and are averaged over the others only; MSE
is averaged over all maps and, apart, over the empty ones. Definitions follow Bylinskii et al.
(What Do Different Evaluation Metrics Tell Us About Saliency Models?, TPAMI 2019), with the
published code's constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from beholder.errors import DataError
from beholder.eval._bootstrap import Floats
from beholder.eval._estimate import Estimate, Ratio, estimates, mean_of

EPSILON = 1e-8
"""Keeps every quotient and logarithm finite; a constant prediction has CC and NSS 0."""

Measure = Callable[[Tensor, Tensor], float]


def mse(prediction: Float[Tensor, "h w"], truth: Float[Tensor, "h w"]) -> float:
    """Mean squared difference, in [0, 1] for maps in [0, 1]; lower is better."""
    return float((prediction.double() - truth.double()).square().mean())


def cc(prediction: Float[Tensor, "h w"], truth: Float[Tensor, "h w"]) -> float:
    """Pearson correlation of the pixels, in [-1, 1]; 0 if one of the maps is constant."""
    p, t = _centred(prediction), _centred(truth)
    return float((p * t).sum() / (p.norm() * t.norm() + EPSILON))


def sim(prediction: Float[Tensor, "h w"], truth: Float[Tensor, "h w"]) -> float:
    """Common mass of the two maps, each scaled to sum 1; in [0, 1], higher is better."""
    return float(torch.minimum(_distribution(prediction), _distribution(truth)).sum())


def kld(prediction: Float[Tensor, "h w"], truth: Float[Tensor, "h w"]) -> float:
    """Divergence of the predicted from the true distribution of mass, in nats; lower is better."""
    p, t = _distribution(prediction), _distribution(truth)
    return float((t * torch.log(t / (p + EPSILON) + EPSILON)).sum())


def nss(prediction: Float[Tensor, "h w"], truth: Float[Tensor, "h w"]) -> float:
    """Mean of the standardised prediction over the marked pixels; 0 is chance, higher is better."""
    standardised = _centred(prediction) / (prediction.double().std() + EPSILON)
    return float(standardised[truth > 0].mean())


def auc_judd(prediction: Float[Tensor, "h w"], truth: Float[Tensor, "h w"]) -> float:
    """Area under the curve of marked pixels found against others raised; 0.5 is chance, 1 the best.

    The published code puts a threshold at the value of each of the n marked pixels, breaks ties by
    random jitter of 1e-7, counts the threshold's own pixel among the m others raised, and joins the
    points by straight lines. That area is, without loop or chance, the share of (marked, other)
    pairs in order (Mann and Whitney, 1947), plus a / 2nm for the slanted lines, where a others lie
    above the lowest marked pixel, minus (1 - 1 / 2n) / m for the pixel counted twice. Ties count
    their mean over the jitter. NaN if no pixel is marked, or all are.
    """
    values, marked = prediction.double().flatten(), (truth > 0).flatten()
    found, others = values[marked], values[~marked].sort().values
    n, m = len(found), len(others)
    if n == 0 or m == 0:
        return math.nan
    below = torch.searchsorted(others, found)
    not_above = torch.searchsorted(others, found, right=True)
    in_order = float((below + not_above).double().sum()) / 2
    slanted = _raised_above_lowest(found, below, not_above, m) / 2
    return (in_order + slanted) / (n * m) - (1 - 1 / (2 * n)) / m


def _raised_above_lowest(found: Tensor, below: Tensor, not_above: Tensor, m: int) -> float:
    """How many of m others exceed the lowest marked pixel, in the mean over orders of ties."""
    at = int(found.argmin())
    marked_ties = int((found == found[at]).sum())
    other_ties = int(not_above[at] - below[at])
    return m - int(not_above[at]) + other_ties * marked_ties / (marked_ties + 1)


WHERE_MARKED: Mapping[str, Measure] = MappingProxyType(
    {"cc": cc, "kld": kld, "sim": sim, "nss": nss, "auc_judd": auc_judd}
)
"""The measures that need a marked pixel, in the order of the paper's tables."""


def truth_map(grey: UInt8[Tensor, "h w"], size: tuple[int, int]) -> Float[Tensor, "m n"]:
    """Grey levels resized to (height, width) and divided by 255; bilinear, antialiased.

    Rounded to whole levels before the division, as an 8-bit picture is.
    """
    resized = functional.interpolate(
        grey[None, None].float(), list(size), mode="bilinear", align_corners=False, antialias=True
    )
    return resized[0, 0].round().clamp(0, 255) / 255


class HeatmapMeasures:
    """Gathers maps one after another and keeps six numbers of each."""

    def __init__(self) -> None:
        self._rows: list[list[float]] = []

    def add(self, prediction: Tensor, truth: Tensor) -> None:
        """Measure one map (h, w) on its truth, both float in [0, 1] and not negative.

        Raises DataError if the shapes differ or a value is not finite.
        """
        if prediction.ndim != 2 or prediction.shape != truth.shape:
            raise DataError(
                f"a map of shape {tuple(prediction.shape)} for a truth of {tuple(truth.shape)}; "
                "give two of the same height and width, see truth_map"
            )
        if not (prediction.isfinite().all() and truth.isfinite().all()):
            raise DataError("a map holds values that are not finite")
        marked = bool(truth.sum() > 0)
        others = [
            measure(prediction, truth) if marked else math.nan for measure in WHERE_MARKED.values()
        ]
        self._rows.append([float(marked), mse(prediction, truth), *others])

    def __len__(self) -> int:
        return len(self._rows)

    def estimates(self, *, draws: int = 2000, seed: int = 0) -> dict[str, Estimate]:
        """Means over maps: "mse", "mse_empty", and the names of `WHERE_MARKED`, in that order.

        `samples` says over how many maps: all, the empty ones, or those that have a value.
        Intervals redraw maps. Raises ConfigError if `draws` is not positive.
        """
        table = np.array(self._rows, np.float64).reshape(-1, 2 + len(WHERE_MARKED))
        return estimates(_means(table), draws=draws, seed=seed)


def _means(table: Floats) -> dict[str, Ratio]:
    marked, errors = table[:, 0], table[:, 1]
    everything = np.ones_like(marked)
    return {
        "mse": mean_of(errors, everything, "there is no map"),
        "mse_empty": mean_of(errors, 1 - marked, "no true map is empty"),
        **{
            name: mean_of(table[:, 2 + k], marked, "no true map has both marked and other pixels")
            for k, name in enumerate(WHERE_MARKED)
        },
    }


def _centred(values: Tensor) -> Float[Tensor, "h w"]:
    return values.double() - values.double().mean()


def _distribution(values: Tensor) -> Float[Tensor, "h w"]:
    return values.double() / (values.double().sum() + EPSILON)
