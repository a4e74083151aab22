"""What orchestrators ask."""

from tests.serving.clients import client_of, context_of
from tests.serving.fakes import FakeBackend


def test_a_server_that_loads_lives_but_is_not_ready_and_says_why() -> None:
    client = client_of(context_of(FakeBackend(unready_because="loading")))
    assert client.get("/healthz").json() == {"status": "ok"}
    response = client.get("/readyz")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.json()["error"] == {"code": "not-ready", "message": "loading"}


def test_a_server_that_can_score_is_ready() -> None:
    assert client_of(context_of()).get("/readyz").json() == {"status": "ok"}


def test_counts_come_as_prometheus_reads_them() -> None:
    context = context_of()
    context.metrics.items("light", 3)
    response = client_of(context).get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'beholder_items_total{reward="light"} 3.0' in response.text.splitlines()
