from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import beholder
from beholder.errors import DataError
from beholder.rewards import Reward
from beholder.training.feedback_store import FeedbackStore, prepare, resized, word_shares
from beholder.types import Feedback, WordLabel
from tests.training.spots import TINY, feedback


@pytest.fixture(scope="module")
def reward() -> Reward:
    return beholder.load("richhf", **TINY)


def stored(records: list[Feedback], folder: Path, reward: Reward) -> FeedbackStore:
    prepare(records, folder, reward, 16)
    return FeedbackStore(folder)


def test_prepared_pictures_give_the_model_what_the_files_give(
    tmp_path: Path, reward: Reward
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    records = [replace(feedback(tmp_path, 1)[0], image=str(tmp_path / "odd.png"))]
    store = stored(records, tmp_path / "s", reward)
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    levels = store.pictures([0])
    assert levels.shape == (1, 3, 64, 64)
    torch.testing.assert_close(reward.preprocess(levels), reward.preprocess(picture))
    torch.testing.assert_close(reward.preprocess(levels.float() / 255), reward.preprocess(picture))


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path, reward: Reward) -> None:
    records = feedback(tmp_path, 70)
    store = stored(records, tmp_path / "s", reward)
    assert [e.row for e in store.examples] == list(range(70))
    assert [e.key for e in store.examples] == [r.key for r in records]
    rows = [65, 3, 34]
    for given, row in zip(store.maps(rows), rows, strict=True):
        for k, kind in enumerate(("implausibility", "misalignment")):
            assert torch.equal(given[k], resized(records[row].maps[kind], 16))
    assert torch.equal(store.pictures(rows)[1], store.pictures([3])[0])
    example = store.examples[3]
    assert example.values == records[3].values
    assert list(example.words) == [w.p_misaligned for w in records[3].words]


def test_a_map_is_resized_as_pillow_resizes_the_published_ones() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    pillow = np.asarray(Image.fromarray(grey).resize((16, 16), Image.Resampling.BILINEAR))
    ours = resized(torch.from_numpy(grey), 16).numpy()
    assert np.abs(ours.astype(int) - pillow).max() <= 1


def test_what_cannot_be_used_is_dropped_and_told_and_what_lacks_something_is_kept(
    tmp_path: Path, reward: Reward
) -> None:
    whole = feedback(tmp_path, 6)
    strangers = [WordLabel("fox", 2, 5, 1.0)]
    records = [
        replace(whole[0], image="no.png"),
        replace(whole[1], values={"detail": 1.0}, maps={}, words=[]),
        replace(whole[2], prompt="\ud800", words=[]),
        replace(whole[3], words=strangers),
        replace(whole[4], maps={"misalignment": whole[4].maps["misalignment"]}, words=[]),
        replace(whole[5], values={"overall": 0.5}, maps={}),
    ]
    store = stored(records, tmp_path / "s", reward)
    reasons = {d.key: d.reason.partition(":")[0] for d in store.dropped}
    assert reasons == {
        "k0": "missing",
        "k1": "nothing-told",
        "k2": "prompt",
        "k3": "words-unlike-prompt",
    }
    three, four, five = store.examples
    assert (three.key, list(three.words), len(three.maps)) == ("k3", [], 2)
    assert (four.key, list(four.maps)) == ("k4", ["misalignment"])
    assert (five.key, five.values, list(five.maps)) == ("k5", {"overall": 0.5}, [])
    assert int(store.maps([2]).sum()) == 0
    assert store.pictures([0, 1, 2]).shape == (3, 3, 64, 64)


def words(prompt: str, *labels: tuple[int, int, float]) -> tuple[float, ...] | None:
    told = [WordLabel(prompt[start:end], start, end, p) for start, end, p in labels]
    return word_shares(Feedback(key="k", prompt=prompt, image="i", values={}, words=told))


def test_labels_of_other_words_are_brought_to_those_of_the_prompt() -> None:
    assert words("red fox", (0, 3, 0.2), (4, 7, 1.0)) == (0.2, 1.0)
    assert words("红狐", (0, 2, 0.4)) == (0.4, 0.4)
    assert words("red fox", (0, 1, 0.2), (1, 3, 0.7), (4, 7, 0.0)) == (0.7, 0.0)
    assert words("red fox") == ()
    assert words("red fox", (0, 3, 0.2)) is None


def test_a_store_that_was_cut_short_is_made_again_and_a_whole_one_is_kept(
    tmp_path: Path, reward: Reward
) -> None:
    records = feedback(tmp_path, 3)
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "pictures.u8").write_bytes(b"half")
    with pytest.raises(DataError, match="no prepared feedback"):
        FeedbackStore(folder)
    store = stored(records, folder, reward)
    assert store.pictures([0, 1, 2]).shape[0] == 3
    prepare([], folder, reward, 16)
    assert len(FeedbackStore(folder).examples) == 3


def test_nothing_is_an_empty_store(tmp_path: Path, reward: Reward) -> None:
    store = stored([], tmp_path / "s", reward)
    empty: Tensor = store.maps([])
    assert store.examples == []
    assert empty.shape == (0, 2, 16, 16)
