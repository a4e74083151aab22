"""The scales of an ensemble's members, measured on the pipeline's own pictures."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from beholder.rewards import Reward
from beholder.rewards.ensemble import uncalibrated
from beholder.training._tuning.validation import Validation
from beholder.training.fit.checkpoints import write_text
from beholder.training.fit.processes import Processes

_LOG = logging.getLogger(__name__)
_FILE = "scales.json"


def settle_scales(
    folder: Path,
    rewards: Sequence[Reward],
    validation: Validation,
    processes: Processes,
) -> None:
    """Give every ensemble without scales those of the pipeline's own pictures of the validation.

    `scales.json` keeps them for a run that goes on. Every process measures the same. Raises
    DataError if a member gives all pictures the same score.
    """
    path = folder / _FILE
    missing = [ensemble for reward in rewards for ensemble in uncalibrated(reward)]
    if not missing:
        return
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        for ensemble, scales in zip(missing, kept, strict=True):
            ensemble.scales = {name: [mean, std] for name, (mean, std) in scales.items()}
        return
    pictures, prompts = validation.pictures()
    for ensemble in missing:
        ensemble.calibrate(pictures, prompts)
        _LOG.info("scales of the ensemble on the pipeline's own pictures: %s", ensemble.scales)
    processes.wait()
    if processes.is_main:
        write_text(path, json.dumps([ensemble.scales for ensemble in missing], indent=2) + "\n")
