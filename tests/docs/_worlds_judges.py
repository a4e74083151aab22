"""Worlds with judges whose answers are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit

import beholder
from beholder.annotation.records.dataset import read_preferences, write_preferences
from beholder.eval.calibration import margins
from beholder.eval.preference import score_pairs
from tests.docs.worlds import Place, quickstart

_SURE = 2.0  # judges agree with a margin of one standard deviation seven times in eight
_ROUNDS = 4  # in which every pair is asked, as an isotonic curve needs 200 of them


def agreeing(place: Place) -> None:
    """The world `quickstart`, whose judges agree with both rewards, so that these calibrate."""
    place.once("agreeing", _agree)


def _agree(place: Place) -> None:
    quickstart(place)
    folder = Path("quickstart/judgements")
    said = [p for part in ("train", "test") for p in read_preferences(folder / part)]
    asked = [replace(p, key=f"{p.key}-{at}") for at in range(_ROUNDS) for p in said]
    judges = [
        score_pairs(beholder.load(f"quickstart/{name}"), asked)
        for name in ("runs/mine", "baseline")
    ]
    draw = np.random.default_rng(0)
    answers: list[dict[str, float]] = [{} for _ in asked]
    for aspect in judges[0].answered():
        seen = [margins(judge, judge.scored_by(aspect)) for judge in judges]
        likely = expit(_SURE * sum(margin / margin.std() for margin in seen))
        for row, p_first in enumerate((draw.random(len(asked)) < likely).tolist()):
            answers[row][aspect] = float(p_first)
    judged = [replace(p, p_first=given) for p, given in zip(asked, answers, strict=True)]
    write_preferences(judged, folder / "test" / "preferences")
