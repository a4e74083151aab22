"""A resume knows what is done from notes, and is right without them."""

import json
import os
from pathlib import Path

import pytest

from beholder._run_folder import Run, RunFolder, Shard, footer
from beholder.rewards.sharded import ledger
from beholder.rewards.sharded.ledger import Ledger, standing
from beholder.rewards.sharded.shard_file import parquet_bytes, shard_table
from beholder.storage import Place

RUN = Run(source="s", rewards={"r": {"seed": 0}})
SHARDS = [Shard(name=f"s{k}", kind="archive", source=f"{k}.tar", size=k) for k in range(4)]


def write_scores(folder: RunFolder, shard: Shard, run: Run = RUN) -> bytes:
    rows = [{"key": "k", "image": "i", "prompt": None}]
    said = footer(shard, run, 1, {"r": {"truncated": 1} if shard.size == 1 else {}})
    columns: dict[str, dict[str, list[object]]] = {"r": {"r.total": [0.5], "r.error": [None]}}
    folder.scores(shard.name).write(parquet_bytes(shard_table(rows, columns, said)))
    return said


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of four shards, of which two are done and noted."""
    folder = RunFolder(Place(tmp_path))
    folder.write_plan(SHARDS)
    book = Ledger(folder)
    for shard in SHARDS[:2]:
        book.add(json.loads(write_scores(folder, shard)))
    book.close()
    return folder


def pending(folder: RunFolder, run: Run) -> list[Shard]:
    return list(standing(folder, run.config_hash).left)


def ledger_files(folder: RunFolder) -> list[Path]:
    return sorted(Path(folder.place.path, "_run", "ledger").glob("*.jsonl"))


def refuse_to_open(place: Place) -> dict[str, object]:
    raise AssertionError(f"{place} was opened")


def test_noted_shards_are_done_without_being_opened(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "footer_of", refuse_to_open)
    assert [shard.name for shard in pending(folder, RUN)] == ["s2", "s3"]
    found = standing(folder, RUN.config_hash, with_errors_again=True)
    assert found.again == {"s1"}
    assert [shard.name for shard in found.left] == ["s1", "s2", "s3"]
    assert {name: done.rows for name, done in found.done.items()} == {"s0": 1, "s1": 1}


@pytest.mark.parametrize(
    "contents", [None, b"", b'[1, "2"\nnull\n\xff\n[1]\n{"a": 1}\n[1, "2", 3]']
)
def test_a_lost_or_torn_ledger_changes_nothing(folder: RunFolder, contents: bytes | None) -> None:
    (path,) = ledger_files(folder)
    path.unlink()
    if contents is not None:
        path.write_bytes(contents)
    write_scores(folder, SHARDS[3])
    assert [shard.name for shard in pending(folder, RUN)] == ["s2"]
    assert len(ledger._notes(folder, dict(ledger._files(folder)))) == 3
    assert [shard.name for shard in pending(folder, RUN)] == ["s2"]


def test_a_line_that_was_cut_off_does_not_swallow_the_next(folder: RunFolder) -> None:
    (path,) = ledger_files(folder)
    path.write_bytes(path.read_bytes()[:-30])
    said = json.loads(write_scores(folder, SHARDS[2]))
    Ledger(folder).add(said)
    notes = ledger._notes(folder, dict(ledger._files(folder)))
    assert set(notes) == {"s0", "s2"}


def test_a_file_that_changed_since_it_was_noted_is_opened(folder: RunFolder) -> None:
    path = Path(folder.scores("s0").path)
    path.write_bytes(b"not parquet at all")
    assert [shard.name for shard in pending(folder, RUN)] == ["s0", "s2", "s3"]
    write_scores(folder, SHARDS[0])
    os.utime(path, ns=(1, 1))
    assert [shard.name for shard in pending(folder, RUN)] == ["s2", "s3"]


def test_scores_of_other_settings_or_inputs_are_not_done(folder: RunFolder) -> None:
    other = Run(source="s", rewards={"r": {"seed": 1}})
    assert [shard.name for shard in pending(folder, other)] == ["s0", "s1", "s2", "s3"]
    folder.plan_file().delete()
    folder.write_plan([Shard(name="s0", kind="archive", source="0.tar", size=99), *SHARDS[1:]])
    assert set(standing(folder, RUN.config_hash).done) == {"s1"}


def test_at_an_address_the_notes_of_a_killed_driver_are_not_all_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "_BUNCH", 2)
    folder = RunFolder(Place("memory://ledger-test"))
    folder.write_plan(SHARDS)
    book = Ledger(folder)
    for shard in SHARDS[:3]:
        book.add(json.loads(write_scores(folder, shard)))
    assert len(list((folder.place / "_run" / "ledger").names())) == 1
    monkeypatch.setattr(ledger, "footer_of", lambda place: {})
    assert [shard.name for shard in pending(folder, RUN)] == ["s2", "s3"]
    book.close()
    assert [shard.name for shard in pending(folder, RUN)] == ["s3"]


def test_a_note_that_cannot_be_written_stops_nothing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(ledger, "_append", full)
    Ledger(folder).add(json.loads(write_scores(folder, SHARDS[2])))
    assert "no note of 1 finished shards" in caplog.text


def test_a_share_is_every_so_manieth_shard(folder: RunFolder) -> None:
    found = standing(folder, RUN.config_hash, (1, 2))
    assert (found.shards, set(found.done)) == (2, {"s1"})
    assert [shard.name for shard in found.left] == ["s3"]
