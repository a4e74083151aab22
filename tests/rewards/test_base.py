from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from beholder.errors import ConfigError, DataError, ImageError, WeightsError
from beholder.images import ImageSource
from beholder.rewards import Reward, RewardCard, load
from beholder.rewards._base import (
    check_pixels,
    evaluating,
    grouped,
    read_options,
    saved_name,
    take_options,
)
from beholder.types import Scores, WordLabel
from tests.rewards import simple

SURROGATE = "a \ud800 cat"


class Probe(Reward):
    """Total is the picture's mean plus the prompt's length; a prompt "nan" or "inf" gives that."""

    card = RewardCard(name="probe", paper="none", aspects=("mean", "length"))

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.batches: list[int] = []

    def preprocess(self, pixels: Tensor) -> Tensor:
        return pixels / (255 if pixels.dtype == torch.uint8 else 1)

    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        self.batches.append(len(prompts))
        mean = pixel_values.mean((1, 2, 3))
        length = mean.new_tensor([float(p) if p in {"nan", "inf"} else len(p) for p in prompts])
        return Scores(
            total=self.drop(mean + length),
            aspects={"mean": mean, "length": length},
            maps={"dark": 1 - pixel_values.mean(1)},
            words=[[WordLabel(p, 0, len(p), 0.5)] for p in prompts],
        )

    def options(self) -> dict[str, object]:
        return {}

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> "Probe":
        return cls()


class Blind(Probe):
    card = RewardCard(name="blind", paper="none", needs_prompt=False, aspects=("mean", "length"))


def flat(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 4, 5)


def test_scores_are_those_of_pictures_and_prompts_in_order() -> None:
    scores = Probe().score(flat(0.25, 0.5, 0.75), ["a", "bb", ""], batch_size=2)
    assert scores.total.tolist() == [1.25, 2.5, 0.75]
    assert scores.aspects["length"].tolist() == [1, 2, 0]
    assert scores.maps["dark"].shape == (3, 4, 5)
    assert [words[0].word for words in scores.words] == ["a", "bb", ""]
    assert scores.errors == {}


def test_one_prompt_serves_every_picture() -> None:
    assert Probe().score(flat(0, 0.5), "abc").total.tolist() == [3.0, 3.5]


def test_pictures_go_through_the_model_in_batches() -> None:
    reward = Probe()
    reward.score(flat(*[0.5] * 5), "a", batch_size=2)
    assert reward.batches == [2, 2, 1]


def test_scoring_is_done_in_eval_mode_and_puts_the_mode_back() -> None:
    reward = Probe().train()
    total = reward.score(flat(*[0.5] * 20), "a").total
    assert total.tolist() == [1.5] * 20
    assert reward.training
    assert not total.requires_grad


def test_a_bad_picture_or_prompt_leaves_a_reason_in_its_own_row_only() -> None:
    pictures: list[ImageSource] = [flat(0.5)[0], "/nowhere/x.png", flat(0.25)[0], flat(0.75)[0]]
    scores = Probe().score(pictures, ["a", "b", SURROGATE, "dd"])
    assert sorted(scores.errors) == [1, 2]
    assert "x.png" in scores.errors[1]
    assert scores.errors[2] == "prompt: it holds a lone surrogate and is not valid Unicode"
    assert scores.total.isnan().tolist() == [False, True, True, False]
    assert scores.total[[0, 3]].tolist() == [1.5, 2.75]
    assert scores.maps["dark"][1].isnan().all()
    assert [len(words) for words in scores.words] == [1, 0, 0, 1]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_score_that_is_not_finite_becomes_an_error(value: str) -> None:
    scores = Probe().score(flat(0.5, 0.5), ["a", value])
    assert scores.errors == {1: f"non-finite: the reward gave {value} for this picture"}
    assert scores.total[0] == 1.5


def test_errors_keep_their_rows_across_batches() -> None:
    pictures: list[ImageSource] = [
        flat(0.5)[0],
        flat(0.5)[0],
        "/nowhere/x.png",
        flat(0.5)[0],
        "/nowhere/y.png",
    ]
    scores = Probe().score(pictures, "a", batch_size=2)
    assert sorted(scores.errors) == [2, 4]
    assert scores.total.isnan().tolist() == [False, False, True, False, True]


def test_a_run_of_bad_pictures_alone_has_a_row_for_each() -> None:
    scores = Probe().score(["/nowhere/x.png", "/nowhere/y.png"], "a")
    assert len(scores) == 2
    assert scores.total.isnan().all()
    assert sorted(scores.errors) == [0, 1]
    assert set(scores.aspects) == {"mean", "length"}


def test_strict_raises_for_the_first_fault_before_anything_is_scored() -> None:
    reward = Probe()
    pictures: list[ImageSource] = [flat(0.5)[0], "/nowhere/x.png"]
    with pytest.raises(DataError, match="picture 1: "):
        reward.score(pictures, "a", strict=True)
    with pytest.raises(DataError, match="prompt 0: it holds a lone surrogate"):
        reward.score(pictures, SURROGATE, strict=True)
    assert reward.batches == []


def test_no_picture_gives_no_row_and_the_card_s_aspects() -> None:
    scores = Probe().score([], [])
    assert len(scores) == 0
    assert set(scores.aspects) == {"mean", "length"}


