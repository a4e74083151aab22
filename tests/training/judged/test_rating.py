import math
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from typing_extensions import override

from beholder.errors import DataError
from beholder.rewards import load
from beholder.training.fit.processes import Processes
from beholder.training.judged.data import Batch, counts
from beholder.training.judged.lessons import Plan
from beholder.training.judged.rated import Rated, make_batch
from beholder.training.judged.rating import (
    RatingJudge,
    RatingLessons,
    best_correlation,
    score_spread,
    spearman,
)
from beholder.training.objectives import LossConfig, Objective, build_objective
from beholder.types import Scores
from tests.training.judged.test_preference import Letters
from tests.training.judged.test_rated import rated

PLAN = Plan(batch=4, seed=0, held_out_share=0.25, leaks="refuse", prompt_weights="none")
WEIGHTS = {"overall": 1.0}


class Apart(Letters):
    """As `Letters`, but the detail of a picture is its number turned round and halved."""

    @override
    def score(self, batch: Batch, loaded: list[float]) -> Scores:
        total: Tensor = torch.tensor(loaded)[batch.picture_rows]
        return Scores(total, {"detail": -total / 2, "overall": total})


def regression(scale: float = 1.0) -> Objective:
    return build_objective(LossConfig(name="regression", scale=scale), load("tiny"))


def lessons(rows: list[Rated], evaluation: list[Rated] | None = None, **plan: Any) -> RatingLessons:
    return RatingLessons(rows, evaluation, replace(PLAN, **plan), needs_prompt=False)


def measured(rows: list[Rated], aspects: list[str], scale: float = 1.0) -> dict[str, float]:
    weights = dict.fromkeys(aspects, 1.0)
    judge = RatingJudge(rows, aspects, 3, Processes(cpu=True))
    sums = judge.sums(Apart(), regression(scale), weights, 0, 1)
    return {name: total / count if count else math.nan for name, (total, count) in sums.items()}


def random_rows(count: int = 17) -> list[Rated]:
    random = np.random.default_rng(0)
    rows = []
    for k, (name, overall, detail) in enumerate(random.normal(size=(count, 3)).tolist()):
        values = {"overall": name + overall, **({"detail": detail} if k % 3 else {})}
        rows.append(Rated(key=f"{k}", prompt="x", image=str(name), values=values))
    return rows


def test_measures_are_those_of_scipy_over_all_batches() -> None:
    rows = random_rows()
    found = measured(rows, ["detail", "overall"], scale=2.0)
    said = np.array([float(row.image) for row in rows], np.float32).astype(float)
    by_aspect: dict[str, tuple[Any, Any]] = {
        "overall": (said, np.array([row.values["overall"] for row in rows])),
        "detail": (
            -said[[k for k, row in enumerate(rows) if "detail" in row.values]] / 2,
            np.array([row.values["detail"] for row in rows if "detail" in row.values]),
        ),
    }
    for aspect, (scores, truth) in by_aspect.items():
        assert found[f"eval/srcc_{aspect}"] == pytest.approx(stats.spearmanr(scores, truth)[0])
        assert found[f"eval/plcc_{aspect}"] == pytest.approx(stats.pearsonr(scores, truth)[0])
        errors = np.square(2 * scores - truth)
        assert found[f"eval/mse_{aspect}"] == pytest.approx(errors.mean(), rel=1e-5)
    errors = np.concatenate([np.square(2 * s - t) for s, t in by_aspect.values()])
    assert found["eval/mse"] == pytest.approx(errors.mean(), rel=1e-5)
    assert found["eval/loss"] == pytest.approx(errors.mean(), rel=1e-5)
    for name in ("srcc", "plcc"):
        both = [found[f"eval/{name}_{aspect}"] for aspect in by_aspect]
        assert found[f"eval/{name}"] == pytest.approx(sum(both) / 2)


def test_constant_scores_correlate_with_nothing_and_are_the_worst() -> None:
    rows = [Rated(key=f"{k}", prompt="x", image="1", values={"overall": k}) for k in range(5)]
    found = measured(rows, ["overall"])
    assert math.isnan(found["eval/srcc"])
    assert math.isnan(found["eval/plcc_overall"])
    assert found["eval/mse"] == pytest.approx((1 + 0 + 1 + 4 + 9) / 5)
    assert found["eval/margin_std"] == 0
    assert best_correlation(found) < best_correlation({"eval/srcc": -0.9, "eval/mse": 9.0})


