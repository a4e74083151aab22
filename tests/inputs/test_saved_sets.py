import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from beholder._inputs.saved_sets import open_saved
from beholder.errors import DataError
from beholder.inputs import read_inputs


def saved(folder: Path, **state: object) -> Path:
    """A data set of one row, whose state.json says something else."""
    datasets.Dataset.from_dict({"image": ["a.png"], "prompt": ["x"]}).save_to_disk(folder)
    path = folder / "state.json"
    told: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps(told | state))
    return folder


def test_rows_come_as_they_are_stored(tmp_path: Path) -> None:
    assert list(open_saved(saved(tmp_path / "s", _format_type="numpy"))) == [
        {"image": "a.png", "prompt": "x"}
    ]


@pytest.mark.parametrize(
    "state",
    [
        {"_data_files": [{"filename": "../other/data.arrow"}]},
        {"_data_files": [{"filename": "/etc/passwd"}]},
        {"_data_files": [{"filename": "gone.arrow"}]},
        {"_data_files": None},
        {"_data_files": [{}]},
        {"_format_type": "custom"},
        {"_format_type": "evil"},
        {"_format_kwargs": {"transform": "os.system"}},
    ],
)
def test_what_is_damaged_or_names_other_files_is_refused(
    tmp_path: Path, state: dict[str, object]
) -> None:
    with pytest.raises(DataError, match="is damaged or no saved data set"):
        read_inputs(saved(tmp_path / "s", **state))


def test_features_choose_no_code(tmp_path: Path) -> None:
    info = saved(tmp_path / "s") / "dataset_info.json"
    told = json.loads(info.read_text())
    told["features"]["image"] = {"_type": "__import__", "name": "os"}
    info.write_text(json.dumps(told))
    with pytest.raises(DataError, match="__import__"):
        read_inputs(tmp_path / "s")
