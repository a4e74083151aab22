"""Shards are whole, ours and undamaged, or the error says which is not."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder._tables.shards import Shards, check_free
from beholder.errors import DataError


def shards(folder: Path) -> Shards:
    made = Shards(folder, "mps")
    made.append({"key": ["a", "b"], "mps.total": [0.5, None]}, {"weights": "x"})
    made.append({"key": ["c"], "mps.total": [None]}, {"weights": "x"})
    return made


def test_shards_are_numbered_and_carry_their_configuration(tmp_path: Path) -> None:
    made = shards(tmp_path)
    assert [path.name for path in made.paths()] == ["00000000.parquet", "00000001.parquet"]
    assert made.config() == {"weights": "x"}
    assert made.rows() == 3
    table = made.read()
    assert table is not None
    assert table["mps.total"].type == pa.float32()
    assert table["mps.total"].to_pylist() == [0.5, None, None]


def test_nothing_written_is_no_table(tmp_path: Path) -> None:
    assert Shards(tmp_path / "none", "mps").read() is None


def test_what_was_left_half_written_is_ignored(tmp_path: Path) -> None:
    made = shards(tmp_path)
    (tmp_path / ".00000002.parquet.tmp").write_bytes(b"PAR1 cut")
    assert made.rows() == 3


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_cut_shard_is_named(tmp_path: Path, kept: int) -> None:
    made = shards(tmp_path)
    path = made.paths()[1]
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"00000001\.parquet is damaged"):
        made.read()


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    made = shards(tmp_path)
    path = made.paths()[0]
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"00000000\.parquet is damaged"):
        made.read()


def test_someone_elses_parquet_is_named(tmp_path: Path) -> None:
    made = shards(tmp_path)
    pq.write_table(pa.table({"key": ["z"]}), tmp_path / "zebra.parquet")
    with pytest.raises(DataError, match=r"zebra\.parquet is not a shard of mps"):
        made.read()


def test_a_column_that_a_reward_would_write_is_refused_with_another_name_for_the_reward() -> None:
    check_free("mps.total", {"hps"})
    check_free("mps", {"mps"})
    with pytest.raises(DataError, match=r"'mps\.total' already; .* -r mps_again="):
        check_free("mps.total", {"mps"})