def test_shares_of_processes_add_up_to_the_whole() -> None:
    rows = random_rows()

    class Pair(Processes):
        """Two processes in one: sums are put together from what the other one gave before."""

        def __init__(self) -> None:
            self.given: list[Tensor] = []

        @override
        def sum(self, tensor: Tensor) -> Tensor:
            self.given.append(tensor)
            return torch.stack(self.given).sum(0)

    pair = Pair()
    judge = RatingJudge(rows, WEIGHTS, 3, pair)
    parts = [judge.sums(Apart(), regression(), WEIGHTS, rank, 2) for rank in (0, 1)]
    whole = measured(rows, ["overall"])
    for name in ("eval/loss", "eval/mse", "eval/chance"):
        total, count = (sum(part[name][k] for part in parts) for k in (0, 1))
        assert total / count == pytest.approx(whole[name])
    for name in ("eval/srcc", "eval/plcc"):
        assert parts[1][name] == pytest.approx((whole[name], 1.0))


def test_the_order_decides_and_the_error_breaks_ties() -> None:
    close, far = {"eval/srcc": 0.5, "eval/mse": 1.0}, {"eval/srcc": 0.5, "eval/mse": 2.0}
    assert best_correlation(close) > best_correlation(far)
    assert best_correlation({"eval/srcc": 0.6, "eval/mse": 5.0}) > best_correlation(close)


def test_ties_share_their_rank() -> None:
    x, y = np.array([1.0, 2.0, 2.0, 3.0, 9.0]), np.array([2.0, 1.0, 4.0, 4.0, 4.0])
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y)[0])
    assert math.isnan(spearman(x, np.ones(5)))


def test_the_spread_is_that_of_two_different_rows() -> None:
    batch = make_batch([rated("1"), rated("4"), rated("6")], WEIGHTS)
    scores = Letters().score(batch, [1.0, 4.0, 6.0])
    assert score_spread(scores, batch) == pytest.approx(math.sqrt((9 + 25 + 4) / 3))
    alone = make_batch([rated("1")], WEIGHTS)
    assert score_spread(Letters().score(alone, [1.0]), alone) == 0


def test_a_step_gives_the_squared_error_and_what_chance_gives() -> None:
    rows = [rated("1", overall=2.0), rated("3", overall=6.0)]
    learning = lessons(rows, held_out_share=0.0)
    sides = learning.sides(["overall"], {}, regression())
    task = learning.task(Letters(), regression(), sides, WEIGHTS, Processes(cpu=True)).task
    assert task.evaluate is None
    (item,) = islice(task.batches(0, 1), 1)
    loss, logs = task.step(item)
    assert loss.item() == pytest.approx((1 + 9) / 2)
    assert logs == {
        "train/margin_std": pytest.approx(2.0),
        "train/chance": pytest.approx(4.0),  # their mean of 4 is 2 off both
    }


def test_whole_prompts_are_held_out_or_pictures_where_there_is_none() -> None:
    told = lessons([rated(f"{k}", f"p{k % 8}") for k in range(32)])
    sides = told.sides(["overall"], {}, regression())
    assert (len(sides.training), len(sides.held_out)) == (24, 8)
    assert not {r.prompt for r in sides.training} & {r.prompt for r in sides.held_out}
    silent = lessons([rated(f"{k % 8}", "") for k in range(32)])
    sides = silent.sides(["overall"], {}, regression())
    assert (len(sides.training), len(sides.held_out)) == (24, 8)
    assert not {r.image for r in sides.training} & {r.image for r in sides.held_out}


def test_leaks_are_refused_or_dropped_as_asked() -> None:
    training, held_out = [rated("a", "A cat"), rated("b", "")], [rated("c", "a cat "), rated("d")]
    with pytest.raises(DataError, match="1 by their prompt and 0 by a picture"):
        lessons(training, held_out).sides(["overall"], {}, regression())
    sides = lessons(training, held_out, leaks="drop").sides(["overall"], {}, regression())
    assert [one.image for one in sides.training] == ["b"]
    assert sides.held_out == held_out
    assert counts(sides.dropped) == {"leak": 1}


