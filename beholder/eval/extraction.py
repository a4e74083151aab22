"""Features of many pictures or videos: each decoded once for all extractors, none lost silently."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeGuard, TypeVar

import numpy as np
import torch
from torch import Tensor

from beholder._ahead import AHEAD_BYTES, ahead
from beholder.errors import ConfigError, ItemError
from beholder.eval._content import content_of
from beholder.eval._feature_cache import FeatureCache
from beholder.eval._features import Array, Features
from beholder.eval._growing import GrowingMatrix
from beholder.eval._origin import Origin
from beholder.eval._precision import full_precision
from beholder.eval.extractors._base import Extractor
from beholder.eval.measures._base import Sampling
from beholder.inputs import Row

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one extractor shall give of every row.

    Attributes:
        extractor: in eval mode, on its device.
        layers: of it, those that are wanted.
        sampling: how clips are taken from a video; None for pictures.
        decode: what `Origin.decode` says.
    """

    extractor: Extractor
    layers: tuple[str, ...]
    sampling: Sampling | None = None
    decode: str = "alpha=white"

    def origin(self, layer: str) -> Origin:
        """What makes the features of a layer."""
        clips = "" if self.sampling is None else self.sampling.name
        return self.extractor.origin(layer, self.decode, clips)


Views = Sequence[Tensor] | ItemError
"""What one pass sees of a row: a picture, or the clips of a video, prepared; or why nothing."""

Read = Callable[[Row, Sequence[Pass]], Sequence[Views]]
"""Decodes a row once, and prepares it for each pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A row without features, and why.

    Attributes:
        key: of the row.
        code: a stable word, such as "truncated".
        reason: one line for people.
    """

    key: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The features of one side.

    Attributes:
        features: pass -> layer -> features, rows in the order of the source.
        rows: how many pictures or videos there were.
        failures: those that have no features, or not of every pass.
        cached: rows whose features were all known.
        labels: key of a row of features -> class, where the source knows it.
    """

    features: Sequence[Mapping[str, Features]]
    rows: int
    failures: Sequence[Failure]
    cached: int
    labels: Mapping[str, str]


def extract(
    rows: Iterable[Row],
    passes: Sequence[Pass],
    read: Read,
    *,
    batch_size: int = 32,
    cache: Path | None = None,
    progress: Callable[[int], object] = lambda count: None,
) -> Extraction:
    """Features of every row by every pass.

    A row that cannot be read is a failure with its reason and never stops the others. A row that
    gives a pass no clip, or is damaged, has no features there.

    Args:
        rows: from `read_inputs` or `read_video_rows`.
        passes: what is wanted; all see one decoding of a row.
        read: decodes and prepares, in threads.
        batch_size: pictures or clips in one pass of a network.
        cache: a folder where features are kept by content; None keeps nothing.
        progress: called with the number of rows done since the last call.

    Raises:
        ConfigError: if `batch_size` is below 1 or a layer is unknown.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size must be 1 or more, got {batch_size}")
    for each in passes:
        each.extractor.check_layers(each.layers)
    run = _Run([_Gathered(each, cache) for each in passes], read, batch_size, cache is not None)
    loaded = ahead(run.load, rows, most=batch_size, size=lambda one: one.nbytes)
    try:
        for batch in _filled((one for _, one in loaded), batch_size):
            run.add(batch)
            progress(len(batch))
            batch.clear()  # the next is filled while this one would still be held
    finally:
        run.flush()
    return run.result()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A row as the threads leave it: for each pass what is known of it, or what it sees."""

    row: Row
    content: bytes | None
    known: Sequence[Mapping[str, Array] | None]
    views: Sequence[Views | None]

    @property
    def nbytes(self) -> int:
        return sum(view.nbytes for views in self.views if _is_seen(views) for view in views)

    @property
    def clips(self) -> int:
        """Of the pass that has most."""
        return max((len(views) for views in self.views if _is_seen(views)), default=0)


class _Gathered:
    """The features of one pass, as they come."""

    def __init__(self, wanted: Pass, cache: Path | None) -> None:
        self.wanted = wanted
        self.values = {layer: GrowingMatrix() for layer in wanted.layers}
        self.keys: list[str] = []
        self._caches = (
            {layer: FeatureCache(cache, wanted.origin(layer)) for layer in wanted.layers}
            if cache is not None
            else {}
        )

    def known(self, content: bytes | None) -> dict[str, Array] | None:
        if content is None or not self._caches:
            return None
        found = {layer: cache.get(content) for layer, cache in self._caches.items()}
        whole = {layer: values for layer, values in found.items() if values is not None}
        return whole if len(whole) == len(found) else None

    def keep(self, content: bytes | None, values: Mapping[str, Array]) -> None:
        if content is not None:
            for layer, cache in self._caches.items():
                if cache.get(content) is None:
                    cache.put(content, values[layer])

    def add(self, row: Row, values: Mapping[str, Array]) -> None:
        for layer, matrix in self.values.items():
            matrix.append(values[layer])
        count = len(values[self.wanted.layers[0]])
        several = self.wanted.sampling is not None
        self.keys += [f"{row.key}#{k}" if several else row.key for k in range(count)]

    def flush(self) -> None:
        for cache in self._caches.values():
            cache.flush()

    def features(self) -> dict[str, Features]:
        return {
            layer: Features(matrix.array(), self.wanted.origin(layer), tuple(self.keys))
            for layer, matrix in self.values.items()
        }


@dataclass(slots=True)
class _Run:
    """Loads rows in threads, runs the networks batch by batch, keeps count."""

    gathered: Sequence[_Gathered]
    read: Read
    batch_size: int
    is_cached: bool
    rows: int = 0
    cached: int = 0
    failures: list[Failure] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def load(self, row: Row) -> _Loaded:
        content = content_of(row.image) if self.is_cached else None
        known = [each.known(content) for each in self.gathered]
        missing = [k for k, found in enumerate(known) if found is None]
        views: list[Views | None] = [None] * len(known)
        read = self.read(row, [self.gathered[k].wanted for k in missing]) if missing else []
        for k, seen in zip(missing, read, strict=True):
            views[k] = seen
        return _Loaded(row, content, known, views)

    def add(self, batch: Sequence[_Loaded]) -> None:
        self.rows += len(batch)
        self.cached += sum(all(found is not None for found in one.known) for one in batch)
        failed: dict[str, ItemError] = {}
        for k, gathered in enumerate(self.gathered):
            values = self._values(gathered.wanted, [one.views[k] for one in batch])
            for one, fresh in zip(batch, values, strict=True):
                self._take(gathered, one, one.known[k] or fresh, one.views[k], failed)
        self.failures += [
            Failure(key=key, code=error.code, reason=str(error)) for key, error in failed.items()
        ]

    def _take(
        self,
        gathered: _Gathered,
        one: _Loaded,
        values: Mapping[str, Array] | None,
        views: Views | None,
        failed: dict[str, ItemError],
    ) -> None:
        fault = views if isinstance(views, ItemError) else _fault(values)
        if fault is not None:
            failed.setdefault(one.row.key, fault)
        elif values is not None:
            gathered.keep(one.content, values)
            before = len(gathered.keys)
            gathered.add(one.row, values)
            if (label := label_of(one.row)) is not None:
                self.labels |= dict.fromkeys(gathered.keys[before:], label)

    def _values(self, wanted: Pass, views: Sequence[Views | None]) -> list[dict[str, Array] | None]:
        """The features of each row's clips; None where there is nothing to compute."""
        clips = [v for seen in views if _is_seen(seen) for v in seen]
        made = iter(self._forward(wanted, clips))
        found: list[dict[str, Array] | None] = []
        for seen in views:
            rows = list(islice(made, len(seen))) if _is_seen(seen) else []
            found.append(_stacked(rows, wanted.layers) if rows else None)
        return found

    def _forward(self, wanted: Pass, clips: Sequence[Tensor]) -> Iterator[dict[str, Array]]:
        device = next(iter(wanted.extractor.state_dict().values()), torch.empty(0)).device
        for part in _batched(clips, self.batch_size):
            stack = torch.stack(part).to(device)
            with torch.inference_mode(), full_precision(device.type):
                found = wanted.extractor(stack, wanted.layers)
            arrays = {layer: values.float().cpu().numpy() for layer, values in found.items()}
            for at in range(len(part)):
                yield {layer: values[at] for layer, values in arrays.items()}

    def flush(self) -> None:
        for each in self.gathered:
            each.flush()

    def result(self) -> Extraction:
        return Extraction(
            features=[each.features() for each in self.gathered],
            rows=self.rows,
            failures=self.failures,
            cached=self.cached,
            labels=self.labels,
        )


