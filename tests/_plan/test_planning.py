"""A plan appears whole or not at all, the first one is everybody's, and it is kept."""

import json
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder._plan import planning
from beholder._plan.planning import changed, plan
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


def test_a_plan_that_is_there_is_kept_with_its_size_of_shards(
    tmp_path: Path, run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    source = pictures(tmp_path / "in")
    assert plan(source, run, shard_size=4) == 3
    before = run.plan_file().read()
    assert plan(source, run, shard_size=100) == 3
    assert "was planned with shards of 4 rows; the size 100 is not read" in caplog.text
    assert run.plan_file().read() == before
    assert keys(run) == [f"{n:03}.png" for n in range(10)]


@pytest.mark.parametrize("change", ["added", "replaced", "prompt"])
def test_a_changed_folder_of_pictures_is_told_when_it_is_asked_for(
    tmp_path: Path, run: RunFolder, change: str
) -> None:
    source = pictures(tmp_path / "in")
    (source / "003.txt").write_text("a fox")
    plan(source, run, shard_size=4)
    assert changed(source, run, pictures=True) == ""
    if change == "added":
        (source / "new.png").write_bytes(encoded(2))
    elif change == "replaced":
        (source / "002.png").write_bytes(encoded(2) + b"more")
    else:
        (source / "003.txt").write_text("a wolf")
    assert changed(source, run) == ""
    assert plan(source, run, shard_size=4) == 3, "a resume does not list millions of pictures"
    how = "11 files then, 12 now" if change == "added" else "as many files, of other names"
    why = changed(source, run, pictures=True)
    assert why.startswith(f"{source} has changed since it was planned ({how}")
    assert "delete plan.jsonl and planned.json" in why


@pytest.mark.parametrize("change", ["added", "gone", "rewritten"])
@pytest.mark.parametrize("kind", ["archives", "tables", "stored archives"])
def test_changed_archives_and_tables_are_refused_when_a_run_goes_on(
    tmp_path: Path, run: RunFolder, kind: str, change: str
) -> None:
    suffix = ".parquet" if kind == "tables" else ".tar"
    stored = kind == "stored archives"
    source = Place(f"memory://{tmp_path.name}/in") if stored else Place(tmp_path / "in")

    def put(name: str, number: int) -> None:
        file = tmp_path / f"made{suffix}"
        if suffix == ".tar":
            write_tar(file, {"0.png": encoded(number), "1.png": b"x" * number})
        else:
            pq.write_table(pa.table({"image": [b"x" * number]}), file)
        (source / f"{name}{suffix}").write(file.read_bytes())

    put("a", 1)
    put("b", 2)
    assert plan(source.address, run) == 2
    assert plan(source.address, run) == 2
    if change == "gone":
        (source / f"b{suffix}").delete()
    else:
        put("c" if change == "added" else "b", 3)
    with pytest.raises(DataError, match=r"has changed since it was planned.*to plan anew"):
        plan(source.address, run)
    for file in ("plan.jsonl", "planned.json"):
        (run.place / "_run" / file).delete()
    assert plan(source.address, run) == {"gone": 1, "added": 3, "rewritten": 2}[change]


def test_a_rewritten_manifest_or_file_of_prompts_is_refused(tmp_path: Path, run: RunFolder) -> None:
    manifest, prompts = tmp_path / "m.csv", tmp_path / "p.txt"
    manifest.write_text("image,prompt\na.png,x\n")
    plan(manifest, run)
    manifest.write_text("image,prompt\na.png,xy\n")
    with pytest.raises(DataError, match=r"m\.csv has changed since it was planned \(as many"):
        plan(manifest, run)
    other = RunFolder(Place(tmp_path / "other"))
    prompts.write_text("p\n" * 10)
    plan(pictures(tmp_path / "in"), other, prompts=prompts)
    prompts.write_text("pq\n" * 10)
    with pytest.raises(DataError, match=r"p\.txt has changed since it was planned; delete"):
        plan(tmp_path / "in", other, prompts=prompts)
    assert changed(tmp_path, RunFolder(Place(tmp_path / "none"))) == ""


def test_shards_that_a_new_plan_has_too_keep_their_lists(tmp_path: Path, run: RunFolder) -> None:
    source = pictures(tmp_path / "in")
    plan(source, run, shard_size=4)
    first = list(run.plan())
    (source / "zzz.png").write_bytes(encoded(2))
    run.plan_file().delete()
    (run.place / "_run/planned.json").delete()
    assert plan(source, run, shard_size=4) == 3
    second = list(run.plan())
    assert second[:2] == first[:2]
    assert second[2].source != first[2].source


def test_a_plan_without_what_it_is_of_is_not_taken_for_another(
    tmp_path: Path, run: RunFolder
) -> None:
    plan(pictures(tmp_path / "in"), run, shard_size=4)
    (run.place / "_run/planned.json").delete()
    with pytest.raises(DataError, match=r"plan\.jsonl is not of what .* is planned for"):
        plan(tmp_path / "in", run, shard_size=3)
    assert plan(tmp_path / "in", run, shard_size=4) == 3


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
    write = Place.write_new
    for name in ("part-0000002", "planned.json", "plan.jsonl"):

        def killed(place: Place, contents: bytes, name: str = name) -> bool:
            if place.name.startswith(name):
                raise KeyboardInterrupt
            return write(place, contents)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Place, "write_new", killed)
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
    digest = said.pop("digest")
    assert len(digest) == 32
    assert said == {
        **{"source": source, "prompts": "", "shards": 2, "shard_size": 5},
        **{"files": 10, "text": "", "costly": True},
    }
    (run.place / "_run/planned.json").write(b"{")
    with pytest.raises(DataError, match=r"planned\.json is damaged"):
        plan(source, run)
