from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

import beholder
from beholder.errors import DataError
from beholder.training.augment import Augmentation
from beholder.training.feedback_data import (
    FeedbackBatch,
    FeedbackStream,
    HeldOut,
    divide_feedback,
    make_batch,
)
from beholder.training.feedback_store import FeedbackStore, prepare
from beholder.types import MAPS, RATED, Feedback
from tests.training.spots import TINY, feedback

STILL = Augmentation(flip=0, crop=0)
MOVED = Augmentation(flip=0.5, crop=0.3, jitter=0.2)


def stored(records: list[Feedback], folder: Path) -> FeedbackStore:
    prepare(records, folder, beholder.load("richhf", **TINY), 16)
    return FeedbackStore(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeedbackStore:
    folder = tmp_path_factory.mktemp("spots")
    return stored(feedback(folder, 11), folder / "s")


def stream(store: FeedbackStore, augmentation: Augmentation, seed: int = 0) -> FeedbackStream:
    return FeedbackStream(store, store.examples, 4, augmentation, seed)


def same(one: FeedbackBatch, two: FeedbackBatch) -> bool:
    tensors = ("pictures", "ratings", "rated", "maps", "drawn")
    alike = all(torch.equal(getattr(one, name), getattr(two, name)) for name in tensors)
    return alike and one.prompts == two.prompts


def test_targets_say_what_is_told_and_what_is_not(tmp_path: Path) -> None:
    whole = feedback(tmp_path, 2)
    some = replace(
        whole[1], values={"overall": 0.25}, maps={MAPS[1]: whole[1].maps[MAPS[1]]}, words=[]
    )
    told = stored([whole[0], some], tmp_path / "s")
    batch = make_batch(told, told.examples)
    assert batch.rated.tolist() == [[True] * 4, [False, False, False, True]]
    assert batch.ratings[0].tolist() == pytest.approx([whole[0].values[a] for a in RATED])
    assert batch.ratings[1].tolist() == [0, 0, 0, 0.25]
    assert batch.drawn.tolist() == [[True, True], [False, True]]
    assert batch.maps.max() <= 1
    assert not batch.maps[1, 0].any()
    assert [len(words) for words in batch.words] == [len(whole[0].words), 0]
    assert len(batch) == 2


def test_a_batch_is_a_function_of_seed_and_number_alone(store: FeedbackStore) -> None:
    one, two, other = (stream(store, MOVED, seed) for seed in (0, 0, 1))
    late = [two.batch(n) for n in (7, 1)]
    assert all(same(one.batch(n), batch) for n, batch in zip((7, 1), late, strict=True))
    assert not same(one.batch(1), other.batch(1))


def test_processes_share_the_stream(store: FeedbackStore) -> None:
    whole = stream(store, MOVED)
    shares = [list(islice(whole.batches(rank, 2), 2)) for rank in (0, 1)]
    woven = [batch for both in zip(*shares, strict=True) for batch in both]
    assert all(same(batch, whole.batch(n)) for n, batch in enumerate(woven))


def test_an_epoch_shows_each_picture_once_with_its_own_targets(store: FeedbackStore) -> None:
    seen = [stream(store, STILL).batch(n) for n in range(3)]
    assert [len(batch) for batch in seen] == [4, 4, 3]
    whole = make_batch(store, store.examples)
    sums = [[b.pictures.sum((1, 2, 3)), b.maps.sum((1, 2, 3)), b.ratings.sum(1)] for b in seen]
    mine = sorted(zip(*(torch.cat(part).tolist() for part in zip(*sums, strict=True)), strict=True))
    wanted = [whole.pictures.sum((1, 2, 3)), whole.maps.sum((1, 2, 3)), whole.ratings.sum(1)]
    theirs = sorted(zip(*(part.tolist() for part in wanted), strict=True))
    assert mine == theirs


def test_held_out_pictures_come_once_unmoved_and_know_their_mean(store: FeedbackStore) -> None:
    held_out = HeldOut(store, store.examples, 4)
    shares = [list(held_out.batches(rank, 2)) for rank in (0, 1)]
    assert [[len(batch) for batch in share] for share in shares] == [[4, 3], [4]]
    assert same(shares[1][0], make_batch(store, store.examples[4:8]))
    values = [example.values["overall"] for example in store.examples]
    assert held_out.means["overall"] == pytest.approx(sum(values) / 11)
    assert HeldOut(store, [], 4).means["overall"] == 0


def test_prompts_are_held_out_whole(store: FeedbackStore) -> None:
    sides = divide_feedback(store, None, share=0.3, seed=0)
    assert len(sides.training) + len(sides.held_out) == 11
    assert sides.held_out
    assert not {e.prompt for e in sides.training} & {e.prompt for e in sides.held_out}
    assert divide_feedback(store, None, share=0, seed=0).held_out == []


def test_an_evaluation_set_is_used_whole(store: FeedbackStore, tmp_path: Path) -> None:
    bad = replace(feedback(tmp_path, 1)[0], image="no.png")
    other = stored([*feedback(tmp_path, 2, seed=5), bad], tmp_path / "s")
    sides = divide_feedback(store, other, share=0.3, seed=0)
    assert (len(sides.training), len(sides.held_out), len(sides.dropped)) == (11, 2, 1)


def test_no_picture_left_is_refused(store: FeedbackStore, tmp_path: Path) -> None:
    empty = stored([replace(feedback(tmp_path, 1)[0], image="no.png")], tmp_path / "s")
    with pytest.raises(DataError, match=r"no picture is left .*'missing': 1"):
        divide_feedback(empty, None, share=0.1, seed=0)
    with pytest.raises(DataError, match="no held-out picture"):
        divide_feedback(store, empty, share=0.1, seed=0)
