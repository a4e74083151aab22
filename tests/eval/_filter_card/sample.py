"""The card of a filter that asked for everything, on made-up rows."""

from collections.abc import Sequence

import numpy as np

from beholder.eval._filter_card.tally import Tally
from beholder.eval.filter_card import (
    Column,
    Failures,
    FilterCard,
    PicturePair,
    Shown,
    Stage,
    Strata,
    Threshold,
)
from beholder.images import ImageSource

RULE = (
    "mps.overall > 0.3",
    "heatmap.artifact.area < 0.05 and richhf.misaligned_words == 0",
    "keep the top 20 % by mps.overall in each category",
)


def tally(column: str, values: Sequence[float], kept: Sequence[bool]) -> Tally:
    counted = Tally(column)
    counted.add(np.array(values), np.array(kept))
    return counted


def sample(pictures: Sequence[ImageSource]) -> FilterCard:
    """3,000 rows, of which 420 are kept; the pictures in turn wherever some are shown."""
    shown = [
        Shown(
            key=f"set-{k}/a picture with a name {k}.png",
            image=pictures[k % len(pictures)],
            score=0.4906 + 0.0007 * k,
            prompt="A red fox asleep on a mossy stone, early light" if k % 3 else "",
        )
        for k in range(10)
    ]
    below = [
        Shown(key=s.key, image=pictures[-k % len(pictures)], score=0.49 - 0.001 * k)
        for k, s in enumerate(shown)
    ]
    return FilterCard(
        source="scores/flux-dev",
        rule=RULE,
        rows=3000,
        kept=420,
        stages=_stages(),
        columns=_columns(),
        score="mps.overall",
        barely_kept=shown,
        barely_dropped=below,
        strata=Strata(
            column="category",
            counts={"people": (150, 1200), "animals & <plants>": (270, 1500), "": (0, 300)},
        ),
        near_duplicates=_pairs(pictures, "kept"),
        contaminated=_pairs(pictures, "evaluation")[:1],
        errors={"truncated": Failures(rows=99, examples=["a/7.png: its pixels end too early"] * 3)},
        protocol={
            "Table": "scores/flux-dev",
            "Configuration": "3f2a9c0d51be",
            "Near-duplicates": "thumbprint, cosine 0.95, every pair",
            "Seed": "0",
        },
        commands=["beholder filter scores/flux-dev --where 'mps.overall > 0.3' -o kept/"],
        methods=["Near-duplicates: A. Abbas et al., SemDeDup, 2023."],
    )


def _stages() -> list[Stage]:
    return [
        Stage(name="has a value in every column", dropped={"truncated": 99, "missing": 1}),
        Stage(name="mps.overall > 0.3", dropped={"not mps.overall > 0.3": 1700}),
        Stage(name="no words misaligned"),
        Stage(
            name="near-duplicates and evaluation set",
            dropped={"near-duplicate": 60, "contaminated": 20},
        ),
        Stage(name="top 20 % by mps.overall", dropped={"not in the top 20 % by mps.overall": 700}),
    ]


def _pairs(pictures: Sequence[ImageSource], of: str) -> list[PicturePair]:
    return [
        PicturePair(
            key=f"set-1/{k}.png",
            image=pictures[k % len(pictures)],
            of_key=f"{of}/{k}.png",
            of_image=None if k == 3 else pictures[k % len(pictures)],
            similarity=0.999 - 0.004 * k,
        )
        for k in range(4)
    ]


def _columns() -> list[Column]:
    rng = np.random.default_rng(0)
    scores = rng.normal(0.2, 0.35, 2900)
    area = rng.beta(0.6, 9, 2900)
    kept = (scores > np.quantile(scores, 0.8)) & (area < 0.05) & (rng.random(2900) < 0.9)
    return [
        Column(
            tally=tally("mps.overall", [*scores, np.nan], [*kept, False]),
            thresholds=[Threshold(value=0.3), Threshold(value=0.4906, name="quantile 0.8")],
        ),
        Column(
            tally=tally("heatmap.artifact.area", list(area), list(kept)),
            thresholds=[Threshold(value=0.05)],
        ),
    ]
