"""Batches, copies and processes make the numbers that the whole set makes at once."""

import copy
import json
import math
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from beholder.errors import ConfigError, DataError
from beholder.eval import frechet
from beholder.eval.measures import find, names
from beholder.eval.measures._base import Measurement
from beholder.eval.metrics import Metric, metric
from tests.eval.extractors.toy import Toy
from tests.eval.two_processes import NAMES, SETTINGS, filled, pictures, values

REAL, FAKE = pictures(0), pictures(1)


class ToyClips(Toy):
    takes = "clips"


def colours(images: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return images.double().mean((2, 3)).numpy()


def fed(found: Metric, step: int = 17) -> Metric:
    for batch in REAL.split(step):
        found.update(batch, real=True)
    for batch in FAKE.split(step):
        found.update(batch)
    return found


def number(found: Metric) -> float:
    value = found.compute()
    assert isinstance(value, Tensor)
    assert value.shape == ()
    return float(value)


@pytest.mark.parametrize("step", [1, 17, 60])
def test_batches_give_the_distance_of_all_pictures(step: int) -> None:
    found = fed(metric("fid", Toy()), step)
    expected = float(frechet.from_features(colours(REAL), colours(FAKE)))
    assert number(found) == pytest.approx(expected, rel=1e-6)
    (measured,) = found.compute_measurements()
    assert measured.value == pytest.approx(expected, rel=1e-9)
    assert (measured.metric, measured.real, measured.fake) == ("fid on toy", 60, 60)
    assert measured.protocol["resize"] == "box"
    assert measured.low is None


def test_intervals_come_with_kept_features() -> None:
    (measured,) = fed(metric("fid", Toy(), intervals=True)).compute_measurements()
    assert measured.value is not None
    assert measured.low is not None
    assert measured.high is not None
    assert measured.low <= measured.value <= measured.high
    assert measured.value == pytest.approx(number(fed(metric("fid", Toy()))), rel=1e-6)


def test_several_numbers_come_by_name_and_undefined_ones_as_nan() -> None:
    found = fed(metric("kid", Toy()))
    value = found.compute()
    assert isinstance(value, dict)
    assert math.isnan(float(value["kid on toy"]))
    assert math.isfinite(float(value["kid_exact on toy"]))
    undefined, _ = found.compute_measurements()
    assert "1000" in undefined.why


def test_a_metric_without_a_real_side_leaves_real_pictures_out() -> None:
    found = metric("inception_score", Toy(), splits="improved-gan")
    found.update(REAL, real=True)
    with pytest.raises(
        DataError, match=r"nothing of the fake side .* update\(images, real=False\)"
    ):
        found.compute()
    found.update(FAKE)
    alone = metric("inception_score", Toy(), splits="improved-gan")
    assert alone.forward(FAKE) == found.compute() == alone.compute()


def test_forward_gives_the_value_of_the_batch_alone() -> None:
    found = metric("inception_score", Toy(), splits="improved-gan")
    first = found(FAKE[:30])
    assert set(first) == {"inception_score on toy", "inception_score_whole on toy"}
    second = found(FAKE[30:])
    assert second != first
    whole = metric("inception_score", Toy(), splits="improved-gan")
    whole.update(FAKE)
    assert found.compute() == whole.compute()
    compared = metric("fid", Toy())
    assert math.isnan(float(compared(REAL, real=True)))
    assert math.isnan(float(compared(FAKE)))
    assert number(compared) == number(fed(metric("fid", Toy()), 60))


def test_reset_forgets_the_real_side_only_if_asked() -> None:
    kept, forgotten = (metric("fid", Toy(), reset_real_features=flag) for flag in (False, True))
    for found in (kept, forgotten):
        before = number(fed(found))
        found.reset()
        assert not found.update_called
        found.update(FAKE)
        if found is forgotten:
            with pytest.raises(DataError, match="nothing of the real side"):
                found.compute()
        else:
            assert number(found) == pytest.approx(before, rel=1e-6)


def test_a_value_is_new_after_an_update() -> None:
    found = fed(metric("fid", Toy()))
    before = number(found)
    assert number(found) == before
    found.update(FAKE // 2)
    assert number(found) != before


@pytest.mark.parametrize("name", NAMES)
def test_merging_copies_and_pickles_go_on_where_they_were(name: str) -> None:
    settings = SETTINGS.get(name, {})
    expected = fed(metric(name, Toy(), **settings), 60).compute_measurements()
    toy = Toy()
    first, second = (metric(name, toy, **settings) for _ in range(2))
    first.update(REAL[:20], real=True)
    first.update(FAKE[:20])
    second.update(REAL[20:], real=True)
    second.update(FAKE[20:])
    first.merge_state(second)
    for found in (first, copy.deepcopy(first), pickle.loads(pickle.dumps(first)), first.clone()):
        assert_same(found.compute_measurements(), expected)
    grown = first.clone()
    grown.update(FAKE // 2)
    assert_same(first.compute_measurements(), expected)


def assert_same(found: list[Measurement], expected: list[Measurement]) -> None:
    assert [m.metric for m in found] == [m.metric for m in expected]
    assert [m.value for m in found] == pytest.approx([m.value for m in expected], rel=1e-9)
    assert [m.fake for m in found] == [m.fake for m in expected]


def test_what_differs_is_not_merged() -> None:
    with pytest.raises(DataError, match="other settings"):
        metric("fid", Toy()).merge_state(metric("fid", Toy(), ddof=0))
    with pytest.raises(DataError, match="weights"):
        fed(metric("fid", Toy())).merge_state(fed(metric("fid", Toy(2.0))))


def test_a_checkpoint_holds_the_state_only_if_asked_and_never_the_network() -> None:
    model = nn.Module()
    model.fid = fed(metric("fid", Toy()))
    assert list(model.state_dict()) == []
    assert list(model.parameters()) == []
    model.fid.persistent()
    saved = model.state_dict()
    assert not any("gain" in key for key in saved)
    other = nn.Module()
    other.fid = metric("fid", Toy())
    other.load_state_dict(saved)
    assert number(other.fid) == number(model.fid)
    assert sorted(saved) == sorted(model.state_dict()), "loading leaves the saved state as it was"
    empty = metric("fid", Toy())
    empty.persistent()
    other.fid.load_state_dict(empty.state_dict())
    with pytest.raises(DataError, match="nothing of the real side"):
        other.fid.compute()


def test_the_network_keeps_its_type_and_mode() -> None:
    toy = Toy()
    model = nn.ModuleDict({"fid": metric("fid", toy), "net": nn.Linear(2, 2)})
    model.half().train()
    assert toy.gain.dtype == torch.float32
    assert not toy.training
    model.to("meta")
    assert toy.gain.device.type == "meta"


def test_features_carry_no_gradient() -> None:
    found = metric("fid", Toy())
    found.update((REAL / 255).requires_grad_(), real=True)
    found.update((FAKE / 255).requires_grad_())
    assert number(found) == number(fed(metric("fid", Toy()), 60))
    assert not found.compute().requires_grad  # type: ignore[union-attr]


def test_clips_are_taken_whole() -> None:
    found = metric("fvd", ToyClips(), intervals=True)
    clips = REAL.unflatten(0, (20, 3)), FAKE.unflatten(0, (20, 3))
    found.update(clips[0], real=True)
    found.update(list(clips[1]))
    (measured,) = found.compute_measurements()
    means = [colours(c.flatten(0, 1)).reshape(20, 3, 3).mean(1) for c in clips]
    ddof = measured.protocol["ddof"]
    assert isinstance(ddof, int)
    expected = float(frechet.from_features(*means, ddof=ddof))
    assert measured.value == pytest.approx(expected, rel=1e-5)
    assert measured.protocol["clips"] == "as they came"
    assert measured.fake == 20


def test_labels_say_what_a_clip_should_be() -> None:
    """The mean colours are the logits: the first and third clip are what they should be."""
    colours = "red", "green", "blue"
    clips = torch.zeros(4, 2, 3, 4, 4)
    for clip, channel in enumerate((0, 0, 2, 2)):
        clips[clip, :, channel] = 1
    found = metric("video_accuracy", ToyClips(), classes=colours)
    found.update(clips[:2], labels=["red", "green"])
    found.update(clips[2:], labels=["blue", "red"])
    first = found.compute_measurements()[0]
    assert first.value == 0.5
    assert first.fake == 4
    with pytest.raises(DataError, match="give all of them one"):
        found.update(clips)


def test_reset_of_a_synced_metric_keeps_what_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(parts: list[object], mine: object, group: object) -> None:
        parts[:] = [mine, mine]

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda group: 2)
    monkeypatch.setattr("torch.distributed.all_gather_object", twice)
    found = fed(metric("fid", Toy(), reset_real_features=False))
    found.sync()
    with pytest.raises(DataError, match="already holds"):
        found.sync()
    with pytest.raises(DataError, match="unsync"):
        found.update(FAKE)
    with pytest.raises(DataError, match="unsync"):
        found.merge_state(metric("fid", Toy(), reset_real_features=False))
    assert found.compute_measurements()[0].real == 120
    found.reset()
    assert not found.is_synced
    found.update(FAKE)
    found.sync()
    assert found.compute_measurements()[0].real == 120
    found.unsync()


@pytest.mark.parametrize("name", names())
def test_every_measure_has_a_metric(name: str) -> None:
    measure = find(name)
    toy = ToyClips() if measure.takes == "videos" else Toy()
    found = metric(name, toy)
    assert found.name == name
    assert found.higher_is_better is {"lower": False, "higher": True, "": None}[measure.best]
    assert (found.is_differentiable, found.full_state_update) == (False, False)
    with pytest.raises(DataError, match="came in"):
        found.compute()


def test_wrong_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown metric"):
        metric("fud", Toy())
    with pytest.raises(ConfigError, match="has no setting 'size'"):
        metric("fid", Toy(), size=3)
    with pytest.raises(ConfigError, match="not both"):
        metric("fid", Toy(), weights=tmp_path)
    with pytest.raises(ConfigError, match="takes clips"):
        metric("fid", ToyClips())


def test_syncing_by_hand_needs_processes() -> None:
    found = fed(metric("fid", Toy()))
    found.sync()
    assert not found.is_synced
    with pytest.raises(DataError, match="sync"):
        found.unsync()


@pytest.mark.long
def test_two_processes_of_accelerate_give_the_values_of_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.eval.two_processes"],
            env={**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for rank in range(2)
    ]
    told = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert told[0] == told[1]
    assert told[0]["together"] == told[0]["again"]
    assert (told[0]["rows"], told[0]["processes"]) == (60, 2)
    expected = values(filled(REAL, FAKE))
    assert told[0]["together"] == pytest.approx(expected, rel=1e-9)
    assert len(expected) >= 8
