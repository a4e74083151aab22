"""People against people, worked out by hand."""

import json
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval.ceiling import human_ceiling
from beholder.types import Point, Rating

PROMPT = "a red cat"


def heat(points: Sequence[Sequence[Point]]) -> Tensor:
    """A pixel for each point on a 4 x 4 map, mean over annotators."""
    total = torch.zeros(4, 4)
    for mine in points:
        for point in mine:
            total[int(point.y * 4), int(point.x * 4)] += 255 / len(points)
    return total.round().to(torch.uint8)


def rating(picture: int, annotator: str, value: float, missed: bool = False) -> Rating:
    place = Point((picture % 4) / 4, 0.5)
    return Rating(
        key=f"k{picture}",
        prompt=PROMPT,
        image=f"{picture}.png",
        values={"overall": value},
        points={"implausibility": (place,)},
        misaligned=((2, 5),) if missed else (),
        annotator=annotator,
    )


def unanimous(annotators: str = "abc") -> list[Rating]:
    return [rating(k, who, k / 6, missed=k % 2 == 0) for k in range(6) for who in annotators]


@pytest.mark.parametrize("form", ["halves", "one-against-rest"])
def test_people_who_agree_predict_each_other_perfectly(form: str) -> None:
    found = human_ceiling(unanimous("abcd"), heat=heat, form=form, repeats=3)
    for name in ("overall.plcc", "overall.srcc", "implausibility.cc", "words.micro.f1"):
        assert found.figures[name].value == pytest.approx(1)
        assert found.figures[name].spread == pytest.approx(0, abs=1e-12)
    assert found.figures["implausibility.mse"].value == 0
    assert found.figures["misalignment.mse_empty"].value == 0
    assert found.figures["misalignment.cc"].value is None
    assert found.figures["misalignment.cc"].why.startswith("no true map has both")


def test_splits_in_which_a_figure_is_not_defined_do_not_count_in_its_mean() -> None:
    """Whoever predicts, two opposite people correlate -1, or not at all if both say the same."""
    ratings = [rating(k, who, float(k == (who == "a"))) for k in (0, 1) for who in "ab"]
    found = human_ceiling(ratings, repeats=20)
    assert found.pictures == 2
    assert found.figures["overall.plcc"].value == pytest.approx(-1)


def test_halves_average_their_members() -> None:
    """Values 0, 1 / 4, 3 / 4, 1 of four annotators: halves of two always average to 1 in all."""
    shifts = {"a": 0.0, "b": 0.25, "c": 0.75, "d": 1.0}
    ratings = [rating(k, who, v) for k in range(8) for who, v in shifts.items()]
    found = human_ceiling(ratings, repeats=5)
    assert found.figures["overall.plcc"].value == pytest.approx(-1)
    assert found.figures["overall.plcc"].samples == 8


def test_one_against_rest_differs_from_halves_only_with_four_or_more() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(20, 5, generator=generator).tolist()

    def ceiling(annotators: str, form: str) -> float | None:
        ratings = [
            rating(k, w, v) for k in range(20) for w, v in zip("abcde", values[k], strict=True)
        ]
        chosen = [r for r in ratings if r.annotator in annotators]
        return human_ceiling(chosen, form=form, repeats=2).figures["overall.plcc"].value

    assert ceiling("abc", "halves") == ceiling("abc", "one-against-rest")
    assert ceiling("abcde", "halves") != ceiling("abcde", "one-against-rest")


def test_a_lone_annotator_is_counted_and_left_out_even_if_he_rates_twice() -> None:
    twice = [rating(9, "a", 0.1), rating(9, "a", 0.2)]
    found = human_ceiling(unanimous("ab") + twice, repeats=1)
    assert (found.pictures, found.alone) == (6, 1)


def test_without_heat_there_are_no_maps() -> None:
    found = human_ceiling(unanimous(), repeats=1)
    assert {name.partition(".")[0] for name in found.figures} == {"overall", "words"}


def test_the_splits_repeat_with_their_seed() -> None:
    ratings = [rating(k, who, (k * 7 + ord(who) * 3) % 10 / 10) for k in range(9) for who in "abc"]
    assert human_ceiling(ratings, seed=1) == human_ceiling(ratings, seed=1)
    assert human_ceiling(ratings, seed=1) != human_ceiling(ratings, seed=2)


def test_the_result_is_json() -> None:
    found = human_ceiling(unanimous(), heat=heat, repeats=2)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["pictures"] == 6


def test_nobody_to_compare_is_refused() -> None:
    with pytest.raises(DataError, match="no picture has two or more annotators"):
        human_ceiling(unanimous("a"))


@pytest.mark.parametrize(
    ("option", "fault"),
    [({"form": "thirds"}, "no form named 'thirds'; known: halves"), ({"repeats": 0}, "got 0")],
)
def test_options_that_make_no_sense_are_refused(option: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        human_ceiling(unanimous(), **option)  # type: ignore[arg-type]
