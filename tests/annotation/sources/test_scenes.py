from pathlib import Path

import pytest
import torch

from beholder.annotation.joining.feedback import read_feedback
from beholder.annotation.sources import Tally, convert, load
from beholder.annotation.sources.scenes import Scenes
from beholder.errors import AnnotationError, ConfigError
from beholder.images import read_image
from beholder.types import MAPS, RATED, Feedback
from tests.annotation.sources._scenes.material import without_packages, write_photographs


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenes:
    without_packages(monkeypatch, tmp_path)
    own = write_photographs(tmp_path / "own")
    found = load("scenes", size=64, count=25, folder=tmp_path / "drawn", photographs=own)
    assert isinstance(found, Scenes)
    return found


def records(scenes: Scenes, tally: Tally | None = None) -> list[Feedback]:
    return [r for r in scenes.records(None, "dev", tally) if isinstance(r, Feedback)]


def test_every_scene_is_feedback_with_values_maps_and_words(scenes: Scenes) -> None:
    found = records(scenes)
    assert [r.key for r in found] == [f"scenes/dev/{k:06d}" for k in range(25)]
    for record in found:
        assert tuple(record.values) == RATED
        assert tuple(record.maps) == MAPS
        assert all((m.shape, m.dtype) == ((64, 64), torch.uint8) for m in record.maps.values())
        assert read_image(record.image).shape == (3, 64, 64)
        assert record.votes == 1
        assert record.words


def test_words_and_maps_say_what_the_truth_says(scenes: Scenes) -> None:
    for record, truth in zip(records(scenes), scenes.truth(split="dev"), strict=True):
        wrong = [s for s in truth["statements"] if s["altered"]]
        told = {w for s in wrong for w in record.prompt[s["start"] : s["end"]].split()}
        assert {w.word for w in record.words if w.p_misaligned} == told
        assert bool(record.maps["misalignment"].any()) == any(s["about"] for s in wrong)
        severities = [defect["severity"] for defect in truth["defects"]]
        highest = int(record.maps["implausibility"].max())
        assert highest <= round(255 * max(severities, default=0))
        assert bool(highest) == bool(severities)
        assert record.values == truth["values"]


def test_a_place_is_drawn_into_as_well(scenes: Scenes, tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    here = next(iter(scenes.records(tmp_path / "place", "dev")))
    assert isinstance(here, Feedback)
    assert here.image == str(tmp_path / "place/dev/000000.png")


def test_scenes_convert_to_a_data_set_that_reads_back_the_same(
    scenes: Scenes, tmp_path: Path
) -> None:
    report = convert(scenes, None, "dev", tmp_path / "out", limit=10)
    assert (report.tally.records, report.tally.left_out.total()) == (10, 0)
    for back, record in zip(read_feedback(tmp_path / "out"), records(scenes), strict=False):
        assert (back.prompt, back.image, back.values) == (
            record.prompt,
            record.image,
            record.values,
        )
        assert list(back.words) == list(record.words)
        assert all(torch.equal(back.maps[kind], record.maps[kind]) for kind in MAPS)


def test_a_picture_that_is_gone_is_counted_and_kept_out(scenes: Scenes, tmp_path: Path) -> None:
    records(scenes)
    (tmp_path / "drawn/dev/000003.png").unlink()
    tally = Tally()
    found = records(scenes, tally)
    assert len(found) == 24
    assert tally.left_out == {"missing_picture": 1}
    assert "000003.png" in tally.examples["missing_picture"][0]


def test_what_cannot_be_drawn_is_told() -> None:
    with pytest.raises(AnnotationError, match="give a folder to draw into"):
        list(load("scenes").records(None, "dev"))
    with pytest.raises(ConfigError, match="size of scenes is 8, expected 64 or more"):
        load("scenes", size=8)
    with pytest.raises(ConfigError, match="processes of scenes is 0, expected 1 or more"):
        load("scenes", processes=0)
    with pytest.raises(ConfigError, match="'size' of 'scenes' is True, expected int"):
        load("scenes", size=True)
