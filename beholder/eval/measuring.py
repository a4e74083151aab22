"""Metrics of pictures and videos against each other: one extraction for all, one protocol each."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

import beholder
from beholder._pixels import Alpha
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.eval._origin import check_same
from beholder.eval._sheets.measurement import comparison_sheet
from beholder.eval.extraction import Pass
from beholder.eval.extractors import load as load_extractor
from beholder.eval.extractors._base import Extractor
from beholder.eval.measures._base import Measurement, Need, Side
from beholder.eval.measures._chosen import Chosen, choose
from beholder.eval.sides import (
    Extracting,
    Material,
    SideSummary,
    Source,
    check_any,
    open_side,
    side_of,
)

Metrics = str | Chosen | Sequence[str | Chosen]
"""A metric, or several: names, or what `choose` gave."""
Progress = Callable[[int | None, str], AbstractContextManager[Callable[[int], object]]]
"""(rows, unit) -> a context that gives `advance(count)`, as `beholder._terminal.progress`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a comparison is made, beside its metrics.

    Attributes:
        weights: extractor, or "extractor.model" -> a local file of its weights.
        device: where networks run; None takes a GPU if there is one.
        batch_size: pictures or clips in one pass of a network.
        cache: folder where features are kept by content; None keeps none.
        alpha: what shows behind transparent pixels.
        assume: take what a reference file does not say of its features to agree.
        features: an extractor in the place of Inception; metrics are then named after it.
        keep: folder for the features and statistics of both sides; None writes none.
    """

    weights: Mapping[str, str | Path] = field(default_factory=dict)
    device: str | None = None
    batch_size: int = 32
    cache: str | Path | None = None
    alpha: Alpha = "white"
    assume: bool = False
    features: Need | None = None
    keep: str | Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was measured.

    Attributes:
        measurements: every number with its protocol.
        real, fake: what the sides were made of; real is None where no metric needs one.
        versions: of what took part.
    """

    measurements: Sequence[Measurement]
    real: SideSummary | None
    fake: SideSummary
    versions: Mapping[str, str]

    @property
    def failures(self) -> int:
        """Rows of both sides that could not be used."""
        return len(self.fake.failures) + (len(self.real.failures) if self.real else 0)

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)

    def __repr__(self) -> str:
        return comparison_sheet(self).text()

    def _repr_html_(self) -> str:
        return comparison_sheet(self).html()


def measure(
    real: Source | None,
    fake: Source,
    metrics: Metrics,
    setup: Setup | None = None,
    progress: Progress = lambda total, unit: nullcontext(lambda count: None),
) -> Comparison:
    """Every metric of two sides, whose pictures are each decoded once.

    A picture that cannot be read is a failure of its side, with its reason. A metric that cannot be
    computed has no value, and says why; the others have theirs.

    Args:
        real: pictures, videos, or a file of features or statistics; None if no metric needs it.
        fake: pictures, videos, or a file of features or statistics.
        metrics: names, or what `choose` gave; one or several.
        setup: how; None is the default of everything.
        progress: shows how extraction goes on.

    Raises:
        ConfigError: if a metric is unknown, or metrics of pictures and videos come together.
        DataError: if a side is empty, or the two were made by different protocols.
        WeightsError: if weights cannot be had.
    """
    job = _job(real, fake, metrics, setup or Setup())
    made = {name: job.side(name, progress) for name in job.sides}
    for side, summary in made.values():
        check_any(side, summary)
    if job.how.keep is not None:
        _keep(Path(job.how.keep), {name: side for name, (side, _) in made.items()})
    real_side = made["real"][0] if "real" in made else None
    return Comparison(
        measurements=[m for plan in job.plans for m in _computed(plan, real_side, made["fake"][0])],
        real=made["real"][1] if "real" in made else None,
        fake=made["fake"][1],
        versions=versions(is_video=any(each.is_video for each in job.sides.values())),
    )


def fill_cache(
    real: Source | None,
    fake: Source,
    metrics: Metrics,
    setup: Setup,
    *,
    share: int,
    shares: int,
    progress: Progress = lambda total, unit: nullcontext(lambda count: None),
) -> None:
    """Compute every `shares`-th row's features into the cache, from row `share` on.

    What one of several processes does; when all are through, `measure` finds everything there.
    Raises ConfigError if there is no cache, and what `measure` raises.
    """
    if setup.cache is None:
        raise ConfigError("several processes share their features by a cache; give one")
    job = _job(real, fake, metrics, setup)
    for name, material in job.sides.items():
        if material.inputs is not None:
            job.side(name, progress, part=(share, shares))


