"""Metrics as torchmetrics' own, for `MetricCollection` and Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from beholder.errors import MissingDependencyError

if TYPE_CHECKING:
    import torchmetrics
    from torch import Tensor

    from beholder.eval._needed import Batch
    from beholder.eval.metrics import Metric


def as_torchmetrics(metric: Metric) -> torchmetrics.Metric:
    """The same metric as a `torchmetrics.Metric`, which `MetricCollection` asks for.

    It holds `metric` as `inner`: what comes in to one is in the other, and processes are merged as
    `inner` does it. Raises MissingDependencyError if torchmetrics is not installed.
    """
    found: torchmetrics.Metric = _wrapper(metric.name, metric.higher_is_better)(metric)
    return found


@lru_cache(maxsize=64)
def _wrapper(name: str, higher_is_better: bool | None) -> Any:
    """The class of a metric: torchmetrics reads what it is from classes, not instances."""
    try:
        from torchmetrics import Metric as Base  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "as_torchmetrics needs torchmetrics: pip install torchmetrics"
        ) from error
    facts = {
        "higher_is_better": higher_is_better,
        "is_differentiable": False,
        "full_state_update": False,
    }
    return type(name, (_Wrapping, Base), facts)


class _Wrapping:
    """What a wrapped metric does; torchmetrics' class comes after it."""

    inner: Metric
    _computed: object
    _is_synced: bool

    def __init__(self, inner: Metric) -> None:
        super().__init__()
        self.inner = inner

    def __reduce__(self) -> tuple[Any, ...]:
        return as_torchmetrics, (self.inner,)

    @property
    def update_called(self) -> bool:
        """Whether anything came in since the last `reset`."""
        return self.inner.update_called

    @property
    def update_count(self) -> int:
        """How many batches came in since the last `reset`."""
        return self.inner.update_count

    def update(self, images: Batch, real: bool = False, labels: Sequence[str] = ()) -> None:
        """Take in a batch."""
        self.inner.update(images, real, labels)

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The value of everything that came in, to all processes."""
        return self.inner.compute()

    def forward(
        self, images: Batch, real: bool = False, labels: Sequence[str] = ()
    ) -> Tensor | dict[str, Tensor]:
        """Take in a batch, and give the value of it alone, NaN where it has none."""
        self._computed = None
        found: Tensor | dict[str, Tensor] = self.inner(images, real, labels)
        return found

    def reset(self) -> None:
        """Forget what came in."""
        super().reset()  # type: ignore[misc]
        self.inner.reset()

    def merge_state(self, incoming_state: Any) -> None:
        """Take in what came in to another one."""
        self._computed = None
        self.inner.merge_state(incoming_state.inner)

    def persistent(self, mode: bool = False) -> None:
        """Whether `state_dict` holds what came in."""
        self.inner.persistent(mode)

    def sync(self, *_: object, should_sync: bool = True, **__: object) -> None:
        """Hold what came in to all processes."""
        self.inner.sync(should_sync=should_sync)
        self._is_synced = self.inner.is_synced

    def unsync(self, should_unsync: bool = True) -> None:
        """Hold what came in to this process only again."""
        self.inner.unsync(should_unsync=should_unsync)
        self._is_synced = self.inner.is_synced
