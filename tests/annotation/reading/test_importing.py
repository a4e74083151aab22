import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.joining.feedback import read_feedback
from beholder.annotation.judgements import agreement_report, read_judgements
from beholder.annotation.mapping import TaskPicture, TaskSides, read_mapping, write_mapping
from beholder.annotation.reading.importing import Aggregate, import_export
from beholder.annotation.reading.label_studio_export import export_annotation, export_task
from beholder.annotation.records.dataset import read_comparisons, read_preferences, read_ratings
from beholder.annotation.trust.agreement import AgreementReport
from beholder.errors import AnnotationError
from tests.annotation.samples import (
    ALL_LEFT,
    EXPORT,
    RICH_EXPORT,
    rated,
    rating_task,
    real_ratings,
    real_tasks,
)


def placed(folder: Path, tasks: Sequence[Any]) -> list[str]:
    """Empty files for every picture of a real export."""
    names = {
        address.partition("?d=")[2]
        for task in tasks
        for field, address in task["data"].items()
        if field.startswith("image")
    }
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return sorted(names)


def swapped(folder: Path) -> tuple[Path, Path]:
    """Three tasks, always answered left, shown b | a in the second; and their mapping."""
    sides, tasks = [], []
    for n, left_is in enumerate("aba"):
        row = {"task_key": f"t{n}", "image_a": f"{n}a.png", "image_b": f"{n}b.png"}
        sides.append(TaskSides.from_row({**row, "left_is": left_is, "checkpoint_a": "early"}))
        for side in "ab":
            (folder / f"{n}{side}.png").touch()
        answer = export_annotation(ALL_LEFT, annotator=1, annotation_id=n)
        data = {"task_key": f"t{n}", "prompt": "x", "image_left": "h1", "image_right": "h2"}
        tasks.append(export_task(data, [answer], task_id=n))
    (folder / "export.json").write_text(json.dumps(tasks))
    write_mapping(sides, folder / "mapping.jsonl")
    return folder / "export.json", folder / "mapping.jsonl"


@pytest.mark.parametrize("aggregate", ["votes", "reliability"])
def test_an_export_becomes_two_data_sets_and_a_report(aggregate: Aggregate, tmp_path: Path) -> None:
    placed(tmp_path / "images", real_tasks())
    out = tmp_path / "out"
    report = import_export([EXPORT], out, images_root=tmp_path / "images", aggregate=aggregate)
    assert (report.comparisons, report.clean, report.missing_pictures) == (29, 19, ())
    assert len(read_comparisons(out / "comparisons")) == 29
    preferences = read_preferences(out / "preferences")
    assert len(preferences) == 10
    assert all(Path(p.first).is_file() for p in preferences)
    assert set(report.reliability) == (
        set(preferences[0].p_first) if aggregate != "votes" else set()
    )
    written = json.loads((out / "report.json").read_text())
    assert written["flags"] == {"skipped": 2, "ground_truth": 1, "unknown_user": 7}


def test_a_missing_picture_costs_its_pairs_and_is_named(tmp_path: Path) -> None:
    lost = tmp_path / "images" / placed(tmp_path / "images", real_tasks())[0]
    lost.unlink()
    report = import_export([EXPORT], tmp_path / "out", images_root=tmp_path / "images")
    assert report.missing_pictures == (str(lost),)
    assert [p for p in report.problems if str(lost) in p.reason]
    rows = read_comparisons(tmp_path / "out" / "comparisons")
    assert len(rows) == 29
    flagged = {row.key for row in rows if "missing_picture" in row.flags}
    assert report.flags["missing_picture"] == sum(str(lost) in row.images for row in rows)
    kept = {p.key for p in read_preferences(tmp_path / "out" / "preferences")}
    assert kept == {row.key for row in rows} - flagged


def test_a_wrong_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="none of the 13 pictures is a file"):
        import_export([EXPORT], tmp_path / "out", images_root=tmp_path)
    with pytest.raises(AnnotationError, match="no export given"):
        import_export([], tmp_path / "out")


def test_without_a_folder_pictures_keep_the_names_of_the_server(tmp_path: Path) -> None:
    report = import_export([EXPORT], tmp_path)
    assert report.pictures_on_server == 13
    assert len(read_preferences(tmp_path / "preferences")) == 10


