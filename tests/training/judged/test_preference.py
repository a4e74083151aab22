import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typing_extensions import override

from beholder.errors import DataError
from beholder.rewards import load
from beholder.rewards._towers import Embeddings
from beholder.training.fit.loop import Task
from beholder.training.fit.processes import Processes
from beholder.training.judged.data import Batch, PairStream, make_batch
from beholder.training.judged.lessons import Plan
from beholder.training.judged.mixing import Source
from beholder.training.judged.preference import (
    Mix,
    PairLessons,
    accuracy_sums,
    best_accuracy,
    evaluation_sums,
    learned,
    learned_weight,
    margin_spread,
    named,
    preference_task,
    source_of,
)
from beholder.training.objectives import LossConfig, Objective, build_objective
from beholder.training.towers.scorers import Scorer
from beholder.types import Preference, Scores

LN3 = math.log(3)


class Letters(Scorer[list[float]]):
    """Scores a picture by its name, a number; every aspect alike."""

    embedded = 0

    @override
    def load(self, batch: Batch) -> list[float]:
        return [float(picture) for picture in batch.pictures]

    @override
    def score(self, batch: Batch, loaded: list[float]) -> Scores:
        total: Tensor = torch.tensor(loaded)[batch.picture_rows]
        return Scores(total, {"detail": total, "overall": total})

    @override
    def embed(self, batch: Batch, loaded: list[float]) -> tuple[Scores, Embeddings]:
        self.embedded += 1
        one = torch.ones(len(batch.texts), 1)
        return self.score(batch, loaded), Embeddings(one, one, torch.tensor(0.0))


def pair(first: float, second: float, prompt: str = "x", **p_first: float) -> Preference:
    return Preference(key="k", prompt=prompt, first=str(first), second=str(second), p_first=p_first)


def objective(name: str = "kl", **options: Any) -> Objective:
    return build_objective(LossConfig(name=name, **options), load("tiny"))  # type: ignore[arg-type]


PAIRS = [
    pair(LN3, 0, overall=1.0),
    pair(0, LN3, overall=1.0, detail=0.0),
    pair(1, 1, overall=0.5),
    pair(5, 6, "y", detail=0.2),
]
WEIGHTS = {"detail": 2.0, "overall": 1.0}
FIFTH = 0.2 * math.log(0.2) + 0.8 * math.log(0.8)


def task(pairs: Sequence[Preference], loss: Objective | None = None) -> Task[Any]:
    stream = PairStream(pairs, WEIGHTS, pairs=4, seed=0)
    return preference_task(Letters(), loss or objective(), WEIGHTS, stream, [])


def logs_of(found: Task[Any]) -> tuple[float, Mapping[str, Tensor | float]]:
    (first,) = islice(found.batches(0, 1), 1)
    loss, logs = found.step(first)
    return loss.item(), logs


def test_accuracy_counts_answers_that_are_no_ties() -> None:
    batch = make_batch(PAIRS, WEIGHTS)
    found = accuracy_sums(Letters().score(batch, Letters().load(batch)), batch)
    assert found == {
        "accuracy": (3.0, 4.0),
        "accuracy_detail": (2.0, 2.0),
        "accuracy_overall": (1.0, 2.0),
    }


def by_hand() -> float:
    """Weighted mean of KL; at a margin of ln 3 ln 4/3 for a right, ln 4 for a wrong answer."""
    unsure = FIFTH + 0.2 * math.log1p(math.e) + 0.8 * math.log1p(1 / math.e)
    total = math.log(4 / 3) + math.log(4) + 2 * math.log(4 / 3) + 0 + 2 * unsure
    return total / 7


def chance_by_hand() -> float:
    """ln 2 of certain answers, nothing of a tie, ln 2 less its entropy of the unsure one."""
    return (math.log(2) * 4 + 0 + 2 * (math.log(2) + FIFTH)) / 7


def test_metrics_of_shares_add_up_to_those_of_the_whole() -> None:
    batches = [make_batch(PAIRS[:3], WEIGHTS), make_batch(PAIRS[3:], WEIGHTS)]
    loss = objective()
    whole = evaluation_sums(Letters(), loss, batches, WEIGHTS)
    shares = [evaluation_sums(Letters(), loss, batches[k::2], WEIGHTS) for k in (0, 1)]
    none = evaluation_sums(Letters(), loss, [], WEIGHTS)
    assert list(whole) == list(shares[0]) == list(none)
    for name, (total, count) in whole.items():
        assert total == pytest.approx(shares[0][name][0] + shares[1][name][0])
        assert count == shares[0][name][1] + shares[1][name][1]
    ratios = {name: total / count for name, (total, count) in whole.items()}
    assert ratios["eval/loss"] == pytest.approx(by_hand(), abs=1e-6)
    assert ratios["eval/chance"] == pytest.approx(chance_by_hand(), abs=1e-6)
    # four answers with margins of ln 3, ln 3, ln 3, 0 in one batch, and one with 1 in the other
    assert ratios["eval/margin_std"] == pytest.approx((4 * LN3 * math.sqrt(3 / 4) + 1) / 5)
    assert whole["eval/accuracy"] == (3.0, 4.0)