def test_nothing_to_learn_from_or_judge_by_is_an_error() -> None:
    gone = {"a": "missing: there is no file"}
    with pytest.raises(DataError, match=r"no rating is left to learn from; .*'missing': 1"):
        lessons([rated("a")]).sides(["overall"], gone, regression())
    with pytest.raises(DataError, match="no held-out rating can be used"):
        lessons([rated("b")], [rated("a")]).sides(["overall"], gone, regression())


def test_prompts_weigh_alike_if_asked() -> None:
    rows = [rated("1", "x"), rated("2", "y"), rated("3", "y"), rated("4", "y")]
    learning = lessons(rows, held_out_share=0.0, prompt_weights="inverse")
    sides = learning.sides(["overall"], {}, regression())
    task = learning.task(Letters(), regression(), sides, WEIGHTS, Processes(cpu=True)).task
    ((batch, _),) = islice(task.batches(0, 1), 1)
    weight = batch.targets["overall"].weight.tolist()
    assert sorted(weight) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])


def weights_of(rows: list[Rated], **plan: Any) -> tuple[list[float], list[int]]:
    """The weight and number of ratings of each batch in an epoch, and what each says at most."""
    learning = lessons(rows, held_out_share=0.0, **plan)
    sides = learning.sides(["overall"], {}, regression())
    course = learning.task(Letters(), regression(), sides, WEIGHTS, Processes(cpu=True))
    items = list(islice(course.task.batches(0, 1), course.batches_per_epoch))
    losses = [course.task.step(item)[0].item() for item in items]
    return losses, [len(batch.targets["overall"]) for batch, _ in items]


def test_a_rating_of_the_short_last_batch_counts_as_any_other() -> None:
    rows = [rated("1", f"p{k}", overall=3.0) for k in range(9)]
    losses, sizes = weights_of(rows, batch=4)
    assert sizes == [4, 4, 1]
    assert losses == pytest.approx([4 * 4 / 3, 4 * 4 / 3, 4 * 1 / 3])  # errors of 2, 3 a batch
    heavy = [rated("1", "x", overall=3.0), *[rated("3", "y", overall=3.0)] * 8]
    losses, _ = weights_of(heavy, batch=4, prompt_weights="inverse")
    assert sum(losses) / 3 == pytest.approx(4 / 2)  # the first prompt counts half of all


def test_a_picture_without_prompt_weighs_as_a_prompt_of_its_own() -> None:
    rows = [*(rated(f"{k}", "") for k in range(1, 4)), rated("3", ""), rated("8", "x")]
    learning = lessons(rows, held_out_share=0.0, batch=5, prompt_weights="inverse")
    sides = learning.sides(["overall"], {}, regression())
    task = learning.task(Letters(), regression(), sides, WEIGHTS, Processes(cpu=True)).task
    ((batch, _),) = islice(task.batches(0, 1), 1)
    shown = [batch.pictures[k] for k in batch.picture_rows.tolist()]
    weight = dict(zip(shown, batch.targets["overall"].weight.tolist(), strict=True))
    assert weight == pytest.approx({"1": 1.25, "2": 1.25, "3": 0.625, "8": 1.25})


def test_prompts_that_share_a_rated_picture_are_on_one_side() -> None:
    rows = [rated(f"{k // 2}", f"p{k}") for k in range(16)]
    sides = lessons(rows).sides(["overall"], {}, regression())
    assert (len(sides.training), len(sides.held_out)) == (12, 4)
    assert not {r.image for r in sides.training} & {r.image for r in sides.held_out}


def test_hashes_and_pictures_are_those_of_all_ratings() -> None:
    given = lessons([rated("b"), rated("a")], [rated("c"), rated("")])
    assert given.pictures() == ["a", "b", "c"]
    assert given.hashes() == lessons([rated("b"), rated("a")], [rated("c"), rated("")]).hashes()
    assert given.hashes()["ratings"] != lessons([rated("a")]).hashes()["ratings"]
