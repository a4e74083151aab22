"""A side is pictures, videos or a file, and says what became of every row."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from beholder.errors import DataError, ItemError
from beholder.eval._features import Features
from beholder.eval.extraction import Pass
from beholder.eval.measures._base import Need, Sampling
from beholder.eval.reference_files import write_features
from beholder.eval.sides import Extracting, open_side, read_picture, read_video, side_of
from beholder.inputs import Row
from tests.eval.extractors.toy import Toy

MEAN, CELLS = Need(extractor="toy", layer="mean"), Need(extractor="toy", layer="cells")


def picture_pass(toy: Toy, layer: str) -> Pass:
    return Pass(extractor=toy, layers=(layer,))


def test_layers_of_one_network_are_one_pass(tmp_path: Path) -> None:
    for level in (10, 20):
        Image.new("RGB", (4, 4), (level,) * 3).save(tmp_path / f"{level}.png")
    toy = Toy()
    passes = {need: picture_pass(toy, need.layer) for need in (MEAN, CELLS)}
    side, summary = side_of(
        open_side(tmp_path, is_video=False), [MEAN, CELLS], passes, Extracting()
    )
    assert toy.seen == 2
    assert side.features[MEAN].values[:, 0].tolist() == [10, 20]
    assert side.features[CELLS].values.shape == (2, 12)
    assert (summary.kind, summary.rows, summary.used) == ("pictures", 2, 2)


def test_float_pictures_are_seen_as_eight_bits() -> None:
    row = Row(key="a", image=torch.full((3, 4, 4), 0.5), prompt=None, name="")
    (seen,) = read_picture(row, [picture_pass(Toy(), "mean")], alpha="white")
    assert not isinstance(seen, ItemError)
    assert float(seen[0].max()) == 128


def test_a_row_without_picture_or_video_is_a_fault_for_every_pass() -> None:
    row = Row(key="a", image=None, prompt=None, name="")
    passes = [picture_pass(Toy(), "mean")] * 2
    for read, code in ((read_picture, "no-picture"), (read_video, "no-video")):
        faults = read(row, passes, alpha="white")
        assert [f.code for f in faults if isinstance(f, ItemError)] == [code] * 2


def test_one_decoding_gives_the_clips_of_every_sampling(tmp_path: Path) -> None:
    frames = np.zeros((5, 4, 4, 3), np.uint8)
    frames += np.arange(5, dtype=np.uint8)[:, None, None, None] * 10
    toy = Toy()
    segments = Pass(extractor=toy, layers=("mean",), sampling=Sampling(frames=2, clips="segments"))
    long = Pass(extractor=toy, layers=("mean",), sampling=Sampling(frames=9))
    row = Row(key="a", image=frames, prompt=None, name="")
    seen, short = read_video(row, [segments, long], alpha="white")
    assert not isinstance(seen, ItemError)
    assert [float(clip.mean()) for clip in seen] == [5, 25]
    assert isinstance(short, ItemError)
    assert short.code == "too-short"


def test_a_file_that_names_its_layer_answers_a_need_that_does_not(tmp_path: Path) -> None:
    np.save(tmp_path / "theirs.npy", np.ones((4, 3)))
    material = open_side(tmp_path / "theirs.npy", is_video=False)
    side, summary = side_of(material, [Need(extractor="toy")], {}, Extracting())
    assert len(side.features) == 1
    assert (summary.kind, summary.rows) == ("reference", 4)
    assert material.part(0, 2) is material


def test_a_share_of_a_side_is_every_so_many_th_row(tmp_path: Path) -> None:
    for number in range(5):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{number}.png")
    part = open_side(tmp_path, is_video=False).part(1, 2).inputs
    assert part is not None
    assert [row.key for row in part] == ["1.png", "3.png"]
    assert len(part) == 2


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for is_video in (False, True):
        with pytest.raises(DataError, match=r"does not exist; .* features or statistics"):
            open_side(tmp_path / "nothing", is_video=is_video)
        for pattern in ("*.png", "shards-{0..3}.tar"):
            with pytest.raises(DataError, match=r"there is no|does not exist"):
                open_side(tmp_path / pattern, is_video=is_video)


def test_a_file_of_features_keeps_its_labels(tmp_path: Path) -> None:
    values = np.ones((2, 3), np.float32)
    features = Features(values, Toy().origin("mean", "alpha=white"), ("a", "b"), ("cat", ""))
    write_features(features, tmp_path / "kept.safetensors")
    side, _ = side_of(
        open_side(tmp_path / "kept.safetensors", is_video=False), [MEAN], {}, Extracting()
    )
    assert side.labels == {"a": "cat"}


def test_features_of_another_width_than_the_network_gives_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "five.npy", np.ones((4, 5)))
    material = open_side(tmp_path / "five.npy", is_video=False)
    with pytest.raises(DataError, match="5 values a row, but the layer mean of toy has 3"):
        side_of(material, [MEAN], {MEAN: picture_pass(Toy(), "mean")}, Extracting())
    inception = Need(extractor="inception", layer="2048")
    with pytest.raises(DataError, match="5 values a row, but the layer 2048"):
        side_of(material, [inception], {}, Extracting())
