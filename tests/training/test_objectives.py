import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

import beholder
from beholder.errors import ConfigError, DataError
from beholder.rewards import Reward
from beholder.rewards._towers import build_towers
from beholder.rewards._towers._base import Embeddings
from beholder.rewards.head import Head
from beholder.training.objectives import LossConfig, Objective, build_objective
from beholder.types import Edges, Rankings, Scores, Targets
from tests.rewards import tiny_towers
from tests.rewards.tinies import hps
from tests.training.brightness import tiny_mps

NAMES = ("kl", "rao_kupper", "plackett_luce", "rank_hinge", "in_batch", "gaussian", "regression")
LN_3 = math.log(3)


@dataclass(frozen=True)
class Judged:
    """A batch of three rows, the last of another prompt."""

    edges: Mapping[str, Edges] = field(default_factory=dict)
    rankings: Mapping[str, Rankings] = field(default_factory=dict)
    targets: Mapping[str, Targets] = field(default_factory=dict)
    prompt_rows: Tensor = field(default_factory=lambda: torch.tensor([0, 0, 1]))


def one_of(aspect: str) -> Judged:
    return Judged(
        edges={aspect: Edges.from_pairs([(0, 1)], [1.0], [2.0])},
        rankings={
            aspect: Rankings(torch.tensor([[0, 1, 2]]), torch.tensor([[1, 2, 3]]), torch.ones(1))
        },
        targets={
            aspect: Targets(
                torch.tensor([0, 1]), torch.tensor([2.0, 6.0]), torch.tensor([1.0, 3.0])
            )
        },
    )


def both(first: Judged, second: Judged) -> Judged:
    return replace(
        first,
        edges={**first.edges, **second.edges},
        rankings={**first.rankings, **second.rankings},
        targets={**first.targets, **second.targets},
    )


def unsure() -> Reward:
    return Head(build_towers(tiny_towers.OPEN_CLIP), widths=[4], uncertainty=True)


def objective(name: str, **options: Any) -> Objective:
    reward = {"in_batch": hps.tiny, "gaussian": unsure}.get(name, tiny_mps)()
    return build_objective(LossConfig(name=name, **options), reward)  # type: ignore[arg-type]


def spread(*values: float) -> Scores:
    total = torch.tensor(values)
    return Scores(total, deviations={"overall": torch.zeros(len(values))})


def same(rows: int) -> Embeddings:
    return Embeddings(torch.zeros(rows, 2), torch.zeros(rows, 2), torch.tensor(0.0))


BY_HAND = {
    "kl": math.log(4 / 3),  # 3 / (3 + 1)
    "rao_kupper": math.log(8 / 3),  # 3 / (3 + 5)
    "plackett_luce": math.log(5 / 3) + math.log(2),  # 3 / (3 + 1 + 1), then 1 / (1 + 1)
    "rank_hinge": 1 / 3,  # of the three pairs one is without its margin of 1
    "in_batch": (math.log(3) + math.log(1)) / 2,  # three pictures, one pair
    "gaussian": math.log(4 / 3),
    "regression": ((LN_3 - 2) ** 2 + 3 * 6**2) / 4,
}


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_its_loss_on_what_it_reads(name: str) -> None:
    asked = objective(name)
    expected = {"plackett_luce": "rankings", "rank_hinge": "rankings", "regression": "targets"}
    assert asked.reads == expected.get(name, "pairs")
    assert asked.wants_embeddings == (name == "in_batch")
    scores = spread(LN_3, 0.0, 0.0)
    loss = asked(scores, one_of("overall"), {"overall": 5.0}, same(3))
    assert loss.item() == pytest.approx(BY_HAND[name], abs=1e-5)


CHANCE = {
    "kl": math.log(2),
    "rao_kupper": math.log(6),  # 1 / (1 + 5)
    "plackett_luce": math.log(6),  # orders of three
    "rank_hinge": 1.0,
    "in_batch": math.log(3) / 2,
    "gaussian": math.log(2),
    "regression": (3**2 + 3 * 1**2) / 4,  # around the weighted mean 5
}


