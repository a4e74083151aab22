"""Each refusal has a status of its own, which clients tell apart."""

import re
from http import HTTPStatus

import pytest

from beholder.errors import BeholderError
from beholder.serving import refusals
from beholder.serving.refusals import QueueFullError, RefusalError

KINDS = [k for k in vars(refusals).values() if isinstance(k, type) and issubclass(k, RefusalError)]
REFUSALS = [kind for kind in KINDS if kind is not RefusalError]


def test_statuses_and_codes_tell_refusals_apart() -> None:
    assert len(REFUSALS) == 9
    for values in ([k.status for k in REFUSALS], [k.code for k in REFUSALS]):
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_a_refusal_has_a_known_status_and_a_code_for_programs(kind: type[RefusalError]) -> None:
    assert HTTPStatus(kind.status) >= 400
    assert re.fullmatch(r"[a-z-]+", kind.code)


def test_a_refusal_may_say_when_to_come_again() -> None:
    assert QueueFullError("full", retry_after=2.5).retry_after == 2.5
    assert QueueFullError("full").retry_after is None
    assert isinstance(QueueFullError("full"), BeholderError)
