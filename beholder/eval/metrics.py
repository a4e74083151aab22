"""The classical metrics for training loops: update, compute, reset, sync, as torchmetrics has them.

    fid = metric("fid").to(device)
    for batch in real: fid.update(batch, real=True)
    for batch in samples: fid.update(batch)
    fid.compute()                     # a number, or a dict of several
    fid.compute_measurements()        # with protocol, intervals, counts

The numbers are those of `beholder measure`: pictures become 8 bit and are resized on the CPU, as
files are. Several processes are merged when a value is asked for, so all of them have to ask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from typing_extensions import override

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Array, Features
from beholder.eval._gathered import Gathered
from beholder.eval._needed import Batch, Needed
from beholder.eval._torchmetrics import as_torchmetrics as as_torchmetrics
from beholder.eval.extractors import load
from beholder.eval.extractors._base import Extractor
from beholder.eval.measures._base import Measurement, Need, Side
from beholder.eval.measures._chosen import Chosen, choose

_SIDES = ("real", "fake")


def metric(
    name: str,
    extractor: Extractor | None = None,
    *,
    weights: str | Path | None = None,
    reset_real_features: bool = True,
    intervals: bool = False,
    process_group: object | None = None,
    **options: object,
) -> Metric:
    """A metric that takes pictures batch by batch.

    Args:
        name: one of `beholder.eval.measures.names()`.
        extractor: instead of the network that the metric asks for; if it has no layer of that
            name, its first is taken and the measurements are named after it.
        weights: a local file for that network; None fetches the published one.
        reset_real_features: whether `reset` forgets the real side too.
        intervals: keep every picture's features for the intervals, even where sums are enough.
        process_group: of torch.distributed; None is all processes.
        options: of the metric, such as resize="clean"; over its defaults.

    Raises:
        ConfigError: if the name or an option is unknown, the extractor takes clips where the metric
            takes pictures, or both an extractor and weights are given.
        WeightsError: if weights cannot be had.
    """
    if extractor is not None and weights is not None:
        raise ConfigError("give an extractor or the weights of the usual one, not both")
    chosen = choose(name, options)
    loaded: dict[object, Extractor] = {}
    networks: dict[Need, Extractor] = {}
    for need in chosen.measure.needs(chosen.options):
        key = (need.extractor, need.settings)
        if extractor is None and key not in loaded:
            loaded[key] = load(need.extractor, weights, **dict(need.settings))
        networks[need] = loaded[key] if extractor is None else extractor
    return Metric(
        chosen,
        networks,
        reset_real_features=reset_real_features,
        intervals=intervals,
        process_group=process_group,
    )


class Metric(nn.Module):
    """One metric of pictures, or clips, that come in batches; `metric` makes it.

    Its networks move with `to(device)`, but stay in their own type and in eval mode, and their
    weights are never part of `state_dict`. What came in is part of it after `persistent()`.

    Attributes:
        chosen: what is measured, with its settings.
        reset_real_features: whether `reset` forgets the real side too.
        process_group: whose processes are merged.
        update_count: how many batches came in since the last `reset`.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(
        self,
        chosen: Chosen,
        networks: Mapping[Need, Extractor],
        *,
        reset_real_features: bool = True,
        intervals: bool = False,
        process_group: object | None = None,
    ) -> None:
        super().__init__()
        self.chosen = chosen
        self.reset_real_features = reset_real_features
        self.process_group = process_group
        self._networks = Needed(networks, chosen.measure.takes)
        origins = self._networks.origins()
        as_sums = chosen.measure.from_sums and not intervals
        mark = "#0" if chosen.measure.takes == "videos" else ""
        self._sides = {side: Gathered(origins, as_sums=as_sums, mark=mark) for side in _SIDES}
        self._own: dict[str, Gathered] | None = None
        self._computed: list[Measurement] | None = None
        self._persistent = False
        self.update_count = 0

    @property
    def name(self) -> str:
        """Such as "fid"."""
        return self.chosen.name

    @property
    def higher_is_better(self) -> bool | None:
        """None if neither is better."""
        return {"higher": True, "lower": False}.get(self.chosen.measure.best)

    @property
    def update_called(self) -> bool:
        """Whether anything came in since the last `reset`."""
        return self.update_count > 0

    @property
    def is_synced(self) -> bool:
        """Whether this holds what came in to all processes."""
        return self._own is not None

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        return self._networks.device

    @torch.no_grad()
    def update(
        self,
        images: Batch,
        real: bool = False,
        labels: Sequence[str] = (),
    ) -> None:
        """Take in a batch.

        Args:
            images: pictures (b, 3, h, w), or clips (b, t, 3, h, w), uint8 or float in [0, 1], on
                any device; or a sequence of pictures, or clips, of any sizes.
            real: which side they are of. A metric without a real side leaves real ones out.
            labels: the class of each, for metrics that need it.

        Raises:
            DataError: if a picture cannot be read, or this holds the pictures of all processes.
        """
        self._take(images, labels, is_real=real)

    @override
    @torch.no_grad()
    def forward(
        self,
        images: Batch,
        real: bool = False,
        labels: Sequence[str] = (),
    ) -> Tensor | dict[str, Tensor]:
        """Take in a batch, and give the value of this batch alone.

        NaN where a batch has no value, as for all metrics that compare two sides.
        """
        values = self._take(images, labels, is_real=real)
        if self.chosen.measure.has_real or not values:
            return self._tensor(None)
        alone = self._sides["fake"].empty()
        alone.add(values, labels)
        try:
            return self._values(self._measured({"fake": alone}))
        except DataError:
            return self._tensor(None)

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The value of everything that came in, to all processes: float32, on `device`.

        A metric of several numbers gives them by name; NaN where one is not defined.
        Raises DataError if too little came in.
        """
        return self._values(self.compute_measurements())

    def compute_measurements(self) -> list[Measurement]:
        """The same in full precision, with protocol, intervals, counts and reasons.

        Raises DataError if too little came in.
        """
        if self._computed is None:
            with self.sync_context():
                found = self._computed = self._measured(self._sides)
            if self._is_distributed():
                self._computed = None  # another process may go on before all ask again
            return list(found)
        return list(self._computed)

    def reset(self) -> None:
        """Forget what came in; the real side only with `reset_real_features`."""
        if self.is_synced:
            self.unsync()
        self._computed, self.update_count = None, 0
        for name, side in self._sides.items():
            if name == "fake" or self.reset_real_features:
                self._sides[name] = side.empty()

    def merge_state(self, other: Metric) -> None:
        """Take in what came in to another metric, after what came in to this one.

        Raises DataError if it has other settings, or its features another origin, or if this holds
        the pictures of all processes.
        """
        self._check_own()
        if other.chosen != self.chosen:
            raise DataError(f"{other.name} with other settings cannot be merged into {self.name}")
        self._computed = None
        self.update_count += other.update_count
        self._sides = {name: side.merged(other._sides[name]) for name, side in self._sides.items()}

    def clone(self) -> Metric:
        """A copy that grows on its own."""
        return deepcopy(self)

    def sync(self, *, process_group: object | None = None, should_sync: bool = True) -> None:
        """Hold what came in to all processes, in the order of their ranks, until `unsync`.

        All processes have to call it. Without torch.distributed it does nothing.
        Raises DataError if it was called already.
        """
        if self.is_synced:
            raise DataError(f"{self.name} already holds the pictures of all processes")
        if not (should_sync and self._is_distributed()):
            return
        group = cast("Any", process_group or self.process_group)
        parts: list[Any] = [None] * dist.get_world_size(group)
        dist.all_gather_object(parts, self._sides, group=group)
        self._own, self._computed = self._sides, None
        self._sides = {
            name: reduce(Gathered.merged, (part[name] for part in parts)) for name in _SIDES
        }

    def unsync(self, *, should_unsync: bool = True) -> None:
        """Hold only what came in to this process again; DataError unless `sync` was called."""
        if not should_unsync:
            return
        if self._own is None:
            raise DataError(f"{self.name} holds the pictures of this process only; sync() first")
        self._sides, self._own, self._computed = self._own, None, None

    @contextmanager
    def sync_context(self) -> Iterator[None]:
        """Inside, this holds what came in to all processes."""
        was_synced = self.is_synced
        if not was_synced:
            self.sync()
        try:
            yield
        finally:
            if self.is_synced and not was_synced:
                self.unsync()

    def persistent(self, mode: bool = True) -> None:
        """Whether `state_dict` holds what came in; at first it does not."""
        self._persistent = mode

    def _is_distributed(self) -> bool:
        return dist.is_available() and dist.is_initialized()

    def _check_own(self) -> None:
        if self.is_synced:
            raise DataError(f"{self.name} holds the pictures of all processes; call unsync() first")

    def _take(self, images: Batch, labels: Sequence[str], *, is_real: bool) -> list[Array]:
        """Take in a batch, and give its features; none where its side has no part."""
        self._check_own()
        self.update_count += 1
        if is_real and not self.chosen.measure.has_real:
            return []
        self._computed = None
        values = self._networks.features(images)
        if values:
            self._sides["real" if is_real else "fake"].add(values, labels)
        return values

    def _measured(self, sides: Mapping[str, Gathered]) -> list[Measurement]:
        measure = self.chosen.measure
        real = self._side("real", sides) if measure.has_real else None
        found = measure.compute(real, self._side("fake", sides), self.chosen.options)
        stand_in = self._networks.stand_in()
        suffix = f" on {stand_in}" if stand_in else ""
        return [replace(each, metric=each.metric + suffix) for each in found]

    def _side(self, name: str, sides: Mapping[str, Gathered]) -> Side:
        if not sides[name].rows:
            raise DataError(
                f"nothing of the {name} side came in to {self.name} yet; "
                f"call update(images, real={name == 'real'})"
            )
        held = {need: sides[name].held(k) for k, need in enumerate(self._networks.needs)}
        return Side(
            name=name,
            features={n: f for n, f in held.items() if isinstance(f, Features)},
            statistics={n: s for n, s in held.items() if not isinstance(s, Features)},
            labels=sides[name].labels_by_key(),
        )

    def _values(self, found: Sequence[Measurement]) -> Tensor | dict[str, Tensor]:
        values = {each.metric: self._tensor(each.value) for each in found}
        return next(iter(values.values())) if len(values) == 1 else values

    def _tensor(self, value: float | None) -> Tensor:
        number = math.nan if value is None else value
        return torch.tensor(number, dtype=torch.float32, device=self.device)

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Metric:
        """Networks follow to another device, but never to another type."""
        self._networks.to(fn(torch.zeros(0, device=self.device)).device)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @override
    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._persistent:
            for name, side in self._sides.items():
                for part, values in side.arrays().items():
                    destination[f"{prefix}{name}.{part}"] = torch.from_numpy(values.copy())

    @override
    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name, side in self._sides.items():
            start = f"{prefix}{name}."
            mine = [key for key in state_dict if key.startswith(start)]
            if mine:
                side.restore(
                    {key.removeprefix(start): state_dict.pop(key).cpu().numpy() for key in mine}
                )
                self.update_count, self._computed = max(1, self.update_count), None
        super()._load_from_state_dict(state_dict, prefix, *rest)
