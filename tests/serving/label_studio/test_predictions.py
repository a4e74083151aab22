from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.label_interface import LabelInterface

from beholder.annotation.forms import pairwise, richhf
from beholder.annotation.forms.form import Shown
from beholder.serving._label_studio.layout import read_layout
from beholder.serving._label_studio.predictions import Prediction, model_version, predicted
from beholder.serving.items import Map, RewardInfo, Scored, Word
from beholder.types import MAPS, RATED, Point
from tests.serving.fakes import info
from tests.serving.label_studio.layouts import ONE_RATING, SMALL, pair, rich

PROMPT = "ein Fuchs 🦊 läuft"
INFO = replace(info("light"), score_range=(0.0, 1.0))
LEFT = Scored(
    total=0.9, aspects={"aesthetics": 0.5, "detail": 0.5, "alignment": 0.2, "overall": 0.9}
)
RIGHT = Scored(
    total=0.4, aspects={"aesthetics": 0.1, "detail": 0.5, "alignment": 0.3, "overall": 0.4}
)


def spot(row: int, column: int) -> Map:
    grid = np.zeros((8, 8), "<f4")
    grid[row, column] = 1
    return Map(8, 8, grid.tobytes())


def fault_found() -> Scored:
    return Scored(
        total=0.75,
        aspects=dict(zip(RATED, (0.0, 0.26, 1.0, 0.75), strict=True)),
        maps={MAPS[0]: spot(1, 3), MAPS[1]: spot(6, 0)},
        words=[
            Word("ein", 0, 3, 0.5),
            Word("Fuchs", 4, 9, 0.9),
            Word("läuft", 12, 17, 0.51),
        ],
        size=(600, 800),
    )


def of_pair(left: Scored = LEFT, right: Scored = RIGHT, config: str = "") -> Prediction:
    return predicted(read_layout(config) if config else pair(), INFO, PROMPT, [left, right])


def of_picture(scored: Scored, of: RewardInfo = INFO, config: str = "") -> Prediction:
    return predicted(read_layout(config) if config else rich(), of, PROMPT, [scored])


def labels(prediction: Prediction) -> dict[str, object]:
    values: list[Any] = [item["value"] for item in prediction.result]
    names = [str(item["from_name"]) for item in prediction.result]
    return {name: v["choices"][0] for name, v in zip(names, values, strict=True)}


def test_our_form_reads_the_better_picture_of_each_dimension() -> None:
    shown = Shown("k", PROMPT, ("l.png", "r.png"))
    comparison, items = pairwise.FORM.read(shown, list(of_pair().result))
    assert comparison.ranks == {
        "aesthetics": (1, 2),
        "detail": (1, 1),
        "alignment": (2, 1),
        "overall": (1, 2),
    }
    assert not (items.missing or items.faults or items.others)


def test_our_form_reads_points_words_and_stars() -> None:
    made = of_picture(fault_found())
    rating, items = richhf.FORM.read(Shown("k", PROMPT, ("k.png",)), list(made.result))
    assert rating.values == dict(zip(RATED, (0.0, 0.25, 1.0, 0.75), strict=True))
    assert rating.points == {
        MAPS[0]: (Point(3.5 / 8, 1.5 / 8),),
        MAPS[1]: (Point(0.5 / 8, 6.5 / 8),),
    }
    assert [PROMPT[start:end] for start, end in rating.misaligned] == ["Fuchs", "läuft"]
    assert not (items.missing or items.faults or items.others)
    assert made.score == 0.75


def test_points_know_the_size_of_the_picture_and_items_have_ids_of_their_own() -> None:
    result = of_picture(fault_found()).result
    (point, _) = [item for item in result if item["from_name"] == "points"]
    sizes = {"original_width": 800, "original_height": 600, "image_rotation": 0}
    assert sizes.items() <= point.items()
    assert len({str(item["id"]) for item in result}) == len(result)
    assert result == of_picture(fault_found()).result


@pytest.mark.parametrize(
    ("config", "result"),
    [
        (pairwise.FORM.xml(), of_pair),
        (SMALL, lambda: of_pair(config=SMALL)),
        (richhf.FORM.xml(), lambda: of_picture(fault_found())),
        (ONE_RATING, lambda: of_picture(fault_found(), config=ONE_RATING)),
    ],
)
def test_label_studio_finds_no_fault_with_a_prediction(config: str, result: Any) -> None:
    made = result()
    assert made.result
    given = {"result": list(made.result), "score": made.score, "model_version": "v"}
    assert LabelInterface(config).validate_prediction(given, return_errors=True) == []


def test_a_pair_is_as_sure_as_its_scores_are_apart() -> None:
    assert of_pair().score == of_pair(RIGHT, LEFT).score == pytest.approx(0.5)
    assert of_pair(LEFT, LEFT).score == 0


def test_the_total_is_the_overall_impression_and_what_is_unknown_stays_open() -> None:
    left, right = Scored(total=2.0, aspects={"detail": None}), Scored(total=1.0)
    assert labels(of_pair(left, right)) == {"overall": "left"}
    assert labels(of_pair(right, left)) == {"overall": "right"}


def test_a_tie_is_exact_and_left_open_where_the_form_has_none() -> None:
    near = replace(LEFT, total=0.9 + 1e-12, aspects={})
    assert labels(of_pair(near, Scored(total=0.9))) == {"overall": "left"}
    assert labels(of_pair(near, near)) == {"overall": "tie"}
    assert of_pair(near, near, SMALL).result == []


def test_scores_of_another_range_are_no_ratings() -> None:
    other = replace(INFO, score_range=(None, None))
    names = [item["from_name"] for item in of_picture(fault_found(), other).result]
    assert names == ["points", "points", "words", "words"]


def test_stars_are_as_many_as_the_form_has() -> None:
    scored = Scored(total=0.0, aspects={"aesthetics": 0.5}, size=(1, 1))
    (item,) = of_picture(scored, config=ONE_RATING).result
    assert item["value"] == {"rating": 1 + round(0.5 * 9)}
    (item,) = of_picture(
        replace(scored, aspects={"aesthetics": 1.0000001}), config=ONE_RATING
    ).result
    assert item["value"] == {"rating": 10}


def test_a_version_changes_with_the_weights_and_not_with_the_order_of_options() -> None:
    names = [
        model_version(replace(INFO, identity=identity))
        for identity in (
            {"a": 1, "weights": "x"},
            {"weights": "x", "a": 1},
            {"a": 1, "weights": "y"},
        )
    ]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("light-")