@pytest.mark.parametrize("name", NAMES)
def test_chance_is_the_loss_of_equal_scores(name: str) -> None:
    asked, batch, weights = objective(name), one_of("overall"), {"overall": 5.0}
    level = 5.0 if name == "regression" else 0.3
    loss = asked(spread(level, level, level), batch, weights, same(3)).item()
    assert asked.chance(batch, weights) == pytest.approx(CHANCE[name], abs=1e-5)
    assert loss == pytest.approx(CHANCE[name], abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_raise_the_preferred_score(name: str) -> None:
    if name in {"in_batch", "regression"}:
        return
    total = torch.zeros(3, requires_grad=True)
    scores = Scores(total, deviations={"overall": torch.ones(3)})
    objective(name)(scores, one_of("overall"), {"overall": 1.0}).backward()
    assert total.grad is not None
    assert total.grad[0] < 0


def test_chance_knows_soft_labels_and_ties() -> None:
    asked, weights = objective("kl"), {"overall": 1.0}
    soft = Judged(edges={"overall": Edges.from_pairs([(0, 1), (1, 2)], [0.75, 0.5])})
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert asked.chance(soft, weights) == pytest.approx(divergence / 2, abs=1e-6)
    tie = Judged(edges={"overall": Edges.from_pairs([(0, 1)], [0.5])})
    strict = objective("rao_kupper", tie_strength=2.0)
    assert strict.chance(tie, weights) == pytest.approx(math.log(3), abs=1e-6)  # 3 (1/3) (1/3)


@pytest.mark.parametrize("name", NAMES)
def test_a_given_total_divides_the_loss_and_chance_alike(name: str) -> None:
    """In place of what the batch weighs: 5 times an answer of 2, a ranking of 1, ratings of 4."""
    asked, batch, weights = objective(name), one_of("overall"), {"overall": 5.0}
    weighs = 5 * {"pairs": 2, "rankings": 1, "targets": 4}[asked.reads]
    scores = spread(LN_3, 0.0, 0.0)
    loss = asked(scores, batch, weights, same(3), total=40.0)
    assert loss.item() == pytest.approx(BY_HAND[name] * weighs / 40, abs=1e-5)
    chance = asked.chance(batch, weights, total=40.0)
    assert chance == pytest.approx(CHANCE[name] * weighs / 40, abs=1e-5)


def test_aspects_weigh_as_their_answers_do() -> None:
    """Edges weigh 2 each, so that the share of an aspect is twice its weight."""
    batch = both(one_of("overall"), one_of("detail"))
    scores = Scores(
        torch.zeros(3), {"overall": torch.tensor([LN_3, 0.0, 0.0]), "detail": torch.zeros(3)}
    )
    loss = objective("kl")(scores, batch, {"overall": 1.0, "detail": 3.0})
    assert loss.item() == pytest.approx((math.log(4 / 3) + 3 * math.log(2)) / 4, abs=1e-6)


def test_ratings_of_each_aspect_have_a_level_of_their_own() -> None:
    detail = Targets(torch.tensor([0, 2]), torch.tensor([10.0, 12.0]), torch.ones(2))
    batch = replace(one_of("overall"), targets={**one_of("overall").targets, "detail": detail})
    chance = objective("regression").chance(batch, {"overall": 1.0, "detail": 1.0})
    assert chance == pytest.approx((4 * 3 + 2 * 1) / 6, abs=1e-5)


def test_scores_are_scaled_first() -> None:
    scores, batch = spread(LN_3 / 7, 0.0, 0.0), one_of("overall")
    asked = objective("kl", scale=7.0)
    assert asked.scale() == 7
    assert asked(scores, batch, {"overall": 1.0}).item() == pytest.approx(math.log(4 / 3), abs=1e-6)


def test_doubt_is_scaled_as_the_scores_are() -> None:
    batch, weights = one_of("overall"), {"overall": 1.0}
    scores = Scores(torch.tensor([0.2, 0.0, 0.0]), deviations={"overall": torch.ones(3) / 10})
    tenfold = Scores(10 * scores.total, deviations={"overall": torch.ones(3)})
    scaled = objective("gaussian", scale=10.0)(scores, batch, weights).item()
    assert scaled == pytest.approx(objective("gaussian")(tenfold, batch, weights).item(), abs=1e-6)


def test_the_rewards_own_scale_is_read_at_each_step_and_learns() -> None:
    reward = hps.tiny()
    asked = build_objective(LossConfig(scale="logit_scale"), reward)
    own = reward.get_parameter("towers.model.logit_scale")
    with torch.no_grad():
        own.fill_(math.log(20))
    assert asked.scale() == pytest.approx(20, rel=1e-5)
    loss = asked(spread(LN_3 / 20, 0.0, 0.0), one_of("overall"), {"overall": 1.0})
    assert loss.item() == pytest.approx(math.log(4 / 3), abs=1e-6)
    loss.backward()
    assert own.grad is not None
    assert own.grad.item() == pytest.approx(-LN_3 / 4, abs=1e-5)  # -(1 - q) margin


def test_a_picture_does_not_learn_from_its_own_prompt_as_a_negative() -> None:
    batch = replace(one_of("overall"), prompt_rows=torch.tensor([0, 0, 0]))
    loss = objective("in_batch")(spread(0.0, 0.0, 0.0), batch, {"overall": 1.0}, same(3))
    assert loss.item() == pytest.approx(math.log(2) / 2, abs=1e-6)


def test_no_answer_is_refused() -> None:
    empty = Judged(edges={"overall": Edges.from_pairs([], [])})
    with pytest.raises(DataError, match="no answer"):
        objective("kl")(spread(0.0, 0.0, 0.0), empty, {"overall": 1.0})
    with pytest.raises(DataError, match="no answer"):
        objective("kl").chance(empty, {"overall": 1.0})


def test_what_a_loss_compares_must_be_there() -> None:
    batch, weights = one_of("overall"), {"overall": 1.0}
    with pytest.raises(DataError, match="compares embeddings"):
        objective("in_batch")(spread(0.0, 0.0, 0.0), batch, weights)
    with pytest.raises(DataError, match=r"how unsure its overall is \(deviations: none\)"):
        objective("gaussian")(Scores(torch.zeros(3)), batch, weights)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (LossConfig(name="in_batch"), "reward tiny has none; use kl"),
        (LossConfig(name="gaussian"), "say how unsure they are, and reward tiny gives none"),
        (LossConfig(scale="logit_scale"), "reward tiny has none; give a number"),
    ],
)
def test_a_reward_that_cannot_serve_a_loss_is_told(config: LossConfig, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        build_objective(config, beholder.load("tiny"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": "rao_kupper", "tie_strength": 1.0}, "tie_strength must be above 1, got 1"),
        ({"scale": 0.0}, "loss.scale must be above 0"),
        ({"tie_strength": 3.0}, "loss.tie_strength means nothing to the loss kl"),
        ({"name": "regression", "hinge_margin": 2.0}, "loss.hinge_margin means nothing"),
        ({"name": "in_batch", "scale": 2.0}, "loss.scale means nothing to the loss in_batch"),
        ({"name": "rank_hinge", "hinge_margin": 0.0}, "hinge_margin must be above 0"),
    ],
)
def test_settings_that_no_loss_can_take_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        LossConfig(**given)
