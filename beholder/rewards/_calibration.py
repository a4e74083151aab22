"""The calibration of a reward: kept beside its weights, refused with others, put to use."""

from __future__ import annotations

import json
import logging
import os
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
_SET_ASIDE = {"options", "precision"}
"""What a reward may be loaded with otherwise than its folder says."""


def owner_of(reward: Reward) -> Owner:
    """What a calibration of a reward is bound to; reads all its weights."""
    from beholder.rewards.scoring import weights_hash  # noqa: PLC0415  (it imports `load`)

    return Owner(
        reward=saved_name(reward),
        options=json.loads(json.dumps(reward.deciding())),
        weights=weights_hash(reward),
        precision=_precision(reward),
    )


def owned(reward: Reward, calibration: Calibration) -> Calibration:
    """A calibration that was just found, bound to the reward it was found with."""
    return replace(calibration, owner=owner_of(reward))


def calibration_for(reward: Reward, path: str | Path) -> Calibration:
    """The calibration in a file that was given for a reward, as the reward is now.

    Raises WeightsError if it is none, or is that of other weights, options or precision, or of
    another reward.
    """
    found, owner = _read(path)
    differing = _differing(owner, owner_of(reward))
    if differing:
        raise WeightsError(
            f"{path} belongs to a reward of other {differing}, so it says nothing of this one; "
            f"{_remedy(differing, owner)}"
        )
    return found


def folder_calibration(reward: Reward) -> Calibration | None:
    """The calibration in the folder from which a reward was loaded.

    None if there is none. It is None too, with a warning, if the reward has other options or
    another precision than it was found with.

    Raises WeightsError if the file is no calibration, or that of other weights.
    """
    if reward.folder is None or not (path := reward.folder / FILE).is_file():
        return None
    found, owner = _read(path)
    differing = _differing(owner, owner_of(reward))
    if differing in _SET_ASIDE:
        _LOG.warning(
            "%s is not used: it belongs to a reward of other %s; %s",
            path,
            differing,
            _remedy(differing, owner),
        )
        return None
    if differing:
        raise WeightsError(
            f"{path} belongs to a reward of other {differing}, so it says nothing of this one; "
            "delete the file, then `beholder calibrate` makes a new one"
        )
    return found


def after_cast(reward: Reward) -> Calibration | None:
    """The calibration of a reward whose weights may have been cast; None if it is another's now."""
    found = reward.calibration
    if found is None or found.owner is None:
        return found
    differing = _differing(found.owner, owner_of(reward))
    if not differing:
        return found
    _LOG.warning(
        "the calibration of %s is not used: it belongs to a reward of other %s; %s",
        reward.card.name,
        differing,
        _remedy(differing, found.owner),
    )
    return None


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Replace `calibration.json` whole, flushed to the disk; OSError if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(calibration.to_json())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def save_calibration(reward: Reward, folder: Path) -> None:
    """Write a reward's calibration into its folder, in place of another's.

    A reward without one leaves that which lies there already, if it is of the very same weights,
    options and precision: training that is done saves again what it saved. One that was found
    before the weights or options changed is left out, with a warning.
    """
    path, owner = folder / FILE, owner_of(reward) if _has_any(reward, folder) else None
    if owner is None:
        return
    if reward.calibration is not None and reward.calibration.owner is not None:
        differing = _differing(reward.calibration.owner, owner)
        if not differing:
            write_calibration(reward.calibration, path)
            return
        _LOG.warning("the calibration is left out: the %s changed since it was found", differing)
    if path.is_file() and (why := _strange(path, owner)):
        _LOG.warning("%s is removed: %s", path, why)
        path.unlink()


def _has_any(reward: Reward, folder: Path) -> bool:
    return reward.calibration is not None or (folder / FILE).is_file()


def _strange(path: Path, owner: Owner) -> str:
    """Why a calibration is not of the owner; "" if it is."""
    try:
        differing = _differing(_read(path)[1], owner)
    except WeightsError as error:
        return str(error)
    return differing and f"it belongs to a reward of other {differing}; calibrate this one anew"


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
            f"reward {reward.card.name} has no calibration, or was loaded with other options or in "
            "another precision than it was found with; run `beholder calibrate`, or load it with "
            "calibration=FILE"
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


def _read(path: str | Path) -> tuple[Calibration, Owner]:
    """A calibration and whose it is; WeightsError if it is none or does not say whose."""
    try:
        found = read_calibration(path)
    except DataError as error:
        raise WeightsError(str(error)) from error
    if found.owner is None:
        raise WeightsError(f"{path} does not say which reward it belongs to")
    return found, found.owner


def _differing(calibrated: Owner, present: Owner) -> str:
    """What differs between two owners, as a word; "" if nothing does."""
    if calibrated.reward != present.reward:
        return "kind"
    if dict(calibrated.options) != dict(present.options):
        return "options"
    if calibrated.precision and calibrated.precision != present.precision:
        return "precision"
    return "weights" if calibrated.weights != present.weights else ""


def _remedy(differing: str, calibrated: Owner) -> str:
    """What to do about a calibration that does not fit."""
    anew = "or make one of these with `beholder calibrate"
    if differing == "precision":
        return f"load the reward in {calibrated.precision}, {anew} --dtype … --out FILE`"
    if differing == "options":
        options = json.dumps(dict(calibrated.options), sort_keys=True)
        return f"load the reward with {options}, {anew} --set … --out FILE`"
    return "make one of this reward with `beholder calibrate … --out FILE`"


def _precision(reward: Reward) -> str:
    floats = {t.dtype for t in reward.state_dict().values() if t.is_floating_point()}
    return ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in floats))
