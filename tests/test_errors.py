import inspect

import pytest

from beholder import errors

KINDS = [kind for kind in vars(errors).values() if inspect.isclass(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_caught_as_one_of_ours(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.BeholderError)


def test_errors_are_also_the_kind_that_python_users_expect() -> None:
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.WeightsError, ValueError)
    assert issubclass(errors.MissingDependencyError, ImportError)


def test_an_image_error_has_a_code_beside_its_text() -> None:
    error = errors.ImageError("truncated", "half a file")
    assert (error.code, str(error)) == ("truncated", "half a file")
    assert isinstance(error, errors.DataError)