def test_the_numbers_of_pictures_and_prompts_must_agree() -> None:
    with pytest.raises(DataError, match="2 pictures but 3 prompts; give one each, or one text"):
        Probe().score(flat(0, 1), ["a", "b", "c"])
    with pytest.raises(DataError, match="needs prompts"):
        Probe().score(flat(0, 1))


def test_a_reward_that_needs_no_prompt_is_scored_without() -> None:
    assert Blind().score(flat(0.0, 1.0)).total.tolist() == [0, 1]


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(DataError, match="batch_size must be 1 or more, got 0"):
        Probe().score(flat(0.5), "a", batch_size=0)


def test_forward_passes_gradient_and_refuses_bad_prompts() -> None:
    reward = Probe().eval()
    pixels = flat(0.25, 0.5).clone().requires_grad_()
    reward(pixels, ["a", "b"]).total.sum().backward()
    assert pixels.grad is not None
    torch.testing.assert_close(pixels.grad, torch.full_like(pixels, 1 / 60))
    with pytest.raises(DataError, match="prompt 1: it holds a lone surrogate"):
        reward(pixels, ["a", SURROGATE])


def test_rows_that_are_errors_stay_errors_with_their_code() -> None:
    rows: list[Tensor | ImageError] = [ImageError("truncated", "half a file"), flat(0.5)[0]]
    scores = Probe().eval().score_rows(rows, ["a", "b"])
    assert scores.errors == {0: "truncated: half a file"}
    assert scores.total[1] == 1.5


def test_pictures_kept_at_their_own_sizes_are_scored_in_groups_and_stay_in_order() -> None:
    sizes, greys = [(4, 6), (6, 4), (4, 6)], [0.25, 0.5, 0.75]
    pictures: list[ImageSource] = [
        simple.flat(grey, size=size)[0] for grey, size in zip(greys, sizes, strict=True)
    ]
    scores = simple.Mean().score([*pictures, "/nowhere/x.png"])
    assert scores.total[:3].tolist() == greys
    assert scores.sizes == (*sizes, (0, 0))
    assert list(scores.errors) == [3]
    nan = simple.Red().score(pictures, ["a", "nan", "b"])
    assert list(nan.errors) == [1]
    assert nan.aspects["red"].tolist() == greys


def test_a_reward_may_say_why_a_row_has_no_score() -> None:
    class Reasoned(Probe):
        def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
            return replace(super().score_prepared(pixel_values, prompts), errors={0: "odd: it is"})

    assert Reasoned().score(flat(0.5, 0.5), ["nan", "nan"]).errors == {
        0: "odd: it is",
        1: "non-finite: the reward gave nan for this picture",
    }


def test_a_reward_without_weights_is_on_the_cpu() -> None:
    assert Probe().device == torch.device("cpu")


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (torch.zeros(3, 4, 4), r"must have shape \(b, 3, h, w\), got \(3, 4, 4\)"),
        (torch.zeros(1, 4, 4, 4), r"got \(1, 4, 4, 4\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), "uint8 or float, got torch.int64"),
        (torch.full((1, 3, 4, 4), 255.0), r"lie in \[0, 1\], got \[255, 255\]; divide"),
        (torch.full((1, 3, 4, 4), -0.1), r"got \[-0.1, -0.1\]"),
        (torch.full((1, 3, 4, 4), float("nan")), r"got \[nan, nan\]"),
        (torch.full((1, 3, 4, 4), float("inf")), r"got \[inf, inf\]"),
    ],
)
def test_pixels_of_the_wrong_kind_are_refused(pixels: Tensor, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        check_pixels(pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        torch.zeros(2, 3, 1, 9, dtype=torch.uint8),
        torch.full((1, 3, 2, 2), 1.0005),
        torch.zeros(0, 3, 2, 2),
        torch.rand(1, 3, 2, 2, dtype=torch.float16),
    ],
)
def test_pixels_of_the_right_kind_pass(pixels: Tensor) -> None:
    check_pixels(pixels)


def test_evaluating_puts_the_mode_back_after_an_error() -> None:
    module = nn.Dropout().train()
    with pytest.raises(KeyError), evaluating(module):
        assert not module.training
        raise KeyError
    assert module.training
    module.eval()
    with evaluating(module):
        pass
    assert not module.training


def test_rows_are_grouped_by_key_in_order() -> None:
    assert grouped(["b", "a", "b", "c", "a"]) == [[0, 2], [1, 4], [3]]
    assert grouped([]) == []


def test_a_reward_is_saved_under_its_name_or_where_its_class_stands() -> None:
    assert saved_name(load("tiny")) == "tiny"
    assert saved_name(simple.Mean()) == "tests.rewards.simple:Mean"


def test_options_of_a_reward_s_config_are_read() -> None:
    assert read_options('{"reward": "tiny", "options": {}}', Path("c"))["reward"] == "tiny"
    with pytest.raises(WeightsError, match="c is not JSON"):
        read_options("{", Path("c"))
    for text in ("[]", '{"model_type": "clip"}', '{"reward": 1}'):
        with pytest.raises(WeightsError, match="c does not name a reward"):
            read_options(text, Path("c"))


def test_unknown_options_are_all_named() -> None:
    assert take_options({"a": 1}, {"a", "b"}, "mps") == {"a": 1}
    with pytest.raises(ConfigError, match="mps has no option 'c', 'd'; it knows a, b"):
        take_options({"d": 1, "c": 2, "a": 3}, {"a", "b"}, "mps")