def test_sides_are_undone_in_the_data_and_restored_for_the_side_bias(tmp_path: Path) -> None:
    export, mapping = swapped(tmp_path)
    import_export([export], tmp_path / "out", mapping=mapping)
    found = read_preferences(tmp_path / "out" / "preferences")
    assert [p.p_first["overall"] for p in found] == [1.0, 0.0, 1.0]
    assert found[0].first == str(tmp_path / "0a.png")
    report = agreement_report(tmp_path / "out")
    assert isinstance(report, AgreementReport)
    bias = report.sides["overall"]
    assert (bias.share.value, bias.answers) == (1.0, 3)


def test_a_second_import_without_mapping_forgets_the_first_ones(tmp_path: Path) -> None:
    export, mapping = swapped(tmp_path)
    import_export([export], tmp_path / "out", mapping=mapping)
    import_export([EXPORT], tmp_path / "out")
    assert not (tmp_path / "out" / "mapping.jsonl").exists()
    assert len(read_judgements(tmp_path / "out").asked) == 0


def test_damaged_text_does_not_stop_the_report(tmp_path: Path) -> None:
    tasks: Any = real_tasks()
    item = {"from_name": "\ud800", "type": "textarea"}
    tasks[0]["annotations"][0]["result"].append(item)
    (tmp_path / "x.json").write_text(json.dumps(tasks))
    report = import_export([tmp_path / "x.json"], tmp_path / "out")
    assert report.other_controls == {"\ud800": 1}
    assert json.loads((tmp_path / "out" / "report.json").read_text())["annotations"] == 29


def test_ratings_become_two_data_sets_and_a_report(tmp_path: Path) -> None:
    placed(tmp_path / "images", real_ratings())
    out = tmp_path / "out"
    report = import_export([RICH_EXPORT], out, images_root=tmp_path / "images", notice="Real.")
    assert (report.template, report.comparisons, report.clean) == ("richhf", 17, 14)
    assert report.missing_pictures == ()
    ratings = read_ratings(out)
    assert len(ratings) == 17
    assert all(Path(row.image).is_file() for row in ratings)
    assert [f.votes for f in read_feedback(out)] == [3, 3, 2, 2, 2, 2]
    card = (out / "feedback" / "README.md").read_text()
    assert "Real.\n\nHeatmaps (512 x 512, height x width): each point is a disc of radius" in card
    written = json.loads((out / "report.json").read_text())
    assert (written["template"], written["annotations"]) == ("richhf", 17)
    assert not (out / "comparisons").exists()


def test_a_missing_picture_costs_its_feedback(tmp_path: Path) -> None:
    placed(tmp_path / "images", real_ratings())
    (tmp_path / "images" / "gen" / "0dc45702b79e05eb.png").unlink()
    report = import_export([RICH_EXPORT], tmp_path / "out", images_root=tmp_path / "images")
    assert report.flags["missing_picture"] == 3
    assert "rich-0000" not in {f.key for f in read_feedback(tmp_path / "out")}


def test_the_mapping_of_ratings_names_pictures_and_checks(tmp_path: Path) -> None:
    (tmp_path / "ours.png").touch()
    tasks = [rating_task(rated(n), key=key, number=n) for n, key in enumerate(("ask", "gold"))]
    (tmp_path / "x.json").write_text(json.dumps(tasks))
    rows = [
        TaskPicture(task_key="ask", image="ours.png"),
        TaskPicture(task_key="gold", image="ours.png", kind="gold", gold={"overall": "0.75"}),
    ]
    write_mapping(rows, tmp_path / "mapping.jsonl")
    out = tmp_path / "out"
    import_export([tmp_path / "x.json"], out, mapping=tmp_path / "mapping.jsonl")
    assert [row.flags for row in read_ratings(out)] == [frozenset(), {"gold"}]
    (found,) = read_feedback(out)
    assert (found.key, found.image) == ("ask", str(tmp_path / "ours.png"))
    assert set(read_mapping(out / "mapping.jsonl", TaskPicture)) == {"ask", "gold"}


def test_ratings_are_not_joined_by_reliability(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="cannot be joined by reliability"):
        import_export([RICH_EXPORT], tmp_path, aggregate="reliability")
