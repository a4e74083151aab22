"""Records of a saved data set come without the bytes of their pictures."""

from pathlib import Path

import datasets
import pytest

from beholder._inputs.sources import Saved
from beholder._plan.saved import light_records
from beholder.inputs import records_of
from tests._plan.sources import saved


def test_pictures_are_stood_for(tmp_path: Path) -> None:
    folder = Path(saved(tmp_path))
    records, _ = records_of(Saved(folder))
    light = list(light_records(folder, records).read())
    for found, full in zip(light, records.read(), strict=True):
        assert found["text"] == full["text"]
        assert found["image"] == {"bytes": b".", "path": full["image"]["path"]}


@pytest.mark.parametrize("cells", [["a.png", None, "b.png"], [b"x", None, b"y"]])
def test_paths_and_plain_bytes_are_told_apart(tmp_path: Path, cells: list[object]) -> None:
    datasets.Dataset.from_dict({"path": cells}).save_to_disk(tmp_path / "s")
    records, _ = records_of(Saved(tmp_path / "s"))
    light = [record["path"] for record in light_records(tmp_path / "s", records).read()]
    assert light == [b"." if isinstance(cell, bytes) else cell for cell in cells]
