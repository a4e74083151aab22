"""How sure a reward is of a pair: its margins as how likely people agree, and what is a tie.

A reward says which of two pictures is better; a curve says how likely people say so too. Rewards
that were trained as log-odds of pairs mean sigmoid(margin); for others it is found on judgements.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from beholder.calibration import FILE, Curve
from beholder.errors import ConfigError, DataError
from beholder.eval.calibration import fit_temperature, margins, score_pairs
from beholder.training._tuning.signal import Signal
from beholder.training.run_folder import write_json
from beholder.types import Preference

CURVE = "curve.json"
"""How sure a run's reward was when it began, in the run's folder."""


def calibrated(signal: Signal, preferences: Sequence[Preference], aspect: str) -> float:
    """The temperature of a reward on judgements of an aspect; see `fit_temperature`.

    Pairs with a picture that the reward cannot score are left out.
    """
    judged = [p for p in preferences if aspect in p.p_first]
    margin = pair_margins(signal, judged).double().numpy()
    p_first = np.array([p.p_first[aspect] for p in judged], dtype=np.float64)
    known = np.isfinite(margin)
    return fit_temperature(margin[known], p_first[known])


def pair_margins(signal: Signal, preferences: Sequence[Preference]) -> Float[Tensor, " e"]:
    """The first picture's score less the second's; NaN where one has none."""
    if not preferences:
        return torch.zeros(0)
    return torch.from_numpy(margins(score_pairs(signal.reward, preferences), signal.aspect))


def own_curve(signal: Signal) -> Curve:
    """The curve in the reward's calibration; sigmoid(margin) if it has none.

    Raises ConfigError if it has one, but not of the aspect that is learned from.
    """
    calibration = signal.reward.calibration
    if calibration is None:
        return Curve()
    if signal.aspect not in calibration.scores:
        why = calibration.left_out.get(signal.aspect, "it was not asked for")
        raise ConfigError(
            f"the reward's calibration leaves {signal.aspect} out ({why}); set temperature, or "
            "name judgements as calibration"
        )
    return calibration.scores[signal.aspect].curve


def kept_curve(run: Path) -> Curve | None:
    """The curve that a run began with; None if it keeps none.

    Runs of older versions keep it as `calibration.json`, and of it the temperature alone.
    Raises ConfigError if the file holds no curve.
    """
    path = next((run / name for name in (CURVE, FILE) if (run / name).is_file()), None)
    if path is None:
        return None
    try:
        return _curve_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, DataError) as error:
        raise ConfigError(
            f"{path} does not hold the curve that this run began with ({error}); put it back, or "
            "begin another run"
        ) from error


def _curve_of(kept: Any) -> Curve:
    """The curve whose fields were written; those that are not there are as `Curve` has them."""
    known = {each.name for each in fields(Curve)}
    if not isinstance(kept, Mapping) or not kept or not known.issuperset(kept):
        raise DataError(f"expected some of {', '.join(sorted(known))}")
    whole = {**asdict(Curve()), **kept}
    return Curve(
        temperature=float(whole["temperature"]),
        knots=tuple(map(float, whole["knots"])),
        levels=tuple(map(float, whole["levels"])),
        tie_threshold=float(whole["tie_threshold"]),
    )


def keep_curve(run: Path, curve: Curve) -> Curve:
    """The curve, written into a run's folder, so that the run goes on as it began."""
    write_json(run / CURVE, asdict(curve))
    return curve


def decided(curve: Curve, margin: Tensor) -> Tensor:
    """How likely the first picture is preferred, exactly 1/2 where a tie is predicted, float32."""
    found = curve.decided(margin.detach().double().cpu().numpy())
    return torch.from_numpy(np.asarray(found)).float().to(margin.device)
