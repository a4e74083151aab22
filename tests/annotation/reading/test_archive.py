import json
from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.reading.archive import DELETED, GONE, Added, Archive, without_people
from beholder.errors import AnnotationError


def annotation(name: str, **more: object) -> dict[str, Any]:
    return {"id": 1, "unique_id": name, "completed_by": 7, "result": [], **more}


def task(key: str, *annotations: dict[str, Any], number: int = 1, **more: object) -> dict[str, Any]:
    data = {"task_key": key, "prompt": "write to fox@den.org"}
    made = {"id": number, "data": data, "annotations": list(annotations), "drafts": []}
    return {**made, "updated_at": "2026-01-01T00:00:00.000001Z", **more}


def pull(folder: Path, *tasks: object, everything: bool = True) -> Added:
    return Archive(folder).add(tasks, everything=everything)


def test_only_what_is_new_or_changed_is_written(tmp_path: Path) -> None:
    assert pull(tmp_path, task("a"), task("b", number=2)) == Added(new=2)
    assert pull(tmp_path, task("a"), task("b", number=2)) == Added(same=2)
    assert pull(tmp_path, task("a", annotation("u")), task("b", number=2)) == Added(
        changed=1, same=1
    )
    assert len(Archive(tmp_path).paths()) == 2
    found = {t["data"]["task_key"]: t for t in Archive(tmp_path).tasks()}
    assert [a["unique_id"] for a in found["a"]["annotations"]] == ["u"]


def test_an_annotation_that_vanished_is_kept_and_marked(tmp_path: Path) -> None:
    pull(tmp_path, task("a", annotation("u", lead_time=3), annotation("v")))
    pull(tmp_path, task("a", annotation("u", lead_time=4), annotation("v")))
    pull(tmp_path, task("a", annotation("v")))
    (found,) = Archive(tmp_path).tasks()
    states = {
        a["unique_id"]: (a.get("lead_time"), a.get(DELETED, False)) for a in found["annotations"]
    }
    assert states == {"v": (None, False), "u": (4, True)}


def test_a_user_who_was_deleted_is_still_known_from_before(tmp_path: Path) -> None:
    pull(tmp_path, task("a", annotation("u"), annotation("v", completed_by=8)))
    for seconds in (1, 2):  # twice: the name that was lost once stays lost on the server
        gone = annotation("u", completed_by=None, lead_time=seconds)
        pull(tmp_path, task("a", gone, annotation("v", completed_by=8)))
    (found,) = Archive(tmp_path).tasks()
    assert [a["completed_by"] for a in found["annotations"]] == [7, 8]


def test_a_task_that_vanished_is_marked_only_if_all_were_pulled(tmp_path: Path) -> None:
    pull(tmp_path, task("a", annotation("u")), task("b", number=2))
    assert pull(tmp_path, task("b", number=2), everything=False) == Added(same=1)
    assert pull(tmp_path, task("b", number=2)) == Added(same=1, gone=1)
    assert pull(tmp_path, task("b", number=2)) == Added(same=1)
    first, _ = Archive(tmp_path).tasks()
    assert first[GONE]
    assert [a[DELETED] for a in first["annotations"]] == [True]


def test_an_id_that_the_server_used_again_is_another_task(tmp_path: Path) -> None:
    pull(tmp_path, task("a", annotation("u")))
    assert pull(tmp_path, task("b", annotation("v"))) == Added(new=1, gone=1)
    assert [t["data"]["task_key"] for t in Archive(tmp_path).tasks()] == ["a", "b"]


def test_the_latest_change_is_remembered(tmp_path: Path) -> None:
    late = "2026-01-02T00:00:00.000000Z"
    pull(tmp_path, task("a", updated_at=late), task("b", number=2))
    assert Archive(tmp_path).updated == late


def test_a_pull_that_broke_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Any:
        yield task("a")
        raise AnnotationError("the export ended early")

    archive = Archive(tmp_path)
    with pytest.raises(AnnotationError, match="ended early"):
        archive.add(broken(), everything=True)
    assert archive.paths() == []
    assert len(Archive(tmp_path)) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_pull_is_named(tmp_path: Path) -> None:
    pull(tmp_path, task("a"))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b'{"id": 2, "da')
    with pytest.raises(AnnotationError, match="line 2 is damaged"):
        Archive(tmp_path)


def test_what_is_no_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="the export holds int, expected tasks"):
        pull(tmp_path, 3)


def test_no_address_of_a_person_enters_the_archive(tmp_path: Path) -> None:
    draft = {"user": "ann@example.org", "created_username": " ann@example.org, 3", "result": []}
    author = {"id": 7, "email": "ann@example.org", "first_name": "Ann"}
    shown = annotation("u", completed_by=author, result=[{"value": {"text": "fox@den.org"}}])
    pull(tmp_path, task("a", shown, drafts=[draft]))
    (path,) = tmp_path.iterdir()
    text = path.read_text()
    assert "ann@example.org" not in text
    assert "Ann" not in text
    (found,) = Archive(tmp_path).tasks()
    assert found["data"]["prompt"] == "write to fox@den.org"
    assert found["annotations"][0]["result"] == [{"value": {"text": "fox@den.org"}}]
    assert found["annotations"][0]["completed_by"] == {"id": 7}


def test_a_real_export_loses_nothing_but_addresses() -> None:
    path = Path(__file__).parents[2] / "data" / "label_studio" / "export_pairwise.json"
    for one in json.loads(path.read_text()):
        kept = without_people(one)
        assert kept["annotations"] == one["annotations"]
        assert kept["data"] == one["data"]
        assert "@" not in json.dumps([kept["drafts"], kept.get("meta")])
