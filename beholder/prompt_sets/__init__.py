"""Sets of prompts to render and to rank checkpoints on: by name, or from a file as published.

The folder is the registry: `load_prompts("starter")` reads `prompt_sets/starter.py`, and
`load_prompts("vbench:color")` the part "color" of `prompt_sets/vbench.py`. Anything else is a file,
a folder or a data set (`beholder.prompt_sets._files` lists the formats).
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path

from beholder.prompt_sets._files import file_rows
from beholder.prompt_sets._rows import PromptRow as PromptRow
from beholder.prompt_sets._rows import PromptSet as PromptSet
from beholder.prompt_sets._rows import gathered


def names() -> list[str]:
    """Names that `load_prompts` knows: the public modules of this folder."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_"))


def load_prompts(spec: str | os.PathLike[str]) -> PromptSet:
    """The distinct prompts of a set in its order, with their categories and further columns.

    Args:
        spec: one of `names()`, or a part of it as "vbench:color"; a text file with one prompt a
            line; a `.csv`, `.tsv`, `.jsonl` or `.parquet` table with a prompt column; a `.json`
            list; a folder of these; or a data set on the hub, "user/name" or "user/name:split".
            A file goes before a set of the same name.

    Raises:
        DataError: if there is nothing there, no prompt in it, or it is malformed.
        ConfigError: if a set has no such part.
        MissingDependencyError: if the package that a set comes with is not installed.
    """
    text = os.fspath(spec)
    name, _, part = text.partition(":")
    if name in names() and not Path(text).exists():
        rows: list[PromptRow] = importlib.import_module(f"{__name__}.{name}").read(part)
        return gathered(text, rows)
    return gathered(text, file_rows(text))