@dataclass(frozen=True, slots=True)
class _Job:
    """A comparison that was checked and can begin."""

    plans: Sequence[_Plan]
    sides: Mapping[str, Material]
    passes: Mapping[Need, Pass]
    how: Setup

    def side(
        self, name: str, progress: Progress, part: tuple[int, int] = (0, 1)
    ) -> tuple[Side, SideSummary]:
        """The features of a side, or of a part of its rows."""
        material = self.sides[name].part(*part)
        rows = None if material.inputs is None else len(material.inputs)
        unit = f"{name} {'videos' if material.is_video else 'pictures'}"
        with progress(rows, unit) as advance:
            extracting = Extracting(
                batch_size=self.how.batch_size,
                cache=None if self.how.cache is None else Path(self.how.cache),
                alpha=self.how.alpha,
                progress=advance,
            )
            return side_of(material, _wanted(name, self.plans), self.passes, extracting)


def _job(real: Source | None, fake: Source, metrics: Metrics, how: Setup) -> _Job:
    listed = [metrics] if isinstance(metrics, str | Chosen) else metrics
    chosen = [choose(each) if isinstance(each, str) else each for each in listed]
    is_video = _kind(chosen) == "videos"
    plans = [_plan(each, how.features) for each in chosen]
    sides = _opened(real, fake, chosen, is_video=is_video)
    passes = _passes(plans, sides, how)
    for plan in plans:
        _check_alike(plan, sides, passes, how)
    return _Job(plans, sides, passes, how)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A metric, and the features that stand for each that it asks for."""

    chosen: Chosen
    needs: Mapping[Need, Need]


def _plan(chosen: Chosen, features: Need | None) -> _Plan:
    asked = chosen.measure.needs(chosen.options)
    return _Plan(chosen, {need: _stand_in(need, features) for need in asked})


def _stand_in(need: Need, features: Need | None) -> Need:
    return features if features is not None and need.extractor == "inception" else need


def _kind(chosen: Sequence[Chosen]) -> Literal["pictures", "videos"]:
    if not chosen:
        raise ConfigError("name at least one metric")
    kinds = {each.measure.takes for each in chosen}
    if len(kinds) > 1:
        named = {kind: [c.name for c in chosen if c.measure.takes == kind] for kind in kinds}
        listed = "; ".join(f"{', '.join(names)} of {kind}" for kind, names in named.items())
        raise ConfigError(f"metrics of pictures and of videos do not go together: {listed}")
    return kinds.pop()


def _opened(
    real: Source | None, fake: Source, chosen: Sequence[Chosen], *, is_video: bool
) -> dict[str, Material]:
    needing = [each.name for each in chosen if each.measure.has_real]
    if needing and real is None:
        raise ConfigError(f"{', '.join(needing)} compares with a real side; give one")
    sides = {"real": open_side(real, is_video=is_video)} if needing and real is not None else {}
    return {**sides, "fake": open_side(fake, is_video=is_video)}


def _passes(plans: Sequence[_Plan], sides: Mapping[str, Material], how: Setup) -> dict[Need, Pass]:
    """What makes each need; nothing where both sides are files."""
    if all(material.reference is not None for material in sides.values()):
        return {}
    needs = dict.fromkeys(need for plan in plans for need in plan.needs.values())
    _check_used(how.weights, needs)
    loaded: dict[object, Extractor] = {}
    passes = {}
    for need in needs:
        key = (need.extractor, need.settings)
        if key not in loaded:
            loaded[key] = _loaded(need, how)
        layer = need.layer or next(iter(loaded[key].layers))
        loaded[key].check_layers([layer])
        _check_takes(need, loaded[key])
        passes[need] = Pass(
            extractor=loaded[key],
            layers=(layer,),
            sampling=need.sampling,
            decode=f"alpha={how.alpha}",
        )
    return passes


def _check_used(weights: Mapping[str, str | Path], needs: Iterable[Need]) -> None:
    """Refuse files that nothing reads: a name that is mistyped would fetch other weights."""
    read = {name for need in needs for name in _names(need)}
    for name in weights:
        if name not in read:
            listed = ", ".join(sorted(read))
            raise ConfigError(f"no metric reads the weights {name}; those asked for read {listed}")


def _names(need: Need) -> list[str]:
    """What the weights of an extractor may be called, the most precise first."""
    model = dict(need.settings).get("model")
    return [need.extractor] if model is None else [f"{need.extractor}.{model}", need.extractor]


def _loaded(need: Need, how: Setup) -> Extractor:
    settings = dict(need.settings)
    weights = next((how.weights[name] for name in _names(need) if name in how.weights), None)
    device = how.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return load_extractor(need.extractor, weights, **settings).to(device)
    except WeightsError as error:
        if weights is not None:
            raise
        name = _names(need)[0]
        raise WeightsError(
            f"{error}; a local file is given as --weights {name}=FILE, in Python as "
            f"Setup(weights={{{name!r}: FILE}})"
        ) from error


def _check_takes(need: Need, extractor: Extractor) -> None:
    wanted = "pictures" if need.sampling is None else "clips"
    if extractor.takes != wanted:
        raise ConfigError(
            f"{extractor.identity} takes {extractor.takes}, but the metric gives it {wanted}"
        )


def _check_alike(
    plan: _Plan, sides: Mapping[str, Material], passes: Mapping[Need, Pass], how: Setup
) -> None:
    if not plan.chosen.measure.has_real or "real" not in sides:
        return
    for need in plan.needs.values():
        origins = [side.origin(need, passes) for side in sides.values()]
        check_same(origins[0], origins[1], assumed=how.assume)


def _wanted(side: str, plans: Sequence[_Plan]) -> list[Need]:
    """The needs of a side; metrics without a real side ask nothing of it."""
    asked = [p for p in plans if side == "fake" or p.chosen.measure.has_real]
    return list(dict.fromkeys(need for plan in asked for need in plan.needs.values()))


def _computed(plan: _Plan, real: Side | None, fake: Side) -> list[Measurement]:
    """The numbers of a metric; one without a value if it cannot be computed."""
    chosen = plan.chosen
    with_real = real if chosen.measure.has_real else None
    try:
        found = chosen.measure.compute(
            None if with_real is None else _seen_by(plan, with_real),
            _seen_by(plan, fake),
            chosen.options,
        )
    except DataError as error:
        options = asdict(chosen.options)
        return [Measurement(metric=chosen.name, value=None, why=str(error), protocol=options)]
    seen = _seen_by(plan, fake)
    return [replace(each, metric=_named(plan, each, seen)) for each in found]


def _seen_by(plan: _Plan, side: Side) -> Side:
    """The side under the needs that the metric asks by."""
    features = {a: side.features[b] for a, b in plan.needs.items() if b in side.features}
    sums = {a: side.statistics[b] for a, b in plan.needs.items() if b in side.statistics}
    return replace(side, features=features, statistics=sums)


def _named(plan: _Plan, found: Measurement, fake: Side) -> str:
    """The name of a number: FID on other features than Inception's is not FID, and says so."""
    chosen = plan.chosen
    name = found.metric
    if chosen.name != chosen.metric:
        name = chosen.name if name == chosen.metric else f"{chosen.name}.{name}"
    replaced = [asked for asked, need in plan.needs.items() if asked != need]
    if not replaced:
        return name
    return f"{name} on {fake.either(replaced[0]).origin.extractor}"


def _keep(folder: Path, sides: Mapping[str, Side]) -> None:
    """Write every side's features and statistics, for use as a side of another comparison."""
    from beholder.eval.reference_files import write_features  # noqa: PLC0415
    from beholder.eval.statistics import Statistics  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    for name, side in sides.items():
        for features in side.features.values():
            origin = features.origin
            made = re.sub(r"[^\w.-]+", "_", f"{origin.extractor}-{origin.layer}")
            stem = f"{name}-{made}-{origin.digest[:8]}"
            labels = tuple(side.labels.get(k, "") for k in features.keys) if side.labels else ()
            labelled = replace(features, labels=labels)
            write_features(labelled, folder / f"{stem}.features.safetensors")
            Statistics.of(features).save(folder / f"{stem}.statistics.safetensors")


def versions(*, is_video: bool = False) -> dict[str, str]:
    """The versions of what takes part in a number; of videos also of what decodes them."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    found = {
        "beholder": beholder.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    if is_video:
        try:
            found["av"] = version("av")
        except PackageNotFoundError:  # arrays, GIF and frames need no decoder
            found["av"] = "not installed"
    return found
