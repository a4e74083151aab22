"""A file counts as a shard's scores only if it is of the very shard that is planned."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from beholder._run_folder import FOOTER, Run, RunFolder, Shard, footer, is_done, read_footer
from beholder.errors import DataError
from beholder.storage import Place

SHARD = Shard(
    name="a",
    kind="parquet",
    source="/data/a.parquet",
    first=1,
    stop=2,
    rows=7,
    size=90,
    mark="12",
    prefix="a.tar/",
    before=5,
)
RUN = Run(source="/data", rewards={"r": {"weights": 1}})


def said(shard: Shard = SHARD, run: Run = RUN) -> dict[str, object]:
    schema = pa.schema([]).with_metadata({FOOTER: footer(shard, run, 7, {"r": {"missing": 2}})})
    return read_footer(schema)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "b"},
        {"kind": "list"},
        {"source": "/data/b.parquet"},
        {"first": 0},
        {"stop": 3},
        {"rows": 8},
        {"size": 91},
        {"mark": "13"},
        {"prefix": ""},
        {"before": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_shard_is_done_only_as_it_is_planned(change: dict[str, object]) -> None:
    assert is_done(said(), SHARD, RUN.config_hash)
    other = replace(SHARD, **change)  # type: ignore[arg-type]
    assert not is_done(said(), other, RUN.config_hash)


def test_a_shard_is_done_only_by_the_same_configuration() -> None:
    assert not is_done(said(), SHARD, Run(source="/data", rewards={"r": {}}).config_hash)
    assert not is_done({}, SHARD, RUN.config_hash)


def test_a_footer_tells_rows_and_errors_and_other_files_have_none() -> None:
    found = said()
    assert (found["shard"], found["rows"], found["errors"]) == ("a", 7, {"r": {"missing": 2}})
    assert read_footer(pa.schema([])) == {}
    assert read_footer(pa.schema([]).with_metadata({FOOTER: b'{"format": 0}'})) == {}


def test_plan_and_run_read_back_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    folder = RunFolder(Place(tmp_path))
    assert not folder.is_run()
    folder.write_run(RUN)
    folder.write_plan([SHARD, replace(SHARD, name="b", rows=None)])
    assert folder.run() == RUN
    assert list(folder.plan()) == [SHARD, replace(SHARD, name="b", rows=None)]
    folder.plan_file().write(b'{"name": "a"}\n')
    with pytest.raises(DataError, match=r"plan\.jsonl, line 1"):
        list(folder.plan())
    for text, why in (
        (json.dumps({"format": 1, "source": "x", "colour": "red"}), "damaged: .*colour"),
        (json.dumps({"format": 0}), "of another version"),
        ("[]", "damaged: expected an object"),
        ("{", "damaged"),
    ):
        folder.run_file().write(text.encode())
        with pytest.raises(DataError, match=why):
            folder.run()
