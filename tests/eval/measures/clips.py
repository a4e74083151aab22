"""Sides of clips whose features are known, without any network."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from beholder.eval._features import Features
from beholder.eval._origin import Origin
from beholder.eval.measures._base import Need, Side

Floats = npt.NDArray[np.float64]


def origin(need: Need) -> Origin:
    assert need.sampling is not None
    return Origin(
        extractor=need.extractor,
        weights="0" * 16,
        layer=need.layer,
        resize=str(dict(need.settings).get("protocol")),
        decode="alpha=white",
        clips=need.sampling.name,
    )


def side(
    values: Mapping[Need, Floats],
    keys: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
) -> Side:
    """A side of features by need; without keys each row is the first clip of a video."""
    return Side(
        name="clips",
        features={
            need: Features(
                rows, origin(need), tuple(keys) or tuple(f"{at}.mp4#0" for at in range(len(rows)))
            )
            for need, rows in values.items()
        },
        labels=labels or {},
    )


def cloud(rows: int, dims: int, seed: int, shift: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1.0, (rows, dims))
