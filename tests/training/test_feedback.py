import math
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import Tensor

import beholder
from beholder.errors import ConfigError
from beholder.rewards._richhf.joint import TextStates
from beholder.rewards.richhf import Prediction, RichHF
from beholder.training.augment import Augmentation
from beholder.training.feedback import (
    best_quality,
    calibrate_words,
    evaluation_sums,
    feedback_task,
    losses,
    map_sums,
    parts,
    predict,
    score_sums,
    sequence_loss,
    word_sums,
)
from beholder.training.feedback_data import FeedbackBatch, FeedbackStream, HeldOut, make_batch
from beholder.training.feedback_store import FeedbackStore, prepare
from beholder.training.richhf_loss import RichHFLoss
from beholder.types import MAPS, RATED, WordLabel
from tests.training.spots import TINY, feedback

LN3 = math.log(3)


@pytest.fixture(scope="module")
def reward() -> RichHF:
    return tiny()


def tiny() -> RichHF:
    torch.manual_seed(0)
    built = beholder.load("richhf", **TINY)
    assert isinstance(built, RichHF)
    return built


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, reward: RichHF) -> FeedbackStore:
    folder = tmp_path_factory.mktemp("spots")
    records = feedback(folder, 7)
    records[2] = replace(records[2], words=[])
    prepare(records, folder / "s", reward, reward.map_side)
    return FeedbackStore(folder / "s")


def said(scores: Tensor, maps: Tensor) -> Prediction:
    rows = len(scores)
    nothing = torch.zeros(rows, 1, 2)
    text = TextStates([""] * rows, nothing, nothing[..., 0] > 0, None)
    by_kind = dict(zip(MAPS, maps.unbind(1), strict=True))
    return Prediction(dict(zip(RATED, scores.unbind(1), strict=True)), by_kind, text)


def batch(ratings: Tensor, rated: Tensor, maps: Tensor, drawn: Tensor) -> FeedbackBatch:
    rows = len(ratings)
    words = [torch.zeros(0)] * rows
    return FeedbackBatch(
        torch.zeros(rows, 3, 4, 4), [""] * rows, ratings, rated, maps, drawn, words
    )


def test_map_measures_by_hand() -> None:
    targets = torch.zeros(2, 2, 2, 2)
    targets[0, 0] = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    logits = torch.zeros(2, 2, 2, 2)
    logits[0, 0, 0, 0] = LN3
    drawn = torch.tensor([[True, False], [True, True]])
    told = batch(torch.zeros(2, 4), torch.zeros(2, 4, dtype=torch.bool), targets, drawn)
    sums = map_sums(said(torch.zeros(2, 4), logits), told)
    assert sums["mse_implausibility"] == pytest.approx(((1 / 16 + 3 / 4) / 4 + 1 / 4, 2))
    assert sums["cc_implausibility"] == pytest.approx((1, 1))
    assert sums["mse_misalignment"] == pytest.approx((1 / 4, 1))
    assert sums["cc_misalignment"] == (0, 0)


def test_explained_variance_of_shares_adds_up_to_that_of_the_whole() -> None:
    ratings = torch.tensor([0.0, 1.0, 0.5, 0.9])[:, None].expand(4, 4)
    logits = torch.tensor([-LN3, LN3, 0.0, 9.0])[:, None].expand(4, 4)
    rated = torch.tensor([True, True, True, False])[:, None].expand(4, 4)
    empty, no = torch.zeros(4, 2, 2, 2), torch.zeros(4, 2, dtype=torch.bool)
    means = dict.fromkeys(RATED, 0.5)
    sums = [
        score_sums(said(logits[k], empty[k]), batch(ratings[k], rated[k], empty[k], no[k]), means)
        for k in (slice(0, 2), slice(2, 4))
    ]
    explained, whole = (sum(part["r2_overall"][k] for part in sums) for k in (0, 1))
    assert whole == pytest.approx(0.5)
    assert explained / whole == pytest.approx(1 - 2 / 16 / 0.5)


def test_word_measures_by_hand() -> None:
    def labels(*shares: float) -> list[WordLabel]:
        return [WordLabel("x", 0, 1, p) for p in shares]

    told = batch(
        torch.zeros(3, 4), torch.zeros(3, 4) > 0, torch.zeros(3, 2, 2, 2), torch.zeros(3, 2) > 0
    )
    shares = [torch.tensor([1.0, 2 / 3, 0.5]), torch.zeros(0), torch.tensor([0.0, 1.0])]
    found = word_sums(
        [labels(0.9, 0.1, 0.2), labels(0.9), labels(0.8, 0.7)], replace(told, words=shares)
    )
    assert found == {"word_precision": (2, 3), "word_recall": (2, 3), "word_f1": (4, 6)}


def test_only_what_weighs_is_computed(reward: RichHF, store: FeedbackStore) -> None:
    weights = RichHFLoss(map=0, correlation=2, sequence=0)
    assert parts(reward, weights) == ["score", "correlation", "word"]
    told = make_batch(store, store.examples)
    assert list(losses(reward, predict(reward, told), told, weights)) == parts(reward, weights)
    headless = beholder.load("richhf", size="tiny")
    assert isinstance(headless, RichHF)
    assert parts(headless, RichHFLoss()) == ["score", "map", "sequence"]


