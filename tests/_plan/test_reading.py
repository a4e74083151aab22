"""Shards together give what their source gives as a whole."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from beholder._inputs.rows import Row
from beholder._plan.planning import plan
from beholder._plan.reading import shard_rows
from beholder._run_folder import RunFolder
from beholder.errors import DataError, ImageError
from beholder.inputs import read_inputs
from beholder.located import each_picture
from beholder.storage import Place, is_remote
from tests._plan.sources import SOURCES, one_zip, tars
from tests.archives import encoded, write_tar


def planned(source: str, folder: Path, shard_size: int = 4) -> RunFolder:
    run = RunFolder(Place(folder))
    plan(source, run, shard_size=shard_size)
    return run


def told(row: Row) -> tuple[object, ...]:
    return row.key, shown(row.image), row.prompt, row.name, dict(row.extra)


def shown(image: object) -> object:
    if isinstance(image, ImageError):
        return image.code
    return image.tolist() if isinstance(image, np.ndarray) else image


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_shards_give_the_rows_of_the_whole_source_in_order(
    tmp_path: Path, source: Callable[[Path], str]
) -> None:
    made = source(tmp_path)
    whole = [told(row) for row in read_inputs(made)]
    shards = list(planned(made, tmp_path / "out").plan())
    found = [told(row) for shard in shards for row in shard_rows(shard)]
    assert found == whole
    assert len({key for key, *_ in found}) == len(found) > 0
    assert len({shard.name for shard in shards}) == len(shards)
    sizes = [len(shard_rows(shard)) for shard in shards]
    assert [shard.rows for shard in shards if shard.rows is not None] in ([], sizes)
    assert sum(sizes) == len(read_inputs(made)) == len(whole)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_rows_name_finds_its_picture_again(tmp_path: Path, source: Callable[[Path], str]) -> None:
    rows = [row for row in read_inputs(source(tmp_path)) if row.image is not None]
    again = list(each_picture(row.name for row in rows))
    assert [shown(image) for image in again] == [shown(row.image) for row in rows]
    backwards = list(each_picture(row.name for row in reversed(rows)))
    assert [shown(image) for image in reversed(backwards)] == [shown(row.image) for row in rows]
    assert all(Path(row.name).is_absolute() or is_remote(row.name) for row in rows)


def test_a_shard_whose_source_changed_or_is_gone_says_so(tmp_path: Path) -> None:
    source = Path(tars(tmp_path))
    first, second, _ = planned(str(source), tmp_path / "out").plan()
    write_tar(source / "deep/s-0.tar", {"0.jpg": encoded(1)})
    with pytest.raises(DataError, match=r"deep/s-0\.tar has changed since it was planned"):
        shard_rows(first)
    (source / "s-0.tar").unlink()
    with pytest.raises(DataError, match=r"s-0\.tar cannot be read: there is no such file"):
        shard_rows(second)


def test_a_damaged_archive_or_list_says_so(tmp_path: Path) -> None:
    source = Path(one_zip(tmp_path))
    source.write_bytes(b"no archive")
    (shard,) = planned(str(source), tmp_path / "a").plan()
    with pytest.raises(DataError, match=r"a\.zip is damaged"):
        shard_rows(shard)
    (tmp_path / "x.png").write_bytes(encoded(1))
    (shard,) = planned(str(tmp_path / "x.png"), tmp_path / "b").plan()
    Path(shard.source).write_bytes(b"PAR1")
    with pytest.raises(
        DataError, match=r"part-0000000-\w+\.parquet is not the list that was planned"
    ):
        shard_rows(shard)


def test_a_remote_archive_is_local_only_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "fetched"))
    (tmp_path / "fetched").mkdir()
    shard = next(planned(SOURCES["remote_tars"](tmp_path), tmp_path / "out").plan())
    inputs = shard_rows(shard)
    assert len(list((tmp_path / "fetched").rglob("*.tar"))) == 1
    rows = iter(inputs)
    next(rows)
    assert len(list((tmp_path / "fetched").rglob("*.tar"))) == 1
    assert len(list(rows)) == 2
    assert list((tmp_path / "fetched").iterdir()) == []
    assert len(list(inputs)) == 3, "it is fetched anew"
    unread = shard_rows(shard)
    del unread
    assert list((tmp_path / "fetched").iterdir()) == []


def test_a_shard_tells_whether_it_has_prompts(tmp_path: Path) -> None:
    shards = planned(tars(tmp_path), tmp_path / "a").plan()
    assert [shard_rows(shard).has_prompts for shard in shards] == [True] * 3
    (shard,) = planned(one_zip(tmp_path), tmp_path / "b").plan()
    assert not shard_rows(shard).has_prompts