def label_of(row: Row) -> str | None:
    """The class of a row, from its column "label" or "class"; lists and the like are none."""
    for column in ("label", "class"):
        value = row.extra.get(column)
        if isinstance(value, str | int) and value != "":
            return str(value)
    return None


def _fault(values: Mapping[str, Array] | None) -> ItemError | None:
    bad = [layer for layer, rows in (values or {}).items() if not np.isfinite(rows).all()]
    if not bad:
        return None
    return ItemError("non-finite", f"features of {', '.join(bad)} are NaN or infinite")


def _is_seen(views: Views | None) -> TypeGuard[Sequence[Tensor]]:
    return views is not None and not isinstance(views, ItemError)


def _stacked(rows: Sequence[Mapping[str, Array]], layers: Sequence[str]) -> dict[str, Array]:
    return {layer: np.stack([row[layer] for row in rows]) for layer in layers}


def _filled(rows: Iterable[_Loaded], size: int) -> Iterator[list[_Loaded]]:
    """Lists of up to `size` rows, fewer where their clips are more or take much memory."""
    batch: list[_Loaded] = []
    for one in rows:
        batch.append(one)
        clips = sum(each.clips for each in batch)
        memory = sum(each.nbytes for each in batch)
        if len(batch) == size or clips >= size or memory > AHEAD_BYTES:
            del one
            yield batch
            batch = []
    if batch:
        yield batch


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    taken = iter(items)
    while batch := list(islice(taken, size)):
        yield batch
