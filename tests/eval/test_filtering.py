"""Every row is kept or dropped, and a dropped one says why."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval.filtering import (
    Decided,
    Distinct,
    Output,
    Rule,
    decide,
    default_score,
    filter_table,
    select,
    write_decided,
)
from beholder.tables import ScoreTable
from tests.eval.filtered import THOROUGH, one_by_one, scored
from tests.sharded_runs import write_run

ROWS: list[dict[str, object]] = [
    {"key": f"{k}.png", "prompt": prompt, "mps.total": total, "mps.error": error}
    for k, (prompt, total, error) in enumerate(
        [("p", 0.1, None), ("p", 0.9, None), ("p", 0.5, None), ("q", 0.4, None),
         ("q", None, "truncated: cut"), ("q", 0.9, None)]
    )
]  # fmt: skip


def kept(rule: Rule) -> list[int]:
    return [k for k, why in enumerate(select(ROWS, rule)) if why is None]


def test_a_condition_keeps_what_fulfils_it() -> None:
    reasons = select(ROWS, Rule(where='mps.total > 0.3 and prompt == "p"'))
    assert reasons == [
        "not mps.total > 0.3",
        None,
        None,
        "not prompt == 'p'",
        "error: truncated: cut",
        "not prompt == 'p'",
    ]


@pytest.mark.parametrize(
    ("top", "by", "expected"),
    [
        (2, "", [1, 5]),
        (1, "", [1]),  # rows 1 and 5 are equal; the earlier wins
        (0.4, "", [1, 5]),  # two fifths of five scored rows
        (0.41, "", [1, 2, 5]),  # rounded up
        (1, "prompt", [1, 5]),
        (0.5, "prompt", [1, 2, 5]),
        (100, "prompt", [0, 1, 2, 3, 5]),
    ],
)
def test_the_top_is_a_share_or_a_number_in_each_group(
    top: float, by: str, expected: list[int]
) -> None:
    assert kept(Rule(top=top, score="mps.total", by=by)) == expected


def test_a_share_is_not_rounded_up_by_floating_point() -> None:
    rows = [{"s": float(k)} for k in range(15)]
    assert select(rows, Rule(top=0.2, score="s")).count(None) == 3


def test_the_top_is_taken_of_what_passes_the_condition() -> None:
    assert kept(Rule(where="mps.total < 0.9", top=1, score="mps.total", by="prompt")) == [2, 3]
    assert select(ROWS, Rule(where="mps.total < 0.9", top=1, score="mps.total"))[3] == (
        "not in the top 1 by mps.total"
    )


def test_an_error_of_a_reward_that_is_not_asked_about_drops_nothing() -> None:
    assert kept(Rule(where='prompt == "q"')) == [3, 4, 5]


def test_rows_that_cannot_be_judged_say_so() -> None:
    rows: list[dict[str, object]] = [{"a": 1.0, "b": 0.0}, {"a": None, "b": 1.0}]
    assert select(rows, Rule(where="a / b > 1")) == [
        "division by zero in a / b > 1",
        "no value in a",
    ]


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        ({"top": 0}, "share in"),
        ({"top": 1.5, "score": "a"}, "share in"),
        ({"top": float("nan"), "score": "a"}, "share in"),
        ({"top": 0.2}, "needs the column of scores"),
        ({"by": "prompt"}, "needs a top"),
        ({"where": "import os"}, "cannot read the rule"),
    ],
)
def test_senseless_rules_are_refused(rule: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Rule(**rule)  # type: ignore[arg-type]


def test_the_top_of_texts_is_refused() -> None:
    with pytest.raises(ConfigError, match="holds texts such as 'p'"):
        select(ROWS, Rule(top=1, score="prompt"))


@pytest.fixture
def table(tmp_path: Path) -> ScoreTable:
    made = ScoreTable(tmp_path / "scores")
    keys = ["a.png", "../a.png", "sub/A.png", "bad.png", "gone.png"]
    for name in ("one", "two", "three", "four"):
        (tmp_path / f"{name}.png").write_text(name)
    files = ["one.png", "two.png", "three.png", "four.png", "five.png"]
    with made.writing() as writer:
        writer.claim("mps", {})
        writer.add_inputs(
            [
                {"key": k, "image": str(tmp_path / f), "prompt": "p"}
                for k, f in zip(keys, files, strict=True)
            ]
        )
        errors = [None, None, None, "empty: no bytes", None]
        totals = [0.75, 0.5, 0.25, None, 1.0]
        writer.add_scores("mps", {"key": keys, "mps.total": totals, "mps.error": errors})
    return made


def test_what_is_written_can_be_read_back(table: ScoreTable, tmp_path: Path) -> None:
    summary = filter_table(table, Rule(where="mps.total > 0.3"), tmp_path / "kept")
    assert (summary.rows, summary.kept, summary.dropped) == (5, 3, 2)
    assert summary.reasons == {"not mps.total > 0.3": 1, "empty": 1}
    assert json.loads((tmp_path / "kept/summary.json").read_text()) == json.loads(
        json.dumps(summary.as_dict())
    )
    lines = (tmp_path / "kept/kept.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["a.png", "../a.png", "gone.png"]
    kept_rows = pq.read_table(tmp_path / "kept/kept.parquet").to_pylist()
    assert kept_rows == [json.loads(line) for line in lines]
    dropped = pq.read_table(tmp_path / "kept/dropped.parquet").to_pylist()
    assert [row["reason"] for row in dropped] == ["not mps.total > 0.3", "error: empty: no bytes"]


def test_an_empty_outcome_keeps_its_columns(table: ScoreTable, tmp_path: Path) -> None:
    filter_table(table, Rule(where="mps.total > 9"), tmp_path / "kept")
    assert pq.read_table(tmp_path / "kept/kept.parquet").column_names == table.columns


@pytest.mark.parametrize("pictures", ["link", "copy"])
def test_kept_pictures_come_along_under_safe_names(
    table: ScoreTable, tmp_path: Path, pictures: str
) -> None:
    out = tmp_path / "kept"
    rule = Rule(where="mps.total > 0")
    summary = filter_table(table, rule, out, pictures=pictures)
    places = pq.read_table(out / "kept.parquet")["picture"].to_pylist()
    assert places == ["pictures/a.png", "pictures/a-2.png", "pictures/sub/A.png", None]
    assert [(out / place).read_text() for place in places[:3]] == ["one", "two", "three"]
    assert summary.pictures_missing == 1
    linked = (out / "pictures/a.png").samefile(tmp_path / "one.png")
    assert linked is (pictures == "link")


def test_the_same_filter_writes_the_same_bytes(table: ScoreTable, tmp_path: Path) -> None:
    for name in ("1", "2"):
        filter_table(table, Rule(top=0.5, score="mps.total", by="prompt"), tmp_path / name)
    for name in ("kept.jsonl", "dropped.jsonl", "kept.parquet", "summary.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_failed_filter_leaves_nothing(table: ScoreTable, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'mps\.total'"):
        filter_table(table, Rule(where="mps.totl > 1"), tmp_path / "kept")
    with pytest.raises(ConfigError, match="pictures must be"):
        filter_table(table, Rule(), tmp_path / "kept", pictures="move")
    with pytest.raises(DataError, match="is not empty"):
        filter_table(table, Rule(), table.folder)
    assert not (tmp_path / "kept").exists()


def test_the_only_reward_ranks_the_top(table: ScoreTable) -> None:
    assert default_score(table) == "mps.total"
    with table.writing() as writer:
        writer.claim("hps", {})
        writer.add_scores("hps", {"key": ["a.png"], "hps.total": [1.0], "hps.error": [None]})
    with pytest.raises(ConfigError, match=r"one of: hps\.total, mps\.total"):
        default_score(table)


def test_a_thorough_filter_is_that_of_one_row_after_the_other() -> None:
    rows = scored(500)
    assert select(rows, THOROUGH) == one_by_one(rows)


def both_kinds(folder: Path, rows: Sequence[dict[str, object]]) -> tuple[ScoreTable, ScoreTable]:
    """The same rows as a table that grew, and as a run of shards of uneven sizes."""
    grown = ScoreTable(folder / "grown")
    inputs = ("key", "image", "prompt", "source")
    with grown.writing() as writer:
        writer.add_inputs([{name: row[name] for name in inputs} for row in rows])
        for reward in "ab":
            writer.claim(reward, {"weights": "ab", "options": {"seed": 1}})
            names = ("key", f"{reward}.total", f"{reward}.error")
            writer.add_scores(reward, {name: [row[name] for row in rows] for name in names})
    whole = grown.read()
    cuts = pairwise([0, 3, 4, 120, len(rows)])
    shards = {f"s-{k}": whole.slice(a, b - a) for k, (a, b) in enumerate(cuts)}
    return grown, write_run(folder / "run", shards, ["a", "b"])


def test_a_run_of_shards_is_filtered_to_the_same_bytes_as_a_table(tmp_path: Path) -> None:
    for table in both_kinds(tmp_path, scored(200)):
        filter_table(table, THOROUGH, table.folder.with_suffix(".kept"))
        filter_table(table, THOROUGH, table.folder.with_suffix(".again"))
    names = ["card.html", "dropped.jsonl", "dropped.parquet", "kept.jsonl", "kept.parquet"]
    grown = tmp_path / "grown.kept"
    assert sorted(p.name for p in grown.iterdir()) == [*names, "summary.json"]
    for name in (*names, "summary.json"):
        assert (tmp_path / "grown.again" / name).read_bytes() == (grown / name).read_bytes()
        if name != "card.html":  # it names its folder
            assert (tmp_path / "run.kept" / name).read_bytes() == (grown / name).read_bytes()
    summary = json.loads((grown / "summary.json").read_text())
    assert set(summary["scores"]) == {"a", "b"}
    assert summary["rule"]["budget"] == 30


def decided(table: ScoreTable, rule: Rule, distinct: Distinct | None = None) -> Decided:
    return decide(table, rule, distinct=distinct)


def test_what_is_decided_is_counted_before_anything_is_written(tmp_path: Path) -> None:
    _, run = both_kinds(tmp_path, scored(50))
    found = decided(run, Rule(where="zscore(b.total) > 0"))
    summary = found.summary()
    assert (summary.rows, summary.kept + summary.dropped) == (50, 50)
    assert not (tmp_path / "kept").exists()
    written = write_decided(found, tmp_path / "kept", Output(jsonl=False, card=False))
    assert written == summary
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == [
        "dropped.parquet", "kept.parquet", "summary.json",
    ]  # fmt: skip


def test_likeness_is_judged_after_conditions_and_before_the_top(tmp_path: Path) -> None:
    from PIL import Image

    for name, grey in (("a", 10), ("b", 10), ("c", 200)):
        picture = Image.new("L", (32, 32), grey)
        picture.putpixel((3 if name == "c" else 20, 9), 255)
        picture.save(tmp_path / f"{name}.png")
    keys = list("abc")
    part = pa.table(
        {
            "key": keys,
            "image": [str(tmp_path / f"{k}.png") for k in keys],
            "prompt": keys,
            "a.total": [1.0, 2.0, 0.5],
            "a.error": pa.nulls(3, pa.string()),
        }
    )
    table = write_run(tmp_path / "run", {"s-0": part}, ["a"])
    rule = Rule(top=1, score="a.total")
    found = decided(table, rule, Distinct(dedup=0.999))
    assert found.decision.counts() == {"near duplicate": 1, "not in the top 1 by a.total": 1}
    summary = write_decided(found, tmp_path / "kept", Output(pictures="webdataset"))
    assert (summary.kept, summary.likeness["dedup"]) == (1, 0.999)
    kept_row = pq.read_table(tmp_path / "kept" / "kept.parquet").to_pylist()[0]
    assert kept_row["key"] == "b"
    assert kept_row["picture"].startswith("shards/000000.tar/")
    assert "near duplicate" in (tmp_path / "kept" / "card.html").read_text().lower()
