import pytest
import torch

from beholder.errors import BeholderError, ConfigError, DataError, WeightsError
from beholder.training._rendering.failures import OF_PROMPTS, refuse_others, told


@pytest.mark.parametrize(
    "error",
    [RuntimeError("too\nmuch"), IndexError("of an embedding"), DataError("x"), ValueError("x")],
)
def test_what_a_prompt_may_cause_passes(error: Exception) -> None:
    assert isinstance(error, OF_PROMPTS)
    refuse_others(error, "base", 2)


@pytest.mark.parametrize("kind", [AssertionError, AttributeError, KeyError, TypeError, OSError])
def test_what_no_prompt_causes_is_not_among_them(kind: type[Exception]) -> None:
    assert not issubclass(kind, OF_PROMPTS)


@pytest.mark.parametrize(
    "error", [ConfigError("x"), WeightsError("x"), NotImplementedError("x"), RecursionError("x")]
)
def test_settings_and_programming_errors_go_on_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error), match=r"^x$"):
        refuse_others(error, "base", 2)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to\nallocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_is_one_line_with_the_remedy(error: Exception) -> None:
    with pytest.raises(BeholderError, match=r"no memory for 4 pictures.*smaller batch") as raised:
        refuse_others(error, "base", 4)
    assert "\n" not in str(raised.value)


def test_a_device_that_failed_is_one_line() -> None:
    with pytest.raises(BeholderError, match="the device failed while base drew: RuntimeError"):
        refuse_others(RuntimeError("CUDA error: device-side assert\ntriggered"), "base", 1)


def test_an_error_is_told_in_a_line() -> None:
    assert told(RuntimeError("too\nmuch")) == "RuntimeError: too much"
