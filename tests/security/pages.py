"""Every page that this package writes, from texts that a test chooses; each part of it is there."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from beholder.annotation.trust.agreement import agreement
from beholder.annotation.trust.agreement_page import write_agreement_page, write_rating_page
from beholder.annotation.trust.rating_agreement import rating_agreement
from beholder.demo.judging import Judgement, Judges, Verdict
from beholder.demo.panels import cards_panel, pair_panel, picture_panel, style
from beholder.errors import ImageError
from beholder.eval.calibration_page import write_calibration_page
from beholder.eval.filter_card import filter_card
from beholder.eval.report import ExplainedPicture, Report, ScoredPicture, write_report
from beholder.images import ImageSource
from beholder.rewards import RewardCard
from beholder.training._curve.page import write_curve_page
from beholder.training._tuning.page import write_run_report
from beholder.types import Comparison, Explanation, Point, Rating, WordRelevance
from tests.calibrations import calibration
from tests.eval._filter_card.sample import sample as sample_card
from tests.eval._report.album_sample import album_report
from tests.eval.test_report import hostile_report
from tests.rewards.tinies import richhf
from tests.security.poison import written
from tests.training._curve.test_page import found as sample_curve
from tests.training._tuning.runs import PROMPTS, rising, run

Change = Callable[..., Any]
"""What is done to every text: `poison.poisoned` or `poison.plain`."""

PIXELS = torch.zeros(3, 8, 8, dtype=torch.uint8)
_ANSWERS = frozenset({"ranks", "flags", "values", "points"})
_GUARDED = '<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="img-src data:">'
_PEOPLE = ("anna", "ben", "cleo")


def report(folder: Path, change: Change) -> Path:
    """Every section at once: what one report shows, and another lacks, is taken from the other."""
    album = album_report(folder, 4)
    lacking = {f.name for f in fields(Report) if not getattr(album, f.name)}
    rest = hostile_report()
    whole = replace(album, **{name: getattr(rest, name) for name in lacking - {"explanations"}})
    gone = ScoredPicture(image=folder / "gone.png", prompt="a fox", total=1.0, name="gone")
    whole = replace(whole, worst=[*whole.worst, gone], explanations=[_explained()])
    return write_report(change(whole), folder / "report.html")


def ranking(folder: Path, change: Change) -> Path:
    """A report whose ranking is not a leaderboard's."""
    rest = replace(hostile_report(), explanations=[_explained()])
    return write_report(change(rest), folder / "ranking.html")


def _explained() -> ExplainedPicture:
    words = [WordRelevance("a fox", 0, 5, 0.5, kept=True)]
    said = Explanation("alignment", 1.0, words, torch.full((2, 2), 0.25))
    return ExplainedPicture(image=PIXELS, prompt="a fox", explanations=[said])


def card(folder: Path, change: Change) -> Path:
    gone = ImageError("missing", change("no such file"))
    pictures: list[ImageSource] = [np.zeros((6, 8, 3), np.uint8), gone]
    return written(folder, "card", filter_card(change(sample_card(pictures))))


def calibrated(folder: Path, change: Change) -> Path:
    found = replace(calibration(), left_out={"style": "12 pairs"}, judgements="judgements/")
    told = replace(found, **{n: change(getattr(found, n)) for n in ("left_out", "judgements")})
    scores = {change(name): score for name, score in found.scores.items() if name != "total"}
    told = replace(told, scores={**found.scores, **scores})
    return write_calibration_page(
        told, folder / "calibration.html", name=change("mps"), commands=[change("beholder x")]
    )


def curve(folder: Path, change: Change) -> Path:
    return write_curve_page(sample_curve((0.6, 0.7, 0.8, 0.9), change("overall")), folder / "curve")


def tuning(folder: Path, change: Change) -> Path:
    names = {"reward": change("mps"), "pipeline": change("sd"), "held_out_reward": change("clip")}
    prompts = [change(prompt) for prompt in PROMPTS[:2]]
    return write_run_report(run(folder / "run", rising(100, 50), best=50, prompts=prompts, **names))


