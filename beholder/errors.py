"""Every exception that this package raises on purpose."""


class BeholderError(Exception):
    """Base of all errors raised on purpose; its text is one line that a user can act on."""


class ConfigError(BeholderError, ValueError):
    """A configuration value is unknown, missing or out of range."""


class DataError(BeholderError, ValueError):
    """A record, picture or tensor breaks the contract of the function that it was given to."""


class ItemError(DataError):
    """One picture or video cannot be used; the others can.

    Attributes:
        code: a short stable word such as "truncated" or "too-large", for counting failures.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ImageError(ItemError):
    """One picture cannot be read."""


class VideoError(ItemError):
    """One video cannot be read, or gives no clip."""


class WeightsError(BeholderError, ValueError):
    """A weights file is missing, damaged, unsafe or does not fit the model."""


class AnnotationError(BeholderError, ValueError):
    """An annotation export or server breaks its contract."""


class ServerError(BeholderError):
    """A reward server gave no answer, or none that can be used.

    Not a ValueError: no picture is to blame, and whoever scores many ends rather than noting it as
    the fault of each.

    Attributes:
        status: of HTTP; 0 if nothing was answered.
        code: as the server says, such as "queue-full"; "" if it says nothing.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class MissingDependencyError(BeholderError, ImportError):
    """An optional dependency is needed but not installed."""
