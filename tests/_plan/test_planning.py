"""A plan appears whole or not at all, the first one is everybody's, and it is kept."""

import json
import threading
from pathlib import Path

import pytest

from beholder._plan import planning
from beholder._plan.planning import plan
from beholder._plan.reading import shard_rows
from beholder._run_folder import RunFolder
from beholder.errors import ConfigError, DataError
from beholder.storage import Place
from tests.archives import encoded, write_tar


def pictures(folder: Path, count: int = 10) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:03}.png").write_bytes(encoded(1))
    return folder


def keys(run: RunFolder) -> list[str]:
    return [row.key for shard in run.plan() for row in shard_rows(shard)]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(Place(tmp_path / "out"))


def test_a_plan_that_is_there_is_kept_whatever_the_source_holds_now(
    tmp_path: Path, run: RunFolder
) -> None:
    source = pictures(tmp_path / "in")
    assert plan(source, run, shard_size=4) == 3
    before = run.plan_file().read()
    (source / "new.png").write_bytes(encoded(2))
    assert plan(source, run, shard_size=100) == 3
    assert run.plan_file().read() == before
    assert keys(run) == [f"{n:03}.png" for n in range(10)]


def test_another_source_or_other_prompts_need_another_folder(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "in")
    plan(tmp_path / "in", run)
    monkeypatch.chdir(tmp_path)
    assert plan("in", run) == 1, "the same by another path"
    pictures(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"holds the plan of .*/in, not of .*/other; use another"):
        plan(tmp_path / "other", run)
    (tmp_path / "p.txt").write_text("p\n" * 10)
    with pytest.raises(ConfigError, match=r"not of .*/in with prompts of .*p\.txt"):
        plan("in", run, prompts=tmp_path / "p.txt")


def test_an_interrupted_planning_leaves_no_plan(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "m.csv"
    source.write_text("image,prompt\n" + "a.png,x\n" * 8 + "a.png,x,y\n")
    with pytest.raises(DataError, match="line 10: 3 cells"):
        plan(source, run, shard_size=2)
    assert not run.plan_file().exists()
    source.write_text("image,prompt\n" + "a.png,x\n" * 8)
    for write in ("write", "write_new"):

        def killed(place: Place, contents: bytes, write: str = write) -> None:
            if write == "write_new" or place.name.endswith("2.parquet"):
                raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Place, write, killed)
            plan(source, run, shard_size=2)
        assert not run.plan_file().exists()
    assert plan(source, run, shard_size=2) == 4
    assert keys(run) == ["a.png", *(f"a.png#{n}" for n in range(2, 9))]


def test_lists_of_a_planning_that_failed_are_written_over(tmp_path: Path, run: RunFolder) -> None:
    source = pictures(tmp_path / "in")
    plan(source, run, shard_size=4)
    first = list(run.plan())
    run.plan_file().delete()
    assert plan(source, run, shard_size=4) == 3
    assert list(run.plan()) == first, "so that what was scored stays done"


def plan_in_process(source: Path, out: Path, shard_size: int) -> int:
    return plan(source, RunFolder(Place(out)), shard_size=shard_size)


def test_of_several_that_plan_at_once_the_first_is_everybodys(
    tmp_path: Path, run: RunFolder
) -> None:
    source = pictures(tmp_path / "in", 30)
    told: list[int] = []
    gate = threading.Barrier(6)

    def one(shard_size: int) -> None:
        gate.wait()
        told.append(plan_in_process(source, Path(run.place.path), shard_size))

    threads = [threading.Thread(target=one, args=(size,)) for size in (3, 3, 7, 7, 30, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shards = list(run.plan())
    assert told == [len(shards)] * 6
    assert keys(run) == [f"{n:03}.png" for n in range(30)]


def test_a_planning_that_died_between_its_last_two_files_is_gone_on_with(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path / "in")
    plan(source, run, shard_size=4)
    run.plan_file().delete()
    monkeypatch.setattr(planning, "WAIT_SECONDS", 0.0)
    with pytest.raises(ConfigError, match=r"begun to be planned otherwise; delete .*planned\.json"):
        plan(source, run, shard_size=5)
    assert plan(source, run, shard_size=4) == 3


def test_prompts_of_a_file_come_into_the_lists(tmp_path: Path, run: RunFolder) -> None:
    (tmp_path / "p.txt").write_text("".join(f"p{n}\n" for n in range(10)))
    plan(pictures(tmp_path / "in"), run, prompts=tmp_path / "p.txt", shard_size=4)
    rows = [row for shard in run.plan() for row in shard_rows(shard)]
    assert [row.prompt for row in rows] == [f"p{n}" for n in range(10)]


def test_prompts_for_archives_become_lists_of_their_members(tmp_path: Path, run: RunFolder) -> None:
    for name in ("a.tar", "b.tar"):
        write_tar(tmp_path / name, {"0.png": encoded(1), "1.png": encoded(2)})
    (tmp_path / "p.txt").write_text("p0\np1\np2\np3\n")
    assert plan(f"{tmp_path}/*.tar", run, prompts=tmp_path / "p.txt", shard_size=3) == 2
    rows = [row for shard in run.plan() for row in shard_rows(shard)]
    assert [(row.key, row.prompt, row.image) for row in rows] == [
        ("a.tar/0.png", "p0", encoded(1)),
        ("a.tar/1.png", "p1", encoded(2)),
        ("b.tar/0.png", "p2", encoded(1)),
        ("b.tar/1.png", "p3", encoded(2)),
    ]


def test_what_cannot_be_planned_says_so(tmp_path: Path, run: RunFolder) -> None:
    with pytest.raises(ConfigError, match="a shard needs 1 row or more"):
        plan(tmp_path, run, shard_size=0)
    with pytest.raises(DataError, match="there is no picture"):
        plan(tmp_path, run)
    with pytest.raises(DataError, match="does not exist"):
        plan(tmp_path / "nowhere", run)
    (tmp_path / "m.jsonl").write_text('{"key": 1, "image": "a"}\n{"key": "1", "image": "b"}')
    with pytest.raises(DataError, match=r"m\.jsonl: key '1' occurs twice"):
        plan(tmp_path / "m.jsonl", run)
    with pytest.raises(DataError, match=r"prompts come from m\.jsonl itself"):
        plan(tmp_path / "m.jsonl", run, prompts=tmp_path / "p.txt")
    write_tar(tmp_path / "a.tar", {"0.png": encoded(1)})
    with pytest.raises(DataError, match="names an archive twice"):
        plan(f"{tmp_path}/{{a,a}}.tar", run)
    place = Place(f"memory://{tmp_path.name}-a.tar")
    place.write((tmp_path / "a.tar").read_bytes())
    with pytest.raises(ConfigError, match="would fetch all of them"):
        plan(str(place), run, prompts=tmp_path / "p.txt")
    assert not run.plan_file().exists()


def test_a_plan_says_what_it_is_of(tmp_path: Path, run: RunFolder) -> None:
    plan(pictures(tmp_path / "in"), run, shard_size=5)
    said = json.loads((run.place / "_run/planned.json").read())
    source = str(tmp_path / "in")
    assert said == {"source": source, "prompts": "", "shards": 2, "shard_size": 5}
    (run.place / "_run/planned.json").write(b"{")
    with pytest.raises(DataError, match=r"planned\.json is damaged"):
        plan(source, run)
