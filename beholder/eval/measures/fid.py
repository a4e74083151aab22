"""Fréchet Inception distance."""

from __future__ import annotations

from beholder.eval.measures._base import Measure
from beholder.eval.measures._inception_distance import Options, distance_of

needs, compute = distance_of("fid", "2048")

MEASURE = Measure(
    title="Fréchet Inception distance",
    definition=(
        "‖μ₁ - μ₂‖² + tr(S₁ + S₂ - 2 (S₁S₂)^½) of Inception's 2048 pooled values "
        "(Heusel et al., 2017)"
    ),
    best="lower",
    options=Options,
    needs=needs,
    compute=compute,
    from_sums=True,
)
