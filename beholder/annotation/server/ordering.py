"""What a reward thinks of chosen pairs, on the server: for the order only, hidden from people.

Predictions that are shown fill the form in, and people accept them; so projects are made with
`show_collab_predictions` off. Label Studio then serves the lowest score first.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from beholder.annotation.mapping import AnyTask, TaskSides
from beholder.annotation.server.connection import Connection
from beholder.annotation.server.remote import ONCE
from beholder.errors import AnnotationError

_IN_REQUEST = 1000


def order_by_confidence(
    connection: Connection, number: int, version: str, tasks: Mapping[str, AnyTask]
) -> int:
    """How many predictions were sent, for chosen pairs that have none of this version yet.

    Raises AnnotationError if the server keeps fewer than were sent; it drops bad ones in silence.
    """
    chosen = {k: t for k, t in tasks.items() if isinstance(t, TaskSides) and "p_first" in t.extra}
    if not chosen:
        return 0
    known, have = connection.known_keys(number), _predicted(connection, number)
    numbers = {key: known[key][0] for key in chosen}
    rows = [
        _prediction(t, numbers[k], version) for k, t in chosen.items() if numbers[k] not in have
    ]
    left = iter(rows)
    projects = connection.client.projects
    while batch := list(islice(left, _IN_REQUEST)):
        answer = connection.write(
            "sending predictions",
            projects.import_predictions,
            number,
            request=batch,
            request_options=ONCE,
        )
        if answer.created != len(batch):
            raise AnnotationError(
                f"the server kept {answer.created} of {len(batch)} predictions; push again"
            )
    sampling = {"model_version": version, "sampling": "Uncertainty sampling"}
    connection.write("ordering the tasks", projects.update, number, **sampling)
    return len(rows)


def _predicted(connection: Connection, number: int) -> set[int]:
    """Ids of the tasks that have a prediction."""
    predictions = connection.client.predictions
    return {
        p.task for p in connection.read("listing predictions", predictions.list, project=number)
    }


def _prediction(task: TaskSides, number: int, version: str) -> dict[str, object]:
    is_left = (float(task.extra["p_first"]) >= 0.5) == (task.left_is == "a")
    choice = {"choices": ["left" if is_left else "right"]}
    item = {"from_name": "overall", "to_name": "prompt", "type": "choices", "value": choice}
    score = float(task.extra["confidence"])
    return {"task": number, "result": [item], "score": score, "model_version": version}
