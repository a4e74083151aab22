"""Spatial Fréchet Inception distance."""

from __future__ import annotations

from beholder.eval.measures._base import Measure
from beholder.eval.measures._inception_distance import Options, distance_of

needs, compute = distance_of("sfid", "sfid")

MEASURE = Measure(
    title="Spatial Fréchet Inception distance",
    definition=(
        "the Fréchet distance of 7 channels of Inception's mixed_6/conv at 17 x 17 places, "
        "2023 values that keep where things are (Nash et al., 2021; spatial, not sliding)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
    from_sums=True,
)
