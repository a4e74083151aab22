import pytest

from beholder.serving.refusals import NotReadyError
from beholder.serving.served import UnknownRewardError, check_ready, served
from tests.serving.fakes import FakeBackend


def test_the_first_is_meant_where_none_is_named() -> None:
    backend = FakeBackend(names=("a", "b"))
    assert [served(backend, name).name for name in (None, "a", "b")] == ["a", "a", "b"]


def test_another_name_is_not_found_and_not_repeated() -> None:
    with pytest.raises(UnknownRewardError, match="served: a, b") as caught:
        served(FakeBackend(names=("a", "b")), "<script>")
    assert (caught.value.status, caught.value.code) == (404, "unknown-reward")
    assert "script" not in str(caught.value)


@pytest.mark.parametrize("name", [None, "a"])
def test_before_any_is_loaded_no_name_is_wrong(name: str | None) -> None:
    with pytest.raises(NotReadyError, match="loading") as caught:
        served(FakeBackend(names=(), unready_because="loading"), name)
    assert caught.value.retry_after == 1


def test_what_drains_is_not_ready() -> None:
    check_ready(FakeBackend())
    with pytest.raises(NotReadyError, match="draining"):
        check_ready(FakeBackend(unready_because="draining"))
