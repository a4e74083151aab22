"""The calibration of a reward: kept beside its weights, refused with others, put to use."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from beholder.calibration import FILE, Calibration, Owner, ScoreCalibration, read_calibration
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.rewards._base import Reward, saved_name
from beholder.types import Scores

_LOG = logging.getLogger(__name__)


def owner_of(reward: Reward) -> Owner:
    """What a calibration of a reward is bound to; reads all its weights."""
    from beholder.rewards.scoring import weights_hash  # noqa: PLC0415  (it imports `load`)

    options = json.loads(json.dumps(reward.options()))
    return Owner(reward=saved_name(reward), options=options, weights=weights_hash(reward))


def owned(reward: Reward, calibration: Calibration) -> Calibration:
    """A calibration that was just found, bound to the reward it was found with."""
    return replace(calibration, owner=owner_of(reward))


def calibration_for(reward: Reward, path: str | Path) -> Calibration:
    """The calibration in a file.

    Raises WeightsError if it is none, or is that of other weights, options or another reward.
    """
    try:
        found = read_calibration(path)
    except DataError as error:
        raise WeightsError(str(error)) from error
    if found.owner is None:
        raise WeightsError(f"{path} does not say which reward it belongs to")
    differing = _differing(found.owner, owner_of(reward))
    if differing:
        raise WeightsError(
            f"{path} belongs to a reward of other {differing}, so it says nothing of this one; "
            "delete the file, then `beholder calibrate` makes a new one"
        )
    return found


def folder_calibration(
    reward: Reward, folder: Path, saved_options: Mapping[str, object]
) -> Calibration | None:
    """The calibration in the folder from which a reward was loaded.

    None if there is none, or if the reward was loaded with other options than the folder's.
    Raises WeightsError as `calibration_for` does.
    """
    path = folder / FILE
    is_changed = json.dumps(reward.options(), sort_keys=True) != json.dumps(
        saved_options, sort_keys=True
    )
    if is_changed or not path.is_file():
        return None
    return calibration_for(reward, path)


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Replace `calibration.json` whole; OSError if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(calibration.to_json(), encoding="utf-8")
    partial.replace(path)


def save_calibration(reward: Reward, folder: Path) -> None:
    """Write a reward's calibration into its folder, in place of another's.

    One that was found before the weights or options changed, such as by training, is left out.
    """
    calibration = reward.calibration
    if calibration is not None and calibration.owner is not None:
        differing = _differing(calibration.owner, owner_of(reward))
        if not differing:
            write_calibration(calibration, folder / FILE)
            return
        _LOG.warning("the calibration is left out: the %s changed since it was found", differing)
    (folder / FILE).unlink(missing_ok=True)


def keep_in_table(table: Path, rewards: Mapping[str, Reward]) -> None:
    """Write the calibrations of rewards beside their scores, so that a table answers for them."""
    for name, reward in rewards.items():
        if reward.calibration is not None:
            write_calibration(reward.calibration, table / "rewards" / name / FILE)


def win_probability(reward: Reward, scores: Scores) -> Scores:
    """Scores as win probabilities; see `Reward.win_probability`."""
    calibration = reward.calibration
    if calibration is None:
        raise ConfigError(
            f"reward {reward.card.name} has no calibration, or was loaded with other options than "
            "those it was found with; run `beholder calibrate`, or load it with calibration=FILE"
        )
    known = calibration.scores
    return replace(
        scores,
        total=_won(known["total"], scores.total),
        aspects={
            name: _won(known[name], values)
            for name, values in scores.aspects.items()
            if name in known
        },
        deviations={},
    )


def _won(calibration: ScoreCalibration, scores: Tensor) -> Tensor:
    try:
        found = calibration.win_probability(scores.detach().double().cpu().numpy())
    except DataError as error:
        raise ConfigError(str(error)) from error
    return torch.from_numpy(found).to(scores)


def _differing(calibrated: Owner, present: Owner) -> str:
    """What differs between two owners, as a word; "" if nothing does."""
    if calibrated.reward != present.reward:
        return "kind"
    if dict(calibrated.options) != dict(present.options):
        return "options"
    return "weights" if calibrated.weights != present.weights else ""