def test_a_step_gives_the_loss_of_its_batch_and_what_tells_how_it_goes() -> None:
    found = task(PAIRS)
    assert found.evaluate is None
    loss, logs = logs_of(found)
    assert loss == pytest.approx(by_hand(), abs=1e-6)
    assert logs == {
        "train/accuracy": 0.75,
        "train/tie_share": pytest.approx(1 / 5),
        "train/margin_std": pytest.approx(math.sqrt((3 * LN3**2 + 1) / 5)),
        "train/chance": pytest.approx(chance_by_hand(), abs=1e-6),
    }


def test_a_batch_of_ties_has_even_accuracy() -> None:
    _, logs = logs_of(task(PAIRS[2:3]))
    assert logs["train/accuracy"] == 0.5
    assert logs["train/tie_share"] == 1.0


def test_margins_are_told_as_the_loss_sees_them() -> None:
    _, plain = logs_of(task(PAIRS))
    _, scaled = logs_of(task(PAIRS, objective(scale=10.0)))
    assert scaled["train/margin_std"] == pytest.approx(10 * float(plain["train/margin_std"]))
    assert scaled["train/accuracy"] == plain["train/accuracy"]


def test_equal_scores_have_no_spread_and_one_pair_has_its_margin() -> None:
    batch = make_batch([pair(3, 1, overall=1.0)], WEIGHTS)
    assert margin_spread(Letters().score(batch, [3.0, 1.0]), batch) == 2.0
    assert margin_spread(Letters().score(batch, [3.0, 3.0]), batch) == 0.0


def test_weights_of_pairs_weigh_in_the_loss() -> None:
    right, wrong = pair(LN3, 0, overall=1.0), pair(0, LN3, overall=1.0)
    batch = make_batch([right, wrong], WEIGHTS, [3.0, 1.0])
    _, loss = learned(Letters(), objective(), batch, Letters().load(batch), WEIGHTS)
    assert loss.item() == pytest.approx((3 * math.log(4 / 3) + math.log(4)) / 4, abs=1e-6)
    assert learned_weight(objective(), batch, WEIGHTS) == 4.0


def test_embeddings_are_made_only_where_the_loss_compares_them() -> None:
    class InBatch(Objective):
        def __init__(self) -> None:
            super().__init__(LossConfig(name="in_batch"), lambda: 1.0)

    batch, letters = make_batch(PAIRS[:1], WEIGHTS), Letters()
    learned(letters, objective(), batch, letters.load(batch), WEIGHTS)
    assert letters.embedded == 0
    _, loss = learned(letters, InBatch(), batch, letters.load(batch), WEIGHTS)
    assert letters.embedded == 1
    # one pair whose embeddings are equal: ln 2 of its pictures, nothing of its only text
    assert loss.item() == pytest.approx(math.log(2) / 2, abs=1e-6)


def test_accuracy_decides_and_the_loss_breaks_ties() -> None:
    better = {"eval/accuracy": 0.9, "eval/loss": 2.0}
    worse = {"eval/accuracy": 0.8, "eval/loss": 1.0}
    assert best_accuracy(better) > best_accuracy(worse)
    assert best_accuracy({**better, "eval/loss": 1.0}) > best_accuracy(better)


PLAN = Plan(batch=6, seed=0, held_out_share=0.0, leaks="refuse", prompt_weights="none")


def ranked(question: int, prompt: str | None = None) -> list[Preference]:
    """A question of three pictures in their order, named by numbers."""
    names = [str(10 * question + k) for k in range(3)]
    pairs = [(names[i], names[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    return [
        Preference(
            key=f"{question}",
            prompt=prompt or f"prompt {question}",
            first=first,
            second=second,
            p_first={"overall": 1.0},
        )
        for first, second in pairs
    ]


def mixed(plan: Plan = PLAN, evaluation: Sequence[Preference] | None = None) -> PairLessons:
    sets = {"one": [*ranked(1), *ranked(2)], "two": [p for k in range(3, 9) for p in ranked(k)]}
    sources = {name: Source(preferences="") for name in sets}
    return PairLessons(sets, evaluation, plan, Mix(sources=sources, balance="equal"))


def first_batches(lessons: PairLessons, loss: Objective, count: int) -> list[Batch]:
    sides = lessons.sides(["overall"], {}, loss)
    found = lessons.task(Letters(), loss, sides, {"overall": 1.0}, Processes(cpu=True)).task
    return [batch for batch, _ in islice(found.batches(0, 1), count)]


def test_questions_of_two_sets_stay_apart_even_if_they_share_key_and_prompt() -> None:
    pairs = ranked(1)
    both = named({"one": pairs, "two": pairs})
    assert [source_of(p) for p in both] == ["one"] * 3 + ["two"] * 3
    assert len({p.key for p in both}) == 2


def test_a_mixture_draws_rankings_from_each_set_by_its_share() -> None:
    batches = first_batches(mixed(), objective("plackett_luce"), 6)
    for batch in batches:
        assert batch.rankings["overall"].ranks.tolist() == [[1, 2, 3]] * 2
        assert sorted(int(prompt.split()[1]) < 3 for prompt in batch.prompts) == [False, True]


def test_pairs_and_rankings_are_counted_by_set() -> None:
    plan = replace(PLAN, held_out_share=0.25)
    sides = mixed(plan).sides(["overall"], {}, objective("plackett_luce"))
    sources: Any = sides.told["sources"]
    assert {name: sum(both.values()) for name, both in sources.items()} == {"one": 6, "two": 18}
    assert sum(both["held_out"] for both in sources.values()) == len(sides.held_out) == 6
    assert sides.told["rankings"] == {
        "rankings": 6,
        "pairs": 0,
        "incomplete": 0,
        "cyclic": 0,
        "soft": 0,
    }
    assert mixed().sides(["overall"], {}, objective()).told.keys() == {"sources"}


def test_a_set_that_lost_all_its_pairs_is_an_error() -> None:
    gone = {str(10 * q + k): "missing: there is no file" for q in (1, 2) for k in range(3)}
    lessons = mixed()
    sides = lessons.sides(["overall"], gone, objective())
    with pytest.raises(DataError, match="no pair of one is left"):
        lessons.task(Letters(), objective(), sides, WEIGHTS, Processes(cpu=True))


def test_prompts_are_weighed_within_their_set() -> None:
    pairs = [*ranked(1, "x"), *ranked(2, "x"), *ranked(3, "y")]
    plan = replace(PLAN, prompt_weights="inverse", batch=100)
    alone = first_batches(PairLessons({"": pairs}, None, plan), objective(), 1)[0]
    weight = alone.edges["overall"].weight
    assert weight is not None
    assert sorted(weight.tolist()) == pytest.approx([0.75] * 6 + [1.5] * 3)
    sources = {name: Source(preferences="") for name in ("one", "two")}
    sets = {"one": pairs[:6], "two": pairs[6:]}
    lessons = PairLessons(sets, None, plan, Mix(sources=sources, balance="size"))
    weight = first_batches(lessons, objective(), 1)[0].edges["overall"].weight
    assert weight is not None
    assert set(weight.tolist()) == {1.0}


def test_what_is_no_ranking_is_told(caplog: pytest.LogCaptureFixture) -> None:
    cyclic = ranked(1)
    cyclic[1] = replace(cyclic[1], p_first={"overall": 0.0})
    pairs = [*cyclic, *ranked(2)[:2], *ranked(3)]
    with caplog.at_level("WARNING"):
        sides = PairLessons({"": pairs}, None, PLAN).sides(["overall"], {}, objective("rank_hinge"))
    assert sides.told["rankings"] == {
        "rankings": 1,
        "pairs": 5,
        "incomplete": 1,
        "cyclic": 1,
        "soft": 0,
    }
    assert "neither certain nor ties" not in caplog.text
    assert "2 answers to questions of several pictures are no ranking (1 incomplete" in caplog.text


def test_unsure_answers_that_become_certain_are_told(caplog: pytest.LogCaptureFixture) -> None:
    pairs = [replace(p, p_first={"overall": 0.7}) for p in ranked(1)]
    lessons = PairLessons({"": [*pairs, *ranked(2)]}, None, PLAN)
    with caplog.at_level("WARNING"):
        lessons.sides(["overall"], {}, objective("kl"))
    assert caplog.text == ""
    with caplog.at_level("WARNING"):
        sides = lessons.sides(["overall"], {}, objective("plackett_luce"))
    told: Any = sides.told["rankings"]
    assert told["soft"] == 3
    assert "3 answers are neither certain nor ties" in caplog.text


def epoch_shares(pairs: list[Preference], plan: Plan, name: str = "kl") -> dict[str, float]:
    """Each prompt's share of all that an epoch's losses say, at equal scores."""
    lessons = PairLessons({"": pairs}, None, plan)
    loss = objective(name)
    sides = lessons.sides(["overall"], {}, loss)
    level = Level()
    course = lessons.task(level, loss, sides, {"overall": 1.0}, Processes(cpu=True))
    found: dict[str, float] = dict.fromkeys((p.prompt for p in pairs), 0.0)
    for item in islice(course.task.batches(0, 1), course.batches_per_epoch):
        value, _ = course.task.step(item)
        (gradient,) = torch.autograd.grad(value, level.made)
        for prompt, slope in zip(item[0].texts, gradient.abs().tolist(), strict=True):
            found[prompt] += slope / course.batches_per_epoch
    return found


class Level(Letters):
    """Scores all pictures alike, and keeps these scores to differentiate by."""

    made: Tensor

    @override
    def score(self, batch: Batch, loaded: list[float]) -> Scores:
        self.made = torch.zeros(len(batch.texts), requires_grad=True)
        return Scores(self.made, {"overall": self.made})


def apart(prompt: str, count: int, start: int) -> list[Preference]:
    """Pairs of pictures that no two of them share."""
    return [pair(start + 2 * k, start + 2 * k + 1, prompt, overall=1.0) for k in range(count)]


@pytest.mark.parametrize("batch", [16, 64])
def test_every_prompt_counts_alike_however_its_pairs_are_spread_over_batches(batch: int) -> None:
    small = [p for k in range(20) for p in apart(f"prompt {k}", 4, 1000 * k)]
    pairs = [*small, *apart("big", 160, 100_000)]
    plan = replace(PLAN, batch=batch, prompt_weights="inverse")
    found = epoch_shares(pairs, plan)
    whole = sum(found.values())
    assert whole == pytest.approx(1.0, rel=1e-4)  # a pair at equal scores: slopes of 1/2 and 1/2
    assert found["big"] / whole == pytest.approx(1 / 21, rel=1e-4)
    even = epoch_shares(pairs, replace(plan, prompt_weights="none"))
    assert even["big"] == pytest.approx(160 / 240, rel=1e-4)


@pytest.mark.parametrize("name", ["kl", "plackett_luce"])
def test_a_pair_of_the_short_last_batch_counts_as_any_other(name: str) -> None:
    pairs = [p for k in range(33) for p in apart(f"prompt {k}", 1, 10 * k)]
    found = epoch_shares(pairs, replace(PLAN, batch=16), name)
    assert list(found.values()) == pytest.approx([1 / 33] * 33, rel=1e-4)


def test_the_loss_of_equal_scores_is_told_as_the_loss_is_divided() -> None:
    pairs = [p for k in range(33) for p in apart(f"prompt {k}", 1, 10 * k)]
    lessons, loss = PairLessons({"": pairs}, None, replace(PLAN, batch=16)), objective()
    sides = lessons.sides(["overall"], {}, loss)
    task = lessons.task(Level(), loss, sides, {"overall": 1.0}, Processes(cpu=True)).task
    for item, count in zip(islice(task.batches(0, 1), 3), (16, 16, 1), strict=True):
        value, logs = task.step(item)
        assert value.item() == pytest.approx(math.log(2) * count / 11, rel=1e-5)
        assert logs["train/chance"] == pytest.approx(value.item())


def test_a_mixture_weighs_a_batch_by_what_its_sets_give_it() -> None:
    sets = {"one": apart("x", 30, 0), "two": [*apart("y", 6, 100), *apart("z", 3, 200)]}
    sources = {name: Source(preferences="") for name in sets}
    plan = replace(PLAN, batch=8, prompt_weights="inverse")
    lessons = PairLessons(sets, None, plan, Mix(sources=sources, balance="equal"))
    loss = objective()
    sides = lessons.sides(["overall"], {}, loss)
    task = lessons.task(Level(), loss, sides, {"overall": 1.0}, Processes(cpu=True)).task
    values = [task.step(item)[0].item() for item in islice(task.batches(0, 1), 90)]
    assert np.mean(values) == pytest.approx(math.log(2), rel=1e-4)


def test_hashes_tell_other_pairs_and_other_pairs_to_judge_by() -> None:
    def hashes(
        pairs: list[Preference], evaluation: list[Preference] | None = None
    ) -> dict[str, str]:
        return PairLessons({"": pairs}, evaluation, PLAN).hashes()

    assert hashes(ranked(1)) == hashes(ranked(1))
    assert hashes(ranked(1))["preferences"] != hashes(ranked(2))["preferences"]
    assert hashes(ranked(1), ranked(2))["evaluation"] != hashes(ranked(1))["evaluation"]
    assert PairLessons({"": ranked(1)}, ranked(2), PLAN).pictures() == [
        *("10", "11", "12"),
        *("20", "21", "22"),
    ]
