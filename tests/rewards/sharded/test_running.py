"""One call from a source to a folder of scores, and the same call again."""

from pathlib import Path

import pytest

from beholder.errors import ConfigError
from beholder.rewards.sharded.running import ShardedConfig, is_sharded, run_sharded
from tests.rewards.sharded.hostile import write_pictures

TINY = {"r": ("tiny", {"seed": 3})}


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> ShardedConfig:
    """The engine that needs no further process."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    return ShardedConfig(engine="ranks", shard_size=2)


def test_a_run_counts_what_it_did_and_what_is_there(
    tmp_path: Path, ranks: ShardedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "p", [10, 20, 30, 40, 50])
    (tmp_path / "p" / "04.png").write_bytes(b"")
    out = tmp_path / "out"
    assert not is_sharded(out)
    told: list[tuple[int, int]] = []
    pictures: list[int] = []
    monkeypatch.chdir(tmp_path)
    summary = run_sharded(
        "p", TINY, "out", ranks, progress=pictures.append, on_shard=lambda *n: told.append(n)
    )
    assert is_sharded(out)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert sum(pictures) == 5
    said = summary.as_dict()
    assert said.pop("seconds") == summary.seconds
    assert said == {
        "rows": 5,
        "shards": 3,
        "done_before": 0,
        "scored": 3,
        "failed": {},
        "errors": {"r": {"empty": 1}},
    }
    assert not summary.is_complete
    monkeypatch.chdir(out)
    again = run_sharded(tmp_path / "p", TINY, out, ranks)
    assert (again.rows, again.done_before, again.scored) == (5, 3, 0)
    assert again.errors == {"r": {"empty": 1}}


def test_prompts_may_come_from_elsewhere(tmp_path: Path, ranks: ShardedConfig) -> None:
    write_pictures(tmp_path / "p", [10, 20])
    for text in (tmp_path / "p").glob("*.txt"):
        text.unlink()
    (tmp_path / "prompts.txt").write_text("a fox\na hen\n")
    summary = run_sharded(
        tmp_path / "p", TINY, tmp_path / "out", ranks, prompts=tmp_path / "prompts.txt"
    )
    assert summary.is_complete
    with pytest.raises(ConfigError, match="prompts was"):
        run_sharded(tmp_path / "p", TINY, tmp_path / "out", ranks)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"engine": "dask"}, "no engine named 'dask'"),
        ({"workers": 0}, "workers must be 1 or more"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"stall_seconds": 0.0}, "stall_seconds must be above 0"),
        ({"engine": "ranks", "workers": 2}, "the engine ranks takes no workers"),
        ({"address": "auto", "gpus": 0.5}, "the engine processes takes no address, gpus"),
    ],
)
def test_settings_that_mean_nothing_are_refused(setting: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        ShardedConfig(**setting)  # type: ignore[arg-type]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, ranks: ShardedConfig) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is no sharded run"):
        run_sharded(tmp_path, TINY, tmp_path, ranks)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
