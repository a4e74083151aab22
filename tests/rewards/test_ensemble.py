from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import beholder
from beholder.errors import ConfigError, DataError
from beholder.images import ImageSource
from beholder.rewards import Reward, load
from beholder.rewards.ensemble import Ensemble, packed, uncalibrated, unpacked
from beholder.rewards.scoring import configuration
from tests.rewards import tiny_towers
from tests.rewards.contract import check_reward
from tests.rewards.simple import Constant, Mean, Red, Wide, flat

SCALES = {"mean": [0.5, 0.25], "red": [0.0, 0.5]}


def pair(**options: Any) -> Ensemble:
    return Ensemble({"mean": Mean(), "red": Red()}, **{"scales": SCALES, **options})


def red_and_grey() -> Tensor:
    """Means 0.25 and 0.5, red 0.75 and 0.5: z of (-1, 0) and (1.5, 1)."""
    pictures = flat(0.0, 0.5).clone()
    pictures[0, 0] = 0.75
    return pictures


@pytest.mark.parametrize("how", ["weighted", "min", "mean_minus_std"])
def test_contract(how: str) -> None:
    rewards = {"first": "tiny", "second": {"reward": "tiny", "seed": 1}}
    scales = {"first": [0.1, 0.5], "second": [-0.2, 0.25]}
    check_reward(load("ensemble", rewards=rewards, how=how, scales=scales))


def test_contract_of_members_that_prepare_pictures_differently() -> None:
    rewards = {"tiny": "tiny", "mps": {"reward": "mps", "config": tiny_towers.CONFIG}}
    check_reward(load("ensemble", rewards=rewards, scales={"tiny": [0, 0.5], "mps": [1.0, 2.0]}))


def test_contract_of_an_ensemble_within_one_and_of_a_smoothed_member() -> None:
    inner = {"reward": "ensemble", "rewards": ["tiny"], "scales": "none"}
    members: dict[str, Reward] = {
        "inner": load("ensemble", rewards={"again": inner}, scales={"again": [0.0, 2.0]}),
        "smooth": load("smoothed", reward={"reward": "tiny", "seed": 2}),
    }
    check_reward(Ensemble(members, scales="none"), slopes=False)


def test_each_reward_is_put_on_its_scale_before_they_are_joined() -> None:
    scores = pair().score(red_and_grey(), "a")
    assert scores.aspects["mean"].tolist() == [-1.0, 0.0]
    assert scores.aspects["red"].tolist() == [1.5, 1.0]
    assert scores.total.tolist() == [0.5, 1.0]


def test_weights_multiply_the_scaled_scores() -> None:
    total = pair(weights={"red": 2.0, "mean": -1.0}).score(red_and_grey(), "a").total
    assert total.tolist() == [4.0, 2.0]


def test_the_minimum_is_over_the_members_of_each_picture() -> None:
    assert pair(how="min").score(red_and_grey(), "a").total.tolist() == [-1.0, 0.0]


def test_disagreement_takes_k_standard_deviations_off_the_mean() -> None:
    # means 0.25 and 0.5, deviations of the two from them 1.25 and 0.5
    total = pair(how="mean_minus_std", k=2.0).score(red_and_grey(), "a").total
    torch.testing.assert_close(total, torch.tensor([0.25 - 2.5, 0.5 - 1.0]))


def test_members_that_agree_exactly_leave_a_finite_gradient() -> None:
    ensemble = Ensemble({"a": Mean(), "b": Mean()}, how="mean_minus_std", scales="none")
    pixels = flat(0.5).clone().requires_grad_()
    ensemble(pixels, ["a"]).total.sum().backward()
    assert pixels.grad is not None
    torch.testing.assert_close(pixels.grad, torch.full((1, 3, 4, 6), 1 / 72))


def test_scores_without_scales_are_refused_until_they_are_measured() -> None:
    ensemble = pair(scales=None)
    with pytest.raises(ConfigError, match=r"no scales .* calibrate\(images, prompts\)"):
        ensemble.score(red_and_grey(), "a")
    ensemble.calibrate(red_and_grey(), "a")
    # means 0.25, 0.5 and reds 0.75, 0.5: each member's two z lie 1 / sqrt(2) around 0
    scores = ensemble.score(red_and_grey(), "a")
    half = 0.5**0.5
    torch.testing.assert_close(scores.aspects["mean"], torch.tensor([-half, half]))
    torch.testing.assert_close(scores.aspects["red"], torch.tensor([half, -half]))


