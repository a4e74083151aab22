import json
from pathlib import Path

import pytest

from beholder.annotation.joining.aggregate import Method, aggregate
from beholder.annotation.joining.feedback import read_feedback
from beholder.annotation.joining.heatmaps import HeatConfig
from beholder.annotation.judgements import (
    Comparisons,
    Ratings,
    aggregate_folder,
    agreement_report,
    read_judgements,
)
from beholder.annotation.mapping import TaskSides, write_mapping
from beholder.annotation.project import Project
from beholder.annotation.reading.importing import import_export
from beholder.annotation.records.dataset import (
    read_comparisons,
    read_preferences,
    write_comparisons,
)
from beholder.annotation.trust.agreement import AgreementReport
from beholder.annotation.trust.rating_agreement import RatingAgreement
from beholder.errors import AnnotationError, ConfigError
from tests.annotation.samples import EXPORT, RICH_EXPORT, comparison


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    import_export([EXPORT], tmp_path / "of-pairs")
    return tmp_path / "of-pairs"


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    import_export([RICH_EXPORT], tmp_path / "of-pictures")
    return tmp_path / "of-pictures"


def test_a_folder_tells_which_form_asked(pairs: Path, ratings: Path, tmp_path: Path) -> None:
    assert isinstance(read_judgements(pairs), Comparisons)
    assert isinstance(read_judgements(ratings), Ratings)
    with pytest.raises(AnnotationError, match="holds neither comparisons nor ratings"):
        read_judgements(tmp_path / "none")


def test_a_project_says_how_many_tasks_were_meant_for_several_people(tmp_path: Path) -> None:
    rows = [comparison("k", "x", -1), comparison("k", "y", -1), comparison("l", "x", 1)]
    write_comparisons(rows, tmp_path / "comparisons")
    project = Project(folder=tmp_path, template="pairwise", title="Foxes", overlap_percent=20)
    project.save()
    report = agreement_report(tmp_path)
    assert report.overlap.wanted == pytest.approx(0.2)
    assert (report.overlap.shared, report.overlap.tasks) == (1, 2)


def test_gold_answers_of_the_mapping_are_used(tmp_path: Path) -> None:
    rows = [comparison("g", "x", -1, flags=frozenset({"gold"}))]
    write_comparisons(rows, tmp_path / "comparisons")
    first, second = rows[0].images
    gold = {"overall": "a"}
    task = TaskSides(
        task_key="g", image_a=first, image_b=second, left_is="a", kind="gold", gold=gold
    )
    write_mapping([task], tmp_path / "mapping.jsonl")
    assert agreement_report(tmp_path).gold_tasks == 1


def test_the_report_is_of_the_form_and_the_page_is_written(
    pairs: Path, ratings: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    assert isinstance(agreement_report(pairs, html=page), AgreementReport)
    first = page.read_text()
    assert isinstance(agreement_report(ratings, html=page), RatingAgreement)
    assert page.read_text() != first


@pytest.mark.parametrize("method", ["votes", "bradley-terry", "dawid-skene"])
def test_pairs_become_preferences_with_a_card(method: Method, pairs: Path, tmp_path: Path) -> None:
    done = aggregate_folder(pairs, tmp_path / "out", method=method, notice="Take care.")
    expected = aggregate(read_comparisons(pairs), method)
    assert read_preferences(tmp_path / "out") == list(expected.preferences)
    assert (done.judgements, done.counted, done.rows) == (29, 19, len(expected.preferences))
    card = (tmp_path / "out" / "preferences" / "README.md").read_text()
    for part in ("Take care.", done.method, "Krippendorff's alpha", "beholder 0.1.0"):
        assert part in card
    kept = json.loads((tmp_path / "out" / "aggregate.json").read_text())
    assert kept["reliability"] == expected.reliability
    assert bool(kept["confusion"]) == (method == "dawid-skene")


def test_pairs_that_a_reward_chose_can_be_left_out(tmp_path: Path) -> None:
    rows = [comparison(key, "x", -1) for key in ("asked", "drawn", "chosen")]
    write_comparisons(rows, tmp_path / "comparisons")
    reasons = {"asked": {}, "drawn": {"chosen": "random"}, "chosen": {"chosen": "active"}}
    tasks = [
        TaskSides(task_key=key, image_a="a", image_b="b", left_is="a", extra=extra)
        for key, extra in reasons.items()
    ]
    write_mapping(tasks, tmp_path / "mapping.jsonl")
    aggregate_folder(tmp_path, tmp_path / "out", unbiased=True)
    assert {p.key for p in read_preferences(tmp_path / "out")} == {"asked", "drawn"}
    assert read_judgements(tmp_path / "out").asked == read_judgements(tmp_path).asked
    assert aggregate_folder(tmp_path, tmp_path / "out").rows == 3


def test_ratings_become_feedback_with_the_chosen_maps(ratings: Path, tmp_path: Path) -> None:
    heat = HeatConfig(shape="gaussian", radius=0.1, size=(32, 48))
    done = aggregate_folder(ratings, tmp_path / "out", heat=heat)
    rows = list(read_feedback(tmp_path / "out" / "feedback"))
    assert (done.rows, done.counted) == (len(rows), 14)
    assert rows[0].maps["implausibility"].shape == (32, 48)
    assert str(heat) in (tmp_path / "out" / "feedback" / "README.md").read_text()


def test_ratings_are_not_joined_by_a_method_for_pairs(ratings: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ratings are averaged; method 'dawid-skene' is for"):
        aggregate_folder(ratings, tmp_path / "out", method="dawid-skene")
