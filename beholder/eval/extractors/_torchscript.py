"""TorchScript files, which hold a program and its weights: loading one runs that program's code.

TorchScript is no Python, but it reads and writes files where it is told to: load only files that
come from somebody you trust.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from beholder.errors import WeightsError


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive of TorchScript; False for what is no such file at all."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def load_script(path: Path) -> Any:
    """The program of a TorchScript file, in eval mode on the CPU; WeightsError if it has none."""
    if not is_torchscript(path):
        raise WeightsError(f"{path} is no TorchScript file; make one with torch.jit.save")
    try:
        with warnings.catch_warnings():  # torch calls its own format deprecated; files remain
            warnings.simplefilter("ignore")
            return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        reason = next(iter(str(error).splitlines()), "no reason given")
        raise WeightsError(f"{path} is no intact TorchScript file: {reason}") from error


def script_state(path: Path) -> dict[str, Tensor]:
    """The weights of a TorchScript file by name; what is no floating point is left out."""
    state: dict[str, Tensor] = load_script(path).state_dict()
    return {name: value for name, value in state.items() if value.is_floating_point()}
