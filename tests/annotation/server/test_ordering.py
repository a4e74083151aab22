import pytest

from beholder.annotation.mapping import Side, TaskSides
from beholder.annotation.server.ordering import order_by_confidence
from beholder.errors import AnnotationError
from tests.annotation.server.memory import Memory


def tasks(memory: Memory) -> dict[str, TaskSides]:
    """One pair that a reward chose on either side, and one that nobody chose."""
    chosen: tuple[tuple[str, Side, dict[str, str]], ...] = (
        ("k1", "a", {"p_first": "0.8", "confidence": "0.3"}),
        ("k2", "b", {"p_first": "0.8", "confidence": "0.1"}),
        ("k3", "a", {}),
    )
    rows = [
        TaskSides(task_key=key, image_a="a", image_b="b", left_is=side, extra=extra)
        for key, side, extra in chosen
    ]
    for row in rows:
        memory.add_task(1, {"task_key": row.task_key})
    return {row.task_key: row for row in rows}


def test_chosen_pairs_get_a_hidden_prediction_once() -> None:
    memory = Memory(projects={1: {}})
    asked = tasks(memory)
    assert order_by_confidence(memory.connection(), 1, "u1", asked) == 2
    assert order_by_confidence(memory.connection(), 1, "u1", asked) == 0
    stored = [(p.task, p.score, p.result[0]["value"]["choices"]) for p in memory.predictions]
    assert stored == [(1, 0.3, ["left"]), (2, 0.1, ["right"])]
    assert memory.projects[1] == {"model_version": "u1", "sampling": "Uncertainty sampling"}


def test_without_chosen_pairs_the_order_stays() -> None:
    memory = Memory(projects={1: {}})
    asked = {key: task for key, task in tasks(memory).items() if key == "k3"}
    assert order_by_confidence(memory.connection(), 1, "u1", asked) == 0
    assert memory.projects[1] == {}


def test_a_prediction_that_the_server_dropped_is_told() -> None:
    memory = Memory(projects={1: {}}, dropped_predictions=1)
    with pytest.raises(AnnotationError, match="the server kept 1 of 2 predictions"):
        order_by_confidence(memory.connection(), 1, "u1", tasks(memory))
