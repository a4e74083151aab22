"""A scoring package in a process and an environment of its own, asked from outside.

    .venv-peers/bin/python -m benchmarks._peers_child "hpsv2" FOLDER

The model is made with random weights, which are written to FOLDER/weights.pt as the package
publishes them. Then every line that comes in, {"paths": […], "prompts": […]}, is answered by one,
{"seconds": CPU seconds, "scores": […]}; the first answer, before any question, is
{"package": its name and version}. Only torch and the package are imported, nothing of beholder.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO


def main(peer: str, folder: Path) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # packages print while they load and score
    warnings.simplefilter("ignore")
    import torch

    from benchmarks._peers_models import PEERS

    torch.set_num_threads(1)
    torch.manual_seed(0)
    made = PEERS[peer]
    score = made.make(folder)
    _say(answers, {"package": f"{made.package} {version(made.package)}"})
    for line in sys.stdin:
        _say(answers, _answer(score, json.loads(line)))


def _answer(score: Any, asked: dict[str, list[str]]) -> dict[str, Any]:
    start = time.process_time()
    scores = score(asked["paths"], asked["prompts"])
    seconds = time.process_time() - start
    return {"seconds": seconds, "scores": [float(value) for value in scores]}


def _say(answers: TextIO, told: dict[str, Any]) -> None:
    answers.write(json.dumps(told) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
