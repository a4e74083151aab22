import math
from typing import Any

import pytest
import torch
from torch import nn

from beholder.errors import ConfigError
from beholder.training.fit.learner import (
    FitConfig,
    Learner,
    LearningMode,
    learning_mode,
    rate_factor,
    require,
    weight_groups,
)


def learner(module: nn.Module, **config: float) -> Learner:
    return Learner(module, FitConfig(warmup_steps=0, **config), "fp32")  # type: ignore[arg-type]


def step(it: Learner, module: nn.Module, number: int) -> float:
    it.backward(torch.stack([w.sum() for w in module.parameters() if w.requires_grad]).sum())
    norm = it.clip()
    it.update(number)
    return norm


def test_the_rate_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    config = FitConfig(steps=12, warmup_steps=4)
    assert [rate_factor(k, config) for k in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert rate_factor(8, config) == pytest.approx(0.5)
    assert rate_factor(12, config) == pytest.approx(0)
    linear = FitConfig(steps=12, warmup_steps=4, schedule="linear")
    assert [rate_factor(k, linear) for k in (4, 6, 8)] == [1.0, 0.75, 0.5]
    constant = FitConfig(steps=12, warmup_steps=0, schedule="constant")
    assert {rate_factor(k, constant) for k in range(12)} == {1.0}


def test_the_rate_ends_where_it_is_told_to() -> None:
    config = FitConfig(steps=10, warmup_steps=0, learning_rate=2e-5, final_rate=1e-5)
    assert [rate_factor(k, config) for k in (0, 5, 10)] == pytest.approx([1, 0.75, 0.5])
    with pytest.raises(ConfigError, match="final_rate must be at least 0 and at most 1e-05"):
        FitConfig(learning_rate=1e-5, final_rate=2e-5)


def test_weights_learn_by_their_share_of_the_rate() -> None:
    module = nn.ModuleDict({"tower": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    before = {name: weight.clone() for name, weight in module.named_parameters()}
    config = FitConfig(warmup_steps=0, learning_rate=0.1, weight_decay=0.0, clip_norm=100)
    it = Learner(module, config, "fp32", lambda name: 0.25 if name.startswith("tower") else 1.0)
    step(it, module, 0)
    for name, weight in module.named_parameters():
        moved = 0.025 if name.startswith("tower") else 0.1  # Adam's first step is the rate
        torch.testing.assert_close(before[name] - weight, torch.full_like(weight, moved))
    assert it.rate(0) == 0.1


def test_groups_differ_in_decay_and_share() -> None:
    module = nn.ModuleDict({"tower": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    weights = dict(module.named_parameters())
    groups = weight_groups(weights, 0.3, lambda name: 0.1 if "tower" in name else 1.0)
    assert [(g["weight_decay"], g["share"]) for g in groups] == [
        (0.3, 0.1),
        (0.3, 1.0),
        (0.0, 0.1),
        (0.0, 1.0),
    ]


def test_matrices_decay_and_vectors_do_not() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    groups = weight_groups(dict(module.named_parameters()), 0.3)
    assert [g["weight_decay"] for g in groups] == [0.3, 0.0]
    assert [len(g["params"]) for g in groups] == [1, 3]  # type: ignore[arg-type]


def test_a_long_gradient_is_cut_and_its_true_norm_told() -> None:
    module = nn.Linear(16, 1, bias=False)
    it = learner(module, clip_norm=0.5)
    assert step(it, module, 0) == pytest.approx(4.0)  # 16 ones
    moment = it.tensors()["optimizer/weight/exp_avg"]
    torch.testing.assert_close(moment, torch.full((1, 16), 0.1 * 0.5 / 4))


def test_the_average_follows_the_weights_by_hand() -> None:
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(1.0)
    it = learner(module, ema_decay=0.5, learning_rate=0.1, weight_decay=0.0)
    expected, seen = 1.0, []
    for k, decay in enumerate((2 / 11, 3 / 12, 4 / 13)):
        step(it, module, k)
        expected = decay * expected + (1 - decay) * module.weight.item()
        seen.append(module.weight.item())
    with it.averaged():
        assert module.weight.item() == pytest.approx(expected, abs=1e-6)
    assert module.weight.item() == seen[-1]
    it.finish()
    assert module.weight.item() == pytest.approx(expected, abs=1e-6)


def test_the_best_snapshot_does_not_follow_the_weights_and_comes_back() -> None:
    module = nn.Linear(1, 1, bias=False)
    it = learner(module)
    before = module.weight.item()
    it.best = it.snapshot()
    step(it, module, 0)
    assert module.weight.item() != before
    it.finish()
    assert module.weight.item() == before


def test_a_restored_learner_goes_on_to_the_bit() -> None:
    torch.manual_seed(0)
    module, other = nn.Linear(3, 2), nn.Linear(3, 2)
    it = learner(module, ema_decay=0.9)
    for k in range(3):
        step(it, module, k)
    it.best = it.snapshot()
    twin = learner(other, ema_decay=0.9)
    twin.restore({k: v.clone() for k, v in it.tensors().items()}, it.numbers())
    for k in range(3, 5):
        assert step(it, module, k) == step(twin, other, k)
    assert it.tensors().keys() == twin.tensors().keys()
    assert all(torch.equal(v, twin.tensors()[k]) for k, v in it.tensors().items())


def test_frozen_parts_stay_in_eval_mode_and_free_dropout_does_not() -> None:
    frozen = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    frozen.requires_grad_(False)  # noqa: FBT003
    module = nn.Sequential(frozen, nn.Linear(2, 2), nn.Dropout())
    learning_mode(module)
    assert [part.training for part in module] == [False, True, True]
    assert not frozen[1].training


def test_a_module_with_nothing_to_train_is_refused() -> None:
    module = nn.Linear(1, 1)
    module.requires_grad_(False)  # noqa: FBT003
    with pytest.raises(ConfigError, match="every weight is frozen"):
        learner(module)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("steps", 0, "steps must be above 0, got 0"),
        ("warmup_steps", -1, "warmup_steps must be at least 0"),
        ("ema_decay", 1.0, "ema_decay must be at least 0 and below 1"),
        ("learning_rate", math.nan, "learning_rate must be above 0, got nan"),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, value: float, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        FitConfig(**{name: value})  # type: ignore[arg-type]


def test_a_number_in_range_passes() -> None:
    require("share", 0.0, least=0, below=1)


def test_betas_and_epsilon_are_adamws() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    config = FitConfig(
        learning_rate=0.1,
        warmup_steps=0,
        schedule="constant",
        weight_decay=0,
        betas=(0.0, 0.0),
        epsilon=1.0,
        clip_norm=100,
    )
    learner = Learner(module, config, "fp32")
    torch.nn.init.zeros_(module.weight)
    learner.backward(3 * module.weight.sum())
    learner.clip()
    learner.update(0)
    # without momentum a step is lr * g / (|g| + eps)
    assert module.weight.item() == pytest.approx(-0.1 * 3 / (3 + 1), rel=1e-6)


@pytest.mark.parametrize("wrong", [{"betas": (0.9, 1.0)}, {"betas": (-0.1, 0.9)}, {"epsilon": 0}])
def test_betas_and_epsilon_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        FitConfig(**wrong)


def test_the_learning_mode_comes_back_after_any_evaluation() -> None:
    frozen = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).requires_grad_(requires_grad=False)
    module = nn.Sequential(frozen, nn.Linear(2, 2), nn.Dropout())
    again = LearningMode(module)
    for _ in range(2):
        again()
        modes = [part.training for part in module.modules()]
        learning_mode(module)
        assert modes == [part.training for part in module.modules()]
        assert modes[0]
        assert not frozen[1].training
        module.eval()