def agreeing(folder: Path, change: Change) -> Path:
    rows = change(_comparisons(folder), kept=_ANSWERS)
    named = change({"title": "How far", "notice": "simulated"}).values()
    title, notice = named
    return write_agreement_page(
        agreement(rows), rows, folder / "agreement.html", title=title, notice=notice
    )


def rated(folder: Path, change: Change) -> Path:
    rows = change(_ratings(folder), kept=_ANSWERS)
    return write_rating_page(rating_agreement(rows), rows, folder / "ratings.html")


def docs(folder: Path, change: Change) -> Path:
    """How to ask the server; names of rewards and what their routes say stand in its document."""
    pytest.importorskip("fastapi", reason="the server is an extra")
    from beholder.serving.docs_page import page

    shape = {"properties": {change("image"): {"type": change("string")}}}
    asked = {"content": {change("application/json"): {"schema": shape}}}
    answered = {"description": change("done"), "content": {"application/json": {"schema": shape}}}
    route = {"tags": [change("v1")], "summary": change("Score"), "requestBody": asked}
    route["responses"] = {"200": answered, change("422"): {"description": change("malformed")}}
    document = {"paths": {change("/v1/score"): {"post": route}}, "info": {"version": change("1")}}
    return written(folder, "docs", page(document, secured=True))


def _comparisons(folder: Path) -> list[Comparison]:
    images = _pictures(folder)
    return [
        Comparison(
            key=f"t{k}",
            prompt=f"a fox {k}",
            images=images,
            ranks=dict.fromkeys(("overall", "detail"), (1, 2) if (k + p) % 3 else (2, 1)),
            annotator=who,
            seconds=9.0 + k,
        )
        for k in range(6)
        for p, who in enumerate(_PEOPLE)
    ]


def _ratings(folder: Path) -> list[Rating]:
    image = _pictures(folder)[0]
    return [
        Rating(
            key=f"r{k}",
            prompt=f"a fox {k}",
            image=image,
            values={"plausibility": (k + p) % 5 / 4, "overall": p / 4},
            points={"implausibility": (Point(0.5, 0.2 + 0.1 * p),)},
            misaligned=((2, 5),),
            annotator=who,
            seconds=9.0,
        )
        for k in range(6)
        for p, who in enumerate(_PEOPLE)
    ]


def _pictures(folder: Path) -> tuple[str, str]:
    paths = str(folder / "a.png"), str(folder / "b.png")
    for level, path in enumerate(paths):
        Image.new("RGB", (8, 6), (90 * level, 9, 9)).save(path)
    return paths


def tried(folder: Path, change: Change) -> Path:
    """What the demo shows of one picture, of two and of its rewards, as one page."""
    card = RewardCard(name="mine", paper="a paper", measures="charm", score_range=(-1.0, 1.0))
    said = change(Judgement(reward="mine", card=card, total=0.5, aspects={"detail": 0.25}))
    rich = richhf.tiny()
    seen = Judges({"rich": rich}).picture(torch.rand(3, 40, 60), change("a fox"))
    gone = replace(said, why=change("no such file"))
    parts = [
        picture_panel([said, gone, *seen]),
        pair_panel([Verdict(left=said, right=said, preferred="left", likely=0.5, judged=9)]),
        pair_panel([Verdict(left=said, right=gone, preferred="neither")]),
        cards_panel({change("rich"): rich}),
    ]
    return written(folder, "demo", f"{_GUARDED}<style>{style()}</style>{''.join(parts)}")


PAGES: Mapping[str, Callable[[Path, Change], Path]] = {
    "report": report,
    "ranking": ranking,
    "card": card,
    "calibration": calibrated,
    "curve": curve,
    "tuning": tuning,
    "agreement": agreeing,
    "ratings": rated,
    "docs": docs,
    "demo": tried,
}
