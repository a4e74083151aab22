"""The numbers of a run: one JSON line a moment in `metrics.jsonl`, and TensorBoard's events."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from beholder.training.fit.checkpoints import write_text


class Journal:
    """Writes numbers by step; keys are room/name, such as "train/loss".

    What an interrupted run wrote after the step that it goes on from is dropped: those steps will
    be done again.

    Args:
        folder: gets `metrics.jsonl` and `tensorboard/`.
        step: the last step that counts.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (costs a second)

        path = folder / "metrics.jsonl"
        kept = [line for line in read_journal(path) if line["step"] <= step]
        write_text(path, "".join(f"{json.dumps(line)}\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add numbers; one that is not finite becomes null in the JSON."""
        plain = {k: v if math.isfinite(v) else None for k, v in values.items()}
        self._file.write(f"{json.dumps({'step': step, **plain})}\n")
        self._file.flush()
        for key, value in values.items():
            self._events.add_scalar(key, value, step)

    def close(self) -> None:
        """Flush both."""
        self._file.close()
        self._events.close()


def read_journal(path: Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`, "step" among the keys; a last line cut short is left out."""
    lines: list[dict[str, float]] = []
    if not path.exists():
        return lines
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines
