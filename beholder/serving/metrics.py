"""What the server counts, in the text that Prometheus reads.

Values of labels are bounded whatever clients send: a route is a template such as
"/v1/rewards/{name}", and a label that has had many values calls every further one "other".
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

OTHER = "other"
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_VALUES = 100  # of one label
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class _Label:
    """The values that a label has had, in bounded number."""

    def __init__(self) -> None:
        self._seen: set[str] = {OTHER}

    def __call__(self, value: str) -> str:
        """The value, or `OTHER` if there were too many before it."""
        if value not in self._seen:
            if len(self._seen) > _VALUES:
                return OTHER
            self._seen.add(value)
        return value


class Metrics:
    """Counts of one server, in a registry of its own; methods may be called from any thread."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._route, self._reward, self._code = _Label(), _Label(), _Label()
        self._requests = Counter(
            "beholder_http_requests",
            "Requests that were answered, by template of the address and status.",
            ["route", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "beholder_http_request_duration_seconds",
            "From the header of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._rejections = Counter(
            "beholder_http_rejections",
            "Requests that were refused as a whole, by the code of the error.",
            ["code"],
            registry=registry,
        )
        self._add_scoring(registry)

    def _add_scoring(self, registry: CollectorRegistry) -> None:
        self._items = Counter(
            "beholder_items",
            "Pictures that a reward was asked about.",
            ["reward"],
            registry=registry,
        )
        self._faults = Counter(
            "beholder_item_faults",
            "Pictures that a reward gave no score, by the code of the fault.",
            ["reward", "code"],
            registry=registry,
        )
        self._batch_items = Histogram(
            "beholder_batch_items",
            "Pictures that were scored in one pass.",
            ["reward"],
            buckets=_SIZES,
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "beholder_batch_duration_seconds",
            "Of one pass of a reward over a batch.",
            ["reward"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._waited_seconds = Histogram(
            "beholder_batch_wait_seconds",
            "How long the picture of a batch that waited longest had waited.",
            ["reward"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._deaths = Counter(
            "beholder_worker_deaths", "Worker processes that ended unasked.", registry=registry
        )
        self._depth = Gauge(
            "beholder_queue_items", "Pictures accepted and not yet answered.", registry=registry
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is a template of the application, never the path that came."""
        known = self._route(route)
        self._requests.labels(known, str(status)).inc()
        self._request_seconds.labels(known).observe(seconds)

    def rejected(self, code: str) -> None:
        """Count a request that was refused as a whole, by the code of its `RefusalError`."""
        self._rejections.labels(self._code(code)).inc()

    def items(self, reward: str, count: int) -> None:
        """Count pictures that a served reward was asked about."""
        self._items.labels(self._reward(reward)).inc(count)

    def faults(self, reward: str, code: str) -> None:
        """Count a picture that a served reward gave no score, by the code of its `Fault`."""
        self._faults.labels(self._reward(reward), self._code(code)).inc()

    def batch(self, reward: str, size: int, seconds: float, waited: float) -> None:
        """Count a batch: its pictures, how long it took, how long its oldest picture had waited."""
        known = self._reward(reward)
        self._batch_items.labels(known).observe(size)
        self._batch_seconds.labels(known).observe(seconds)
        self._waited_seconds.labels(known).observe(waited)

    def worker_died(self) -> None:
        """Count a worker process that ended unasked."""
        self._deaths.inc()

    def depth(self, count: Callable[[], float]) -> None:
        """Tell how to find out how many pictures are accepted and not yet answered."""
        self._depth.set_function(count)

    def render(self) -> tuple[bytes, str]:
        """Everything, and its content type."""
        return generate_latest(self._registry), _CONTENT_TYPE
