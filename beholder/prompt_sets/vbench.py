"""VBench's 946 prompts of 16 dimensions (Huang et al., 2024, CVPR), from its installed package.

The package itself is not imported, which would want a GPU: `VBench_full_info.json` is read beside
it. A prompt is filed under the first of its dimensions, and "vbench:imaging_quality" gives all that
have the dimension. Two prompts are there twice, under two dimensions. They were written for videos,
so those of motion ask more of a picture than it can show.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

from beholder.errors import ConfigError, DataError, MissingDependencyError
from beholder.prompt_sets._files import records_rows
from beholder.prompt_sets._rows import PromptRow

_FILE = "vbench/VBench_full_info.json"


def read(part: str) -> list[PromptRow]:
    """Prompts of one dimension, or of all if `part` is "".

    Raises MissingDependencyError without the package, ConfigError for another dimension.
    """
    path = _path()
    records = json.loads(path.read_text(encoding="utf-8"))
    known = list(dict.fromkeys(name for record in records for name in record["dimension"]))
    if part and part not in known:
        raise ConfigError(f"vbench has no dimension {part!r}; known: {', '.join(known)}")
    asked = [record for record in records if not part or part in record["dimension"]]
    rows = list(records_rows(asked, str(path)))
    return [PromptRow(row.prompt, part or row.category, row.further) for row in rows]


def _path() -> Path:
    try:
        distribution = metadata.distribution("vbench")
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            "the prompts of vbench come with its package; its other needs are not wanted: "
            "pip install --no-deps vbench"
        ) from error
    path = Path(str(distribution.locate_file(_FILE)))
    if not path.is_file():
        raise DataError(f"vbench {distribution.version} has no {_FILE}; install vbench 0.1.5")
    return path
