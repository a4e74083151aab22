"""One side of a comparison: pictures, videos, features or statistics, as `Side`s of features."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

from torch import Tensor

from beholder._pixels import Alpha
from beholder.errors import DataError, ImageError, ItemError, VideoError
from beholder.eval._features import Features
from beholder.eval._origin import UNKNOWN, Origin
from beholder.eval.extraction import Failure, Pass, Read, Views, extract
from beholder.eval.extractors import inception
from beholder.eval.measures._base import Need, Sampling, Side
from beholder.eval.reference_files import is_reference, read_reference
from beholder.eval.statistics import Statistics
from beholder.eval.video import clips_of
from beholder.images import ImageSource, read_image
from beholder.inputs import Inputs, Row, read_inputs
from beholder.videos import VideoSource, read_video_rows

Source = str | os.PathLike[str] | Inputs | Sequence[object]
"""What `read_inputs` or `read_video_rows` takes, a file of features or statistics, rows, or a list
of pictures or videos of any kind."""
Reference = Mapping[str, Features | Statistics]
"""What a file holds of each layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSummary:
    """What a side was made of.

    Attributes:
        source: as a person named it.
        kind: "pictures", "videos", or "reference" for a file of features or statistics.
        rows: pictures or videos in it; None where a file does not say.
        used: rows that gave features to every metric.
        cached: rows whose features were known from an earlier run.
        failures: the others, each with its reason.
    """

    source: str
    kind: str
    rows: int | None
    used: int | None
    cached: int = 0
    failures: Sequence[Failure] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A side before anything was computed.

    Attributes:
        source: as a person named it.
        reference: what a file of features or statistics holds; None for pictures and videos.
        inputs: the rows of pictures or videos.
        is_video: whether these are videos.
    """

    source: str
    reference: Reference | None = None
    inputs: Inputs | None = None
    is_video: bool = False

    def origin(self, need: Need, passes: Mapping[Need, Pass]) -> Origin:
        """What makes, or made, the features of a need."""
        layer = _layer(need, passes)
        if self.reference is None:
            return passes[need].origin(layer)
        return _held(self.reference, need, layer, self.source).origin

    def part(self, share: int, shares: int) -> Material:
        """Every `shares`-th row, from row `share` on; a reference stays whole."""
        inputs = self.inputs
        if inputs is None or shares == 1:
            return self
        part = replace(
            inputs,
            rows=lambda: islice(inputs.rows(), share, None, shares),
            count=lambda: len(range(share, len(inputs), shares)),
        )
        return replace(self, inputs=part)


def open_side(source: Source, *, is_video: bool) -> Material:
    """A source, looked at but not yet read.

    Raises DataError if there is nothing in it.
    """
    if isinstance(source, Inputs):
        return Material(source=source.source, inputs=source, is_video=is_video)
    if not isinstance(source, str | os.PathLike):
        return Material(source="a list", inputs=_listed(source), is_video=is_video)
    name = os.fspath(source)
    if not Path(name).exists() and not glob.has_magic(name.replace("{", "[")):
        raise DataError(
            f"{name} does not exist; give pictures or videos, or a file of features or statistics"
        )
    if is_reference(Path(source)):
        return Material(source=name, reference=read_reference(Path(source)))
    inputs = read_video_rows(source) if is_video else read_inputs(source)
    return Material(source=name, inputs=inputs, is_video=is_video)


def _listed(items: Sequence[object]) -> Inputs:
    """Pictures or videos of any kind as rows, named by their place and path."""
    if not items:
        raise DataError("a side is an empty list; give it pictures or videos")

    def rows() -> Iterator[Row]:
        for number, item in enumerate(items):
            path = os.fspath(item) if isinstance(item, str | os.PathLike) else ""
            key = f"{number}: {path}" if path else str(number)
            yield Row(key=key, image=cast("ImageSource", item), prompt=None, name=path or key)

    return Inputs("a list", has_prompts=False, rows=rows, count=lambda: len(items))


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracting:
    """How features are computed.

    Attributes:
        batch_size: pictures or clips in one pass of a network.
        cache: folder where features are kept by content; None keeps none.
        alpha: what shows behind transparent pixels.
        progress: called with the number of rows done since the last call.
    """

    batch_size: int = 32
    cache: Path | None = None
    alpha: Alpha = "white"
    progress: Callable[[int], object] = field(default=lambda count: None)


def side_of(
    material: Material, needs: Sequence[Need], passes: Mapping[Need, Pass], how: Extracting
) -> tuple[Side, SideSummary]:
    """The features of a side for every need, and what became of its rows.

    `passes` says what makes each need of pictures or videos.
    Raises DataError if a reference lacks a need.
    """
    if material.reference is not None:
        held = {
            need: _held(material.reference, need, _layer(need, passes), material.source)
            for need in needs
        }
        for need, each in held.items():
            _check_width(need, each, passes, material.source)
        return _from_reference(held, material.source)
    wanted = [passes[need] for need in needs]
    distinct = list(dict.fromkeys(map(_identity, wanted)))
    merged = [_merged([each for each in wanted if _identity(each) == key]) for key in distinct]
    read: Read = partial(read_video if material.is_video else read_picture, alpha=how.alpha)
    found = extract(
        material.inputs or (),
        merged,
        read,
        batch_size=how.batch_size,
        cache=how.cache,
        progress=how.progress,
    )
    features = {
        need: found.features[distinct.index(_identity(each))][each.layers[0]]
        for need, each in zip(needs, wanted, strict=True)
    }
    summary = SideSummary(
        source=material.source,
        kind="videos" if material.is_video else "pictures",
        rows=found.rows,
        used=found.rows - len(found.failures),
        cached=found.cached,
        failures=found.failures,
    )
    return Side(name=material.source, features=features, labels=found.labels), summary


def read_picture(row: Row, passes: Sequence[Pass], *, alpha: Alpha) -> list[Views]:
    """What each pass sees of a picture, decoded once."""
    if row.image is None:
        return [ImageError("no-picture", "the manifest names no picture in this row")] * len(passes)
    try:
        pixels = _eight_bit(read_image(row.image, alpha=alpha))
        return [[each.extractor.prepare(pixels)] for each in passes]
    except ItemError as error:
        # anew, since its traceback would keep the picture in memory
        return [ImageError(error.code, str(error))] * len(passes)


def read_video(row: Row, passes: Sequence[Pass], *, alpha: Alpha) -> list[Views]:
    """The clips that each pass sees of a video, decoded once for all."""
    if row.image is None:
        return [VideoError("no-video", "the manifest names no video in this row")] * len(passes)
    samplings = [each.sampling or Sampling() for each in passes]

    def use(number: int, frames: Tensor) -> Tensor:
        return passes[number].extractor.prepare(frames)

    return list(clips_of(cast("VideoSource", row.image), samplings, use, alpha=alpha))


def _eight_bit(picture: Tensor) -> Tensor:
    return (picture * 255).round().byte() if picture.is_floating_point() else picture


def _identity(each: Pass) -> tuple[int, Sampling | None, str]:
    """Passes that differ in their layers only are one."""
    return id(each.extractor), each.sampling, each.decode


def _merged(alike: Sequence[Pass]) -> Pass:
    layers = dict.fromkeys(layer for each in alike for layer in each.layers)
    return replace(alike[0], layers=tuple(layers))


def _layer(need: Need, passes: Mapping[Need, Pass]) -> str:
    """The layer of a need; "" if it leaves that to a network that nobody loaded."""
    return passes[need].layers[0] if need in passes else need.layer


def _from_reference(
    held: Mapping[Need, Features | Statistics], source: str
) -> tuple[Side, SideSummary]:
    features = {need: each for need, each in held.items() if isinstance(each, Features)}
    sums = {need: each for need, each in held.items() if isinstance(each, Statistics)}
    counts = [len(each.values) for each in features.values()] + [s.count for s in sums.values()]
    rows = counts[0] if counts else None
    labels = {
        key: label
        for each in features.values()
        for key, label in zip(each.keys, each.labels, strict=False)
        if label
    }
    return (
        Side(name=source, features=features, statistics=sums, labels=labels),
        SideSummary(source=source, kind="reference", rows=rows, used=rows),
    )


def _held(reference: Reference, need: Need, layer: str, source: str) -> Features | Statistics:
    """What a file holds of a layer; the only thing in it, if nobody says of which layer."""
    if layer in reference:
        return reference[layer]
    if len(reference) == 1 and (not layer or UNKNOWN in reference):
        return next(iter(reference.values()))
    raise DataError(
        f"{source} holds {', '.join(reference)}, but the layer {layer} of {need.extractor} "
        f"is needed; give pictures, or a file of that layer"
    )


def _check_width(
    need: Need, held: Features | Statistics, passes: Mapping[Need, Pass], source: str
) -> None:
    """Refuse a file whose rows have another width than the network gives."""
    layer = _layer(need, passes)
    layers = passes[need].extractor.layers if need in passes else inception.LAYERS
    known = need in passes or need.extractor == "inception"
    width = held.values.shape[1] if isinstance(held, Features) else held.dims
    if known and layer in layers and width != layers[layer]:
        raise DataError(
            f"{source} has {width} values a row, but the layer {layer} of {need.extractor} has "
            f"{layers[layer]}; give features of that layer"
        )


def check_any(side: Side, summary: SideSummary) -> None:
    """Raise DataError, with the first reason, if no row of a side gave any features."""
    if side.statistics or any(len(each.values) for each in side.features.values()):
        return
    first = summary.failures[0] if summary.failures else None
    why = f"; the first: {first.key}: {first.reason}" if first else ""
    raise DataError(f"none of the {summary.rows} rows of {summary.source} could be used{why}")
