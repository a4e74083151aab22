"""What the server is told: secrets stay out of logs, defaults are safe."""

from beholder.serving.settings import Access, PoolSettings, RequestLimits, WorkerSettings


def test_tokens_do_not_show_in_logs_and_tracebacks() -> None:
    said = repr(Access(token="first-secret", label_studio_token="second-secret"))
    assert "secret" not in said


def test_nobody_but_this_machine_is_heard_unless_told_and_nothing_is_fetched() -> None:
    access = Access()
    assert (access.host, access.urls, access.label_studio) == ("127.0.0.1", (), "")


def test_one_request_fits_the_queue_and_all_bodies_have_room_for_several() -> None:
    limits, pool = RequestLimits(), PoolSettings(workers=(WorkerSettings(rewards={}),))
    assert limits.items <= pool.queue
    assert limits.body <= pool.queue_bytes
    assert 8 * limits.body <= limits.bodies
