"""What Prometheus reads is what was counted, in bounded number and well-formed."""

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from beholder.serving.metrics import Metrics


def families(metrics: Metrics) -> dict[str, Metric]:
    text, _ = metrics.render()
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def value(metrics: Metrics, sample: str, **labels: str) -> float:
    found = [
        one.value
        for family in families(metrics).values()
        for one in family.samples
        if one.name == sample and one.labels == labels
    ]
    assert len(found) == 1, (sample, labels, found)
    return float(found[0])


def used() -> Metrics:
    metrics = Metrics()
    metrics.answered("/v1/score", 200, 0.03)
    metrics.answered("/v1/score", 200, 0.3)
    metrics.answered("/v1/score", 429, 0.001)
    metrics.rejected("queue-full")
    metrics.items("mps", 5)
    metrics.faults("mps", "truncated")
    metrics.batch("mps", 5, 0.02, 0.004)
    metrics.worker_died()
    metrics.depth(lambda: 7)
    return metrics


def test_counts_are_what_was_told() -> None:
    metrics = used()
    requests = "beholder_http_requests_total"
    assert value(metrics, requests, route="/v1/score", status="200") == 2
    assert value(metrics, requests, route="/v1/score", status="429") == 1
    assert value(metrics, "beholder_http_rejections_total", code="queue-full") == 1
    assert value(metrics, "beholder_items_total", reward="mps") == 5
    assert value(metrics, "beholder_item_faults_total", reward="mps", code="truncated") == 1
    assert value(metrics, "beholder_worker_deaths_total") == 1
    assert value(metrics, "beholder_queue_items") == 7


def test_times_and_sizes_fall_into_buckets() -> None:
    metrics = used()
    seconds = "beholder_http_request_duration_seconds"
    assert value(metrics, f"{seconds}_bucket", route="/v1/score", le="0.05") == 2
    assert value(metrics, f"{seconds}_sum", route="/v1/score") == pytest.approx(0.331)
    assert value(metrics, "beholder_batch_items_bucket", reward="mps", le="4.0") == 0
    assert value(metrics, "beholder_batch_items_bucket", reward="mps", le="8.0") == 1
    assert value(metrics, "beholder_batch_duration_seconds_sum", reward="mps") == 0.02
    assert value(metrics, "beholder_batch_wait_seconds_sum", reward="mps") == 0.004


def test_names_follow_the_conventions_of_prometheus() -> None:
    """Base units in the name, `_total` on counters alone, and a sentence that explains each."""
    for name, family in families(used()).items():
        assert name.startswith(("beholder_", "process_")), name
        assert family.documentation.endswith("."), name
        assert not name.endswith(("_ms", "_milliseconds", "_count", "_sum")), name
        totals = [s.name for s in family.samples if s.name.endswith("_total")]
        assert bool(totals) == (family.type == "counter"), name


def test_a_label_has_bounded_values_whatever_comes() -> None:
    metrics = Metrics()
    for k in range(300):
        metrics.rejected(f"code-{k}")
    samples = families(metrics)["beholder_http_rejections"].samples
    counts = {s.labels["code"]: s.value for s in samples if s.name.endswith("_total")}
    assert len(counts) == 101
    assert counts["other"] == 200
    assert counts["code-0"] == 1


def test_text_that_would_break_a_line_is_escaped() -> None:
    metrics = Metrics()
    metrics.rejected('a"b\nc\\d')
    assert value(metrics, "beholder_http_rejections_total", code='a"b\nc\\d') == 1


def test_two_servers_of_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.worker_died()
    assert value(second, "beholder_worker_deaths_total") == 0


def test_it_says_which_format_it_is() -> None:
    assert Metrics().render()[1] == "text/plain; version=0.0.4; charset=utf-8"
