"""What a pipeline raises: whether it says something of the prompt, or of machine and program."""

from __future__ import annotations

import torch

from beholder.errors import BeholderError, DataError

OF_PROMPTS = (ArithmeticError, IndexError, RuntimeError, ValueError)
"""What a prompt may cause, such as an IndexError of an embedding; nothing else is caught."""

_DEVICE_FAILED = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "HIP error", "NCCL error")
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def refuse_others(error: Exception, name: str, pictures: int) -> None:
    """Raise unless the error may be the prompt's own.

    Args:
        error: one of `OF_PROMPTS`.
        name: of the checkpoint that draws.
        pictures: of the call.

    Raises:
        BeholderError: if memory ran out or the device failed; or the error itself, if it is of
            what is asked of every picture, as every one of these but DataError.
        NotImplementedError, RecursionError: the error itself, of the program.
    """
    is_ours = isinstance(error, BeholderError) and not isinstance(error, DataError)
    if is_ours or isinstance(error, (NotImplementedError, RecursionError)):
        raise error
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(each in text for each in _NO_MEMORY):
        raise BeholderError(
            f"{name} has no memory for {pictures} pictures at a time: {told(error)}; give a "
            "smaller batch or size, or a shorter dtype, and the run goes on where it stopped"
        ) from error
    if any(each in text for each in _DEVICE_FAILED):
        raise BeholderError(f"the device failed while {name} drew: {told(error)}") from error


def told(error: Exception) -> str:
    """The kind of an error and what it says, in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
