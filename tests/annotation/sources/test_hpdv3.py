from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.sources._source import Tally
from beholder.annotation.sources.hpdv3 import HPDv3
from beholder.errors import ConfigError
from beholder.types import Comparison
from tests.annotation.sources.published import touch, write_json


def pair(**changes: Any) -> dict[str, Any]:
    row = {"prompt": "a fox", "path1": "images/a.jpg", "path2": "images/b.jpg"}
    return {**row, "model1": "x", "model2": "y", **changes}


def read(folder: Path, tally: Tally | None = None, **options: Any) -> list[Comparison]:
    records = HPDv3(**options).records(folder, "test", tally)
    return [record for record in records if isinstance(record, Comparison)]


def test_the_first_path_is_preferred(tmp_path: Path) -> None:
    write_json(tmp_path / "test.json", [pair(choice_dist=[5, 5], confidence=0.1)])
    touch(tmp_path, "images/a.jpg", "images/b.jpg")
    (record,) = read(tmp_path)
    assert record.ranks["overall"] == (1, 2)
    assert record.images == (str(tmp_path / "images/a.jpg"), str(tmp_path / "images/b.jpg"))
    assert not record.flags


@pytest.mark.parametrize(
    ("dist", "threshold", "tied"),
    [
        ([7, 3], 0.4, True),  # |7 - 3| / 10 = 0.4 is not above the threshold
        ([7, 3], 0.39, False),
        ([0.55, 0.45], 0.2, True),
        ([10, 9], 0.0, False),
        ([9, 9], 0.0, True),
        ([3, 7], 0.1, False),
        (None, 1.0, False),
    ],
)
def test_shares_within_the_threshold_tie(
    dist: list[float] | None, threshold: float, tied: bool, tmp_path: Path
) -> None:
    write_json(tmp_path / "test.json", [pair(choice_dist=dist)])
    tally = Tally()
    (record,) = read(tmp_path, tally, tied_threshold=threshold)
    assert record.ranks["overall"] == ((1, 1) if tied else (1, 2))
    assert tally.ties == tied


def test_pairs_of_low_confidence_are_left_out_and_those_without_stay(tmp_path: Path) -> None:
    rows = [pair(confidence=c) for c in (0.95, 0.94, None, 1.0)]
    write_json(tmp_path / "test.json", [*rows, pair()])
    tally = Tally()
    records = read(tmp_path, tally, min_confidence=0.95)
    assert [r.key for r in records] == [f"hpdv3/test/{n}" for n in (1, 3, 4, 5)]
    assert tally.left_out == {"the confidence is too low": 1}


def test_malformed_rows_are_counted_by_reason(tmp_path: Path) -> None:
    bad = [
        pair(choice_dist=[1]),
        pair(choice_dist=[0, 0]),
        pair(choice_dist=[-1, 2]),
        pair(choice_dist="7:3"),
        pair(confidence="high"),
        pair(path2=None),
        pair(path1="/etc/passwd"),
    ]
    write_json(tmp_path / "test.json", bad)
    tally = Tally()
    assert read(tmp_path, tally, tied_threshold=0.1, min_confidence=0.5) == []
    assert tally.left_out == {
        "choice_dist is no pair of shares": 3,
        "choice_dist is no list": 1,
        "confidence is no number": 1,
        "path2 is no text": 1,
        "the picture's path leaves the data set": 1,
    }


@pytest.mark.parametrize("option", ["tied_threshold", "min_confidence"])
def test_options_outside_their_range_are_told(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"{option} is 1\.5, expected a number in \[0, 1\]"):
        HPDv3(**{option: 1.5})