def test_pictures_without_words_teach_no_words(reward: RichHF, store: FeedbackStore) -> None:
    with_words = [e for e in store.examples if e.words]
    assert len(with_words) == 6
    some, whole = make_batch(store, with_words), make_batch(store, store.examples)
    for name in ("sequence", "word"):
        weights = RichHFLoss(score=0, map=0, sequence=name == "sequence", word=name == "word")
        one, two = (losses(reward, predict(reward, b), b, weights)[name] for b in (some, whole))
        assert one.item() == pytest.approx(two.item(), abs=1e-6)
        nothing = make_batch(store, [e for e in store.examples if not e.words])
        assert losses(reward, predict(reward, nothing), nothing, weights)[name] == 0


def test_the_decoder_learns_the_majoritys_words(reward: RichHF, store: FeedbackStore) -> None:
    told = make_batch(store, store.examples[:2])
    words = [torch.full_like(shares, 0.5) for shares in told.words]
    words[0][0] = 0.51
    guess = predict(reward, told)
    labels = [[k == 0 for k in range(len(words[0]))], [False] * len(words[1])]
    expected = reward.sequence_loss(guess, told.prompts, labels, ignore_pads=False)
    found = sequence_loss(reward, guess, replace(told, words=words), ignore_pads=False)
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_measures_of_shares_add_up_to_those_of_the_whole(
    reward: RichHF, store: FeedbackStore
) -> None:
    held_out, weights = HeldOut(store, store.examples, 2), RichHFLoss(correlation=1)
    with torch.no_grad():
        whole = evaluation_sums(reward, held_out, weights, 0, 1)
        shares = [evaluation_sums(reward, held_out, weights, rank, 5) for rank in range(5)]
    assert list(whole) == list(shares[4])
    assert shares[4]["eval/loss"] == (0, 0)
    for name, value in whole.items():
        sums = [sum(share[name][k] for share in shares) for k in (0, 1)]
        assert sums == pytest.approx(value)
    assert whole["eval/loss"][1] == 7
    weighed = sum(whole[f"eval/{part}_loss"][0] for part in parts(reward, weights))
    assert whole["eval/loss"][0] == pytest.approx(weighed, rel=1e-5)
    assert {"eval/word_f1", "eval/cc_misalignment", "eval/r2_overall"} < whole.keys()


def test_a_step_gives_the_weighted_loss_and_each_part(reward: RichHF, store: FeedbackStore) -> None:
    stream = FeedbackStream(store, store.examples, 4, Augmentation(), 0)
    weights = RichHFLoss(map=10)
    task = feedback_task(reward, stream, None, weights)
    assert task.evaluate is None
    (first,) = islice(task.batches(0, 1), 1)
    loss, logs = task.step(first)
    sums = {name: float(part) for name, part in logs.items()}
    assert list(sums) == [f"train/{part}_loss" for part in ("score", "map", "sequence", "word")]
    assert loss.item() == pytest.approx(sum(sums.values()) + 9 * sums["train/map_loss"], rel=1e-5)


def test_a_loss_that_weighs_nothing_is_refused(reward: RichHF, store: FeedbackStore) -> None:
    stream = FeedbackStream(store, store.examples, 4, Augmentation(), 0)
    with pytest.raises(ConfigError, match="weighs 0"):
        feedback_task(reward, stream, None, RichHFLoss(score=0, map=0, sequence=0, word=0))


def test_quality_is_the_mean_of_its_groups_and_the_loss_breaks_ties() -> None:
    metrics = {"eval/loss": 2.0, "eval/word_f1": 0.3}
    metrics |= dict(zip((f"eval/cc_{kind}" for kind in MAPS), (0.5, math.nan), strict=True))
    metrics |= {f"eval/r2_{aspect}": 0.1 for aspect in RATED}
    assert best_quality(metrics) == pytest.approx((0.3, -2.0))
    assert best_quality({**metrics, "eval/loss": 1.0}) > best_quality(metrics)
    del metrics["eval/word_f1"]
    assert best_quality(metrics)[0] == pytest.approx(0.3)
    assert best_quality({**dict.fromkeys(metrics, math.nan), "eval/loss": 2.0}) == (0.0, -2.0)


def test_the_word_head_is_calibrated_on_held_out_words(store: FeedbackStore) -> None:
    reward = tiny().eval()
    said = [torch.cat(words_of(reward, make_batch(store, [e]))) for e in store.examples]
    highest = torch.cat(said).topk(5).values.min()
    pairs = zip(store.examples, said, strict=True)
    told = [replace(e, words=(z >= highest).float().tolist()) for e, z in pairs]
    held_out = HeldOut(store, told, 4)
    calibrate_words(reward, held_out)
    after = torch.cat([z for b in held_out.batches(0, 1) for z in words_of(reward, b)])
    assert after.sigmoid().mean().item() == pytest.approx(5 / len(after), abs=0.05)
    assert ((after > 0) == (torch.cat(said) >= highest)).float().mean() > 0.95


def test_words_that_cannot_tell_leave_the_head_as_it_is(
    store: FeedbackStore, caplog: pytest.LogCaptureFixture
) -> None:
    reward = tiny().eval()
    alike = [replace(e, words=[0.0] * len(e.words)) for e in store.examples]
    calibrate_words(reward, HeldOut(store, alike, 4))
    assert reward.word_head is not None
    assert reward.word_head.temperature == 1
    assert "stays uncalibrated" in caplog.text


@torch.no_grad()
def words_of(reward: RichHF, batch: FeedbackBatch) -> list[Tensor]:
    found = reward.predict(reward.preprocess(batch.pictures), batch.prompts)
    return reward.word_logits(found, batch.prompts)
