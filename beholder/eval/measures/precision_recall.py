"""Improved precision and recall, density and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from beholder.eval._neighbours import Border
from beholder.eval.extractors import dinov2, inception, vgg16
from beholder.eval.measures._base import Measure, Measurement, Need, Side
from beholder.eval.measures._frechet import assumed, known
from beholder.eval.measures._ranges import at_least, one_of
from beholder.eval.measures._rows import by_key, present
from beholder.eval.precision_recall import precision_recall

Network = Literal["inception", "vgg16", "dinov2"]
_LAYERS: dict[Network, str] = {"inception": "2048", "vgg16": "fc2_relu", "dinov2": "cls"}
_RESIZES: dict[Network, Sequence[str]] = {
    "inception": inception.RESIZES,
    "vgg16": vgg16.RESIZES,
    "dinov2": dinov2.RESIZES,
}
"""What each network knows, its usual one first."""
_OF_REAL = ("recall", "coverage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of precision and recall, density and coverage.

    Attributes:
        features: "inception" as in ADM's tables, "vgg16" as in the paper, or "dinov2".
        resize: how pictures come to the size of the network; "" is the usual one of `features`.
        k: neighbours of precision and recall.
        density_k: neighbours of density and coverage.
        border: whether a picture exactly on the border of a ball is inside ("closed") or not
            ("open"), for precision and recall.
        density_border: the same for density and coverage.
        draws: of the bootstrap.
        seed: of these draws.
    """

    features: Network = "inception"
    resize: str = ""
    k: int = 3
    density_k: int = 5
    border: Border = "closed"
    density_border: Border = "open"
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        one_of(get_args(Network), features=self.features)
        if self.resize:
            one_of(_RESIZES[self.features], resize=self.resize)
        at_least(1, k=self.k, density_k=self.density_k, draws=self.draws)
        at_least(0, seed=self.seed)


def needs(options: Options) -> list[Need]:
    """Features of the network that was chosen."""
    resize = options.resize or _RESIZES[options.features][0]
    layer = _LAYERS[options.features]
    return [Need(extractor=options.features, layer=layer, settings=(("resize", resize),))]


def compute(real: Side | None, fake: Side, options: Options) -> list[Measurement]:
    """Four measurements, each with the flag of every row that it is the mean of."""
    real = present(real, "precision_recall")
    (need,) = needs(options)
    first = real.features_of(need, "precision_recall")
    second = fake.features_of(need, "precision_recall")
    found = precision_recall(
        first.values,
        second.values,
        k=options.k,
        density_k=options.density_k,
        border=options.border,
        density_border=options.density_border,
    )
    intervals = found.intervals(options.draws, options.seed)
    return [
        Measurement(
            metric=name,
            value=float(values.mean()),
            low=intervals[name].low,
            high=intervals[name].high,
            interval=_interval(name, options.draws),
            real=len(first.values),
            fake=len(second.values),
            protocol={**known(first.origin, second.origin).as_dict(), **_settings(name, options)},
            details=assumed(first.origin, second.origin),
            biased=True,
            samples=by_key(first if name in _OF_REAL else second, values),
        )
        for name, values in found.samples().items()
    ]


def _interval(name: str, draws: int) -> str:
    side = "real" if name in _OF_REAL else "generated"
    return f"bootstrap of {draws} draws over {side} pictures, the balls held as they are"


def _settings(name: str, options: Options) -> dict[str, object]:
    if name in {"density", "coverage"}:
        return {"k": options.density_k, "border": options.density_border}
    return {"k": options.k, "border": options.border}


MEASURE = Measure(
    title="Precision, recall, density, coverage",
    definition=(
        "precision: share of generated pictures within the distance of a real picture to its k-th "
        "nearest real one; recall: the same with the sides swapped (Kynkäänniemi et al., 2019); "
        "density: mean number of real balls that hold a generated picture, over k; coverage: share "
        "of real balls that hold one (Naeem et al., 2020)"
    ),
    best="higher",
    options=Options,
    needs=needs,
    compute=compute,
)
