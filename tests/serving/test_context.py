"""What a request carries with it."""

import threading

from beholder.serving.context import items_of, request_id, set_items, set_request_id
from tests.serving.clients import context_of


def test_a_request_has_one_id_noted_or_made() -> None:
    scope: dict[str, object] = {}
    made = request_id(scope)
    assert len(made) == 32
    assert request_id(scope) == made != request_id({})
    set_request_id(scope, "mine")
    assert request_id(scope) == "mine"


def test_items_are_noted_once_they_are_counted() -> None:
    scope: dict[str, object] = {}
    assert items_of(scope) == 0
    set_items(scope, 7)
    assert items_of(scope) == 7


def test_large_bodies_have_few_threads_however_many_come() -> None:
    before = set(threading.enumerate())  # other tests leave pools of their own
    threads = context_of().threads
    gate = threading.Event()
    for _ in range(20):
        threads.submit(gate.wait)
    alive = [t for t in set(threading.enumerate()) - before if t.name.startswith("bodies")]
    gate.set()
    threads.shutdown()
    assert 0 < len(alive) <= 2
