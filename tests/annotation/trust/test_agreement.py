import json
import math
from itertools import product

import pytest

from beholder.annotation.mapping import TaskSides
from beholder.annotation.reading.label_studio import parse_export
from beholder.annotation.trust.agreement import agreement
from beholder.errors import ConfigError
from tests.annotation.samples import comparison, real_tasks


def task(key: str, left_is: str = "a", **more: object) -> TaskSides:
    row = {"task_key": key, "image_a": f"{key}-a", "image_b": f"{key}-b", "left_is": left_is}
    return TaskSides.from_row({**row, **more})


def test_side_bias_counts_the_shown_side_not_the_canonical_one() -> None:
    rows = [comparison("k", "x", -1), comparison("m", "x", 1), comparison("n", "x", 0)]
    assert agreement(rows).sides["overall"].share.value == 0.5
    left = agreement(rows, sides={"m": task("m", "b")}).sides["overall"]
    assert (left.share.value, left.answers, left.tasks) == (1.0, 2, 2)


def test_the_shared_tasks_are_counted_against_what_was_planned() -> None:
    """x and y share k, whose answers differ; n was answered once."""
    rows = [comparison("k", "x", 1), comparison("k", "y", -1), comparison("n", "x", 1)]
    found = agreement(rows, overlap_percent=20).overlap
    assert (found.tasks, found.shared, found.wanted, found.people) == (2, 1, 0.2, {1: 1, 2: 1})
    assert found.percent["overall"].value == 0
    with pytest.raises(ConfigError, match="overlap_percent is 120"):
        agreement(rows, overlap_percent=120)


def test_gold_tasks_and_repeats_check_annotators_and_are_no_data() -> None:
    gold, repeat = frozenset({"gold"}), frozenset({"repeat"})
    rows = [
        comparison("k", "x", -1),
        comparison("k2", "x", -1, images=("k-a", "k-b"), flags=repeat),
        comparison("g", "x", 1, flags=gold),
    ]
    sides = {
        "k": task("k"),
        "k2": TaskSides(
            task_key="k2",
            image_a="k-a",
            image_b="k-b",
            left_is="b",
            kind="repeat",
            repeats="k",
        ),
        "g": task("g", kind="gold", gold_overall="b"),
    }
    report = agreement(rows, sides=sides)
    assert report.aspects["overall"].answers == 1
    assert (report.gold_tasks, report.retest.tasks, report.overlap.tasks) == (1, 1, 1)
    assert report.annotators["x"].gold.share.value == 1
    assert report.annotators["x"].retest.same.value == 1


def test_a_ranking_of_three_is_one_task_of_three_pairs() -> None:
    rows = [
        comparison("k", who, 1, images=("p", "q", "r"), ranks={"overall": ranks})
        for who, ranks in (("x", (1, 2, 3)), ("y", (1, 3, 2)))
    ]
    report = agreement(rows)
    assert report.aspects["overall"].tasks == 3
    assert report.overlap.percent["overall"].value == pytest.approx(2 / 3)
    assert (report.overlap.tasks, report.overlap.shared) == (1, 1)


def test_annotators_who_answer_the_same_agree_by_every_measure() -> None:
    rows = [
        comparison(f"k{n}", who, (-1, 0, 1)[n % 3]) for n, who in product(range(9), ("x", "y", "z"))
    ]
    found = agreement(rows).aspects["overall"]
    assert (found.percent, found.ties) == (1, 1 / 3)
    kappas = (found.cohen.plain, found.cohen.linear, found.cohen.quadratic, found.fleiss.kappa)
    for measure in (found.alpha_nominal, found.alpha_ordinal, *kappas):
        assert measure.value == pytest.approx(1)
    assert [(p.first, p.second, p.tasks) for p in found.cohen.pairs] == [
        ("x", "y", 9),
        ("x", "z", 9),
        ("y", "z", 9),
    ]


def test_nothing_answered_is_a_report_of_nothing() -> None:
    report = agreement([])
    assert (report.aspects, report.annotators, report.overlap.tasks) == ({}, {}, 0)
    assert math.isnan(report.retest.same.value)


def test_the_real_export_gives_one_report_of_plain_numbers() -> None:
    rows, _ = parse_export(real_tasks())
    report = agreement(rows)
    assert list(report.aspects) == ["aesthetics", "detail", "alignment", "overall"]
    assert report.aspects["overall"].answers == 19
    assert report.aspects["overall"].tasks == 7
    assert "annotator-1" not in report.annotators, "the ground truth is no annotator's opinion"
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))
