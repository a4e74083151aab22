import json
import math
from pathlib import Path

from beholder.training._tuning.start import Start


def test_a_start_is_read_as_it_was_written(tmp_path: Path) -> None:
    start = Start(mean=0.1, std=1 / 3, levels=(1.0, 0.25), held_out_mean=21.0, held_out_std=math.pi)
    start.save(tmp_path / "start.json")
    assert Start.load(tmp_path / "start.json") == start


def test_what_is_not_known_is_null_in_the_file_and_nan_again(tmp_path: Path) -> None:
    path = tmp_path / "start.json"
    Start(mean=0.0, std=1.0, levels=()).save(path)
    assert json.loads(path.read_text())["held_out_mean"] is None
    assert math.isnan(Start.load(path).held_out_mean)