def test_raw_scores_are_asked_for_by_name() -> None:
    assert pair(scales="none").score(red_and_grey(), "a").total.tolist() == [1.0, 1.0]


def test_scales_come_from_scores_that_are_finite() -> None:
    ensemble = pair(scales=None)
    nan = float("nan")
    ensemble.calibrate_from({"red": torch.tensor([1.0, nan, 3.0]), "mean": torch.tensor([0, 4.0])})
    assert ensemble.scales == {"mean": [2.0, 8**0.5], "red": [2.0, 2**0.5]}


def test_member_scores_are_each_reward_s_own() -> None:
    scores = pair(scales=None).member_scores(red_and_grey(), ["a", "nan"])
    assert scores["mean"].tolist() == [0.25, 0.5]
    assert scores["red"][0] == 0.75
    assert scores["red"][1].isnan()


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"mean": [0.0, 1.0]}, "scores of mean cannot calibrate an ensemble of mean, red"),
        ({"mean": [0.0, 1.0], "red": [1.0, 1.0]}, "2 scores of red have no spread"),
        ({"mean": [0.0, 1.0], "red": [3.0, float("nan")]}, "1 scores of red have no spread"),
        ({"mean": [], "red": [0.0, 1.0]}, "0 scores of mean have no spread"),
        ({"mean": [0.1, 0.1 + 1e-8], "red": [0.0, 1.0]}, "2 scores of mean have no spread"),
    ],
)
def test_a_sample_that_measures_nothing_is_refused(
    scores: dict[str, list[float]], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        pair().calibrate_from({k: torch.tensor(v, dtype=torch.double) for k, v in scores.items()})


def test_a_row_that_a_member_cannot_score_is_an_error_that_names_the_member() -> None:
    scores = pair().score(red_and_grey(), ["nan", "a"])
    assert scores.errors == {0: "non-finite: member red: it gave nan"}
    assert scores.total[0].isnan()
    assert scores.total[1] == 1.0
    nested = Ensemble({"outer": pair()}, how="min", scales="none")
    assert nested.score(flat(0.5), "nan").errors == {
        0: "non-finite: member outer: member red: it gave nan"
    }


def test_pictures_of_any_sizes_are_scored_by_members_that_keep_them() -> None:
    ensemble = Ensemble({"wide": Wide(), "tiny": load("tiny")}, scales="none")
    sizes = [(20, 30), (30, 20), (20, 30), (24, 25), (8, 9)]
    pictures: list[ImageSource] = [torch.rand(3, *size) for size in sizes]
    scores = ensemble.score(pictures, "a cat")
    assert scores.aspects["wide"].tolist() == [1, 0, 1, 1, 1]
    alone = load("tiny").score(pictures, "a cat").total
    torch.testing.assert_close(scores.aspects["tiny"], alone)
    assert scores.sizes == tuple(sizes)


def test_members_see_8_bit_pictures_as_such() -> None:
    picture = torch.randint(0, 256, (2, 3, 50, 70), dtype=torch.uint8)
    ensemble = load("ensemble", rewards=["tiny"], scales="none")
    assert torch.equal(ensemble.score(picture, "a").total, load("tiny").score(picture, "a").total)


def test_values_of_several_shapes_are_packed_and_unpacked() -> None:
    parts = [torch.rand(2, 3, 2, 5), torch.rand(2, 3, 4, 1)]
    turned = [part.transpose(2, 3) for part in parts]
    mixed = torch.cat([packed(parts), packed(turned)])
    assert mixed.shape == (4, 3, 1, 4 + 10 + 4)
    (rows, first), (others, second) = unpacked(mixed, 2)
    assert (rows, others) == ([0, 1], [2, 3])
    assert all(map(torch.equal, [*first, *second], [*parts, *turned]))


def test_the_card_is_what_the_members_allow() -> None:
    whole = Ensemble({"mean": Mean(), "red": Red()}, scales="none").card
    assert (whole.aspects, whole.differentiable) == (("mean", "red"), True)
    assert (whole.needs_prompt, whole.weights_license) == (True, "MIT")
    assert not Ensemble({"mean": Mean()}).card.needs_prompt
    assert not Ensemble({"wide": Wide(), "mean": Mean()}).card.differentiable
    assert Ensemble.card.aspects == ()


def test_a_gradient_that_a_member_does_not_give_is_refused_by_name() -> None:
    ensemble = Ensemble({"mean": Mean(), "flat": Wide()}, scales="none")
    pixels = flat(0.5).clone()
    assert ensemble(pixels, ["a"]).total.tolist() == [1.5]
    with pytest.raises(ConfigError, match="flat of the ensemble is not differentiable"):
        ensemble(pixels.requires_grad_(), ["a"])


def test_a_list_names_members_by_their_own_names(tmp_path: Path) -> None:
    load("tiny", seed=3).save_pretrained(tmp_path / "my-reward")
    rewards = ["tiny", str(tmp_path / "my-reward"), "tests.rewards.simple:Red", Mean()]
    ensemble = load(
        "ensemble",
        rewards=rewards,
        weights=dict.fromkeys(("tiny", "my_reward", "Red", "mean"), 1.0),
    )
    assert ensemble.card.aspects == ("tiny", "my_reward", "Red", "mean")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "an ensemble needs a member"),
        ({"rewards": ["tiny", "tiny"]}, "two members are named 'tiny'"),
        ({"rewards": {"total": "tiny"}}, "cannot be named 'total'"),
        ({"rewards": {"a.b": "tiny"}}, "cannot be named 'a.b'"),
        ({"rewards": ["tinny"]}, "did you mean 'tiny'"),
        ({"rewards": {"a": {"seed": 1}}}, "member 'a' needs a reward"),
        ({"rewards": ["tiny"], "how": "max"}, "how must be one of weighted, min"),
        ({"rewards": ["tiny"], "how": "min", "weights": {"tiny": 1.0}}, "leave one of them out"),
        ({"rewards": ["tiny"], "weights": {"mps": 1.0}}, "weights are of mps, and the members are"),
        ({"rewards": ["tiny"], "weights": {"tiny": float("inf")}}, "weight of tiny must be a fini"),
        ({"rewards": ["tiny"], "k": -1.0}, "k must be at least 0, got -1"),
        ({"rewards": ["tiny"], "scales": "raw"}, "scales must be a value for each of tiny"),
        ({"rewards": ["tiny"], "scales": {"tiny": [1.0]}}, "scale of tiny must be"),
        ({"rewards": ["tiny"], "scales": {"tiny": [0.0, 0.0]}}, "needs a std above 0, got 0"),
        ({"rewards": ["tiny"], "weihgts": {}}, "has no option 'weihgts'"),
    ],
)
def test_wrong_options_are_refused_in_words(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load("ensemble", **options)


def test_a_saved_ensemble_keeps_its_scales_and_takes_other_options(tmp_path: Path) -> None:
    ensemble = load("ensemble", rewards={"a": "tiny", "b": {"reward": "tiny", "seed": 1}})
    assert isinstance(ensemble, Ensemble)
    pictures = torch.rand(6, 3, 32, 32)
    ensemble.calibrate(pictures, "a cat")
    ensemble.save_pretrained(tmp_path)
    again = beholder.load(str(tmp_path))
    assert torch.equal(again.score(pictures, "a").total, ensemble.score(pictures, "a").total)
    lowest = beholder.load(str(tmp_path), how="min").score(pictures, "a")
    assert torch.equal(lowest.total, torch.stack([*lowest.aspects.values()]).amin(0))


def test_a_member_of_one_s_own_is_given_again_when_a_folder_is_read(tmp_path: Path) -> None:
    pair().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"member 'mean' is a tests.rewards.simple:Mean"):
        load(str(tmp_path))
    again = Ensemble.from_pretrained(tmp_path, rewards={"mean": Mean(), "red": Red()})
    assert again.score(red_and_grey(), "a").total.tolist() == [0.5, 1.0]


def test_scales_are_part_of_what_decides_a_table_s_numbers() -> None:
    raw, scaled = pair(scales="none"), pair()
    assert configuration(raw, "white") != configuration(scaled, "white")


def test_a_constant_member_cannot_be_put_on_a_scale() -> None:
    ensemble = Ensemble({"constant": Constant(), "mean": Mean()})
    with pytest.raises(DataError, match="scores of constant have no spread"):
        ensemble.calibrate(flat(0.2, 0.4, 0.9), "a")


def test_ensembles_in_a_reward_are_found_in_an_order_that_calibrates_them_all() -> None:
    inner = pair(scales=None)
    ready = pair()
    outer = Ensemble({"inner": inner, "ready": ready, "mean": Mean()})
    assert uncalibrated(load("smoothed", reward=outer)) == [inner, outer]
    for ensemble in uncalibrated(outer):
        ensemble.calibrate(flat(0.2, 0.4, 0.9), "a")
    assert uncalibrated(outer) == []
    assert uncalibrated(Mean()) == []
