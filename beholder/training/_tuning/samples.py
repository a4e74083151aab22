"""Pictures of the validation prompts after each evaluation: `samples/step-00000025/000.webp`.

Every evaluation has the same prompts and seeds, so that a row shows what tuning changed.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from beholder._page.document import write_whole

QUALITY = 95
"""Of WebP: a quarter of the bytes of a lossless file, and no difference that an eye finds."""

_FOLDER, _PROMPTS = "samples", "prompts.json"
_STEP, _ROW = re.compile(r"step-(\d{8,})"), re.compile(r"(\d{3,})\.webp")


def write_samples(
    folder: Path, step: int, rows: Sequence[int], pixels: Float[Tensor, "b 3 h w"]
) -> None:
    """Write pictures in [0, 1] of these rows of the prompts after `step`, each file whole.

    Several processes write their own rows of a step at the same time. A value that is not finite
    is black.
    """
    levels = pixels.detach().float().nan_to_num(0.0).clamp(0, 1).mul(255).round().to(torch.uint8)
    for row, picture in zip(rows, levels.permute(0, 2, 3, 1).cpu(), strict=True):
        write_whole(sample_path(folder, step, row), _webp(picture))


def sample_path(folder: Path, step: int, row: int) -> Path:
    """Where the run in `folder` keeps the picture of a prompt after a step."""
    return folder / _FOLDER / f"step-{step:08d}" / f"{row:03d}.webp"


def read_samples(folder: Path) -> dict[int, list[Path]]:
    """Step -> a path for each row, in order of steps; a picture that is missing has its path too.

    All steps have as many rows: those of the fullest, or of the prompts if there are more.
    """
    found = {step: _rows(path) for step, path in _steps(folder / _FOLDER)}
    most = max([-1, *(row for rows in found.values() for row in rows)]) + 1
    count = max(most, len(read_sample_prompts(folder)))
    return {
        step: [sample_path(folder, step, row) for row in range(count)]
        for step in sorted(found)
        if found[step]
    }


def read_sample_prompts(folder: Path) -> list[str]:
    """The prompts of the rows; none where they were not written or are damaged."""
    try:
        found = json.loads((folder / _FOLDER / _PROMPTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [str(prompt) for prompt in found] if isinstance(found, list) else []


def chosen_steps(steps: Sequence[int], best: int | None, most: int) -> list[int]:
    """At most `most` (3 or more) of the steps: the first, the last, the best, others between."""
    if len(steps) <= most:
        return list(steps)
    last = len(steps) - 1
    places = [round(k * last / (most - 1)) for k in range(most)]
    at = next((k for k, step in enumerate(steps) if step == best), 0)
    if at not in places:
        nearest = min(range(1, most - 1), key=lambda k: abs(places[k] - at))
        places[nearest] = at
    return [steps[place] for place in places]


def _steps(folder: Path) -> list[tuple[int, Path]]:
    entries = folder.iterdir() if folder.is_dir() else ()
    matches = ((_STEP.fullmatch(path.name), path) for path in entries)
    return [(int(match[1]), path) for match, path in matches if match and path.is_dir()]


def _rows(folder: Path) -> list[int]:
    matches = (_ROW.fullmatch(path.name) for path in folder.iterdir())
    return [int(match[1]) for match in matches if match]


def _webp(picture: Tensor) -> bytes:
    from PIL import Image  # noqa: PLC0415  (costs a fifth of a second)

    encoded = io.BytesIO()
    Image.fromarray(picture.numpy()).save(encoded, "WEBP", quality=QUALITY, method=4)
    return encoded.getvalue()
