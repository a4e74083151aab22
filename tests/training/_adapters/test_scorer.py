import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from beholder.errors import BeholderError, ConfigError, DataError
from beholder.rewards import load
from beholder.training._adapters.scorer import Scorer, load_scorer
from tests.training._adapters.grey import Grey, Opaque, greys

FLOATS = greys(0.2, 0.6)
BYTES = (FLOATS * 255).to(torch.uint8)
CHANNELS_LAST = BYTES.permute(0, 2, 3, 1)

SHAPES: dict[str, Any] = {
    "floats, channels first": FLOATS,
    "halves": FLOATS.half(),
    "bfloat16": FLOATS.bfloat16(),
    "with gradient": FLOATS.clone().requires_grad_(),
    "bytes, channels first": BYTES,
    "bytes, channels last": CHANNELS_LAST,
    "array, channels last": CHANNELS_LAST.numpy(),
    "array, channels first": FLOATS.numpy(),
    "list of tensors": list(FLOATS),
    "tuple of arrays": tuple(FLOATS.numpy()),
    "batches of one": [picture[None] for picture in FLOATS],
    "PIL": [Image.fromarray(np.asarray(picture)) for picture in CHANNELS_LAST],
}


def scorer(**options: Any) -> Scorer:
    return Scorer(Grey(), **{"aspect": "total", "on_error": "raise", **options})


@pytest.mark.parametrize("images", SHAPES.values(), ids=SHAPES)
def test_pictures_of_any_kind_and_layout_have_the_same_scores(images: Any) -> None:
    scores = scorer().values(images, ("a", "b"))
    torch.testing.assert_close(scores, torch.tensor([0.2, 0.6]), atol=2e-3, rtol=0)
    assert (scores.dtype, scores.device.type) == (torch.float32, "cpu")
    assert not scores.requires_grad


@pytest.mark.parametrize("prompts", [("a", "plus"), ["a", "plus"], np.array(["a", "plus"])])
def test_each_picture_is_scored_with_its_prompt(prompts: Any) -> None:
    torch.testing.assert_close(scorer().values(FLOATS, prompts), torch.tensor([0.2, 1.6]))


def test_one_text_is_the_prompt_of_all_pictures() -> None:
    torch.testing.assert_close(scorer().values(FLOATS, "plus"), torch.tensor([1.2, 1.6]))


def test_an_aspect_is_taken_instead_of_the_total() -> None:
    pictures = FLOATS.clone()
    pictures[:, 0] = 1
    torch.testing.assert_close(scorer(aspect="red").values(pictures, "a"), torch.tensor([1.0, 1.0]))


def test_rows_without_a_score_are_named_with_their_reasons() -> None:
    pictures = greys(0.2, 0.0, 3.0, 0.6)
    with pytest.raises(BeholderError) as raised:
        scorer().values(pictures, "a")
    assert str(raised.value).startswith("2 of 4 pictures have no score (row 1: non-finite: ")
    assert "row 2: range: " in str(raised.value)
    assert "divide by 255" in str(raised.value)


def test_many_rows_without_a_score_are_counted_and_a_few_named() -> None:
    with pytest.raises(BeholderError, match=r"5 of 5 .*row 2: [^;]*; …\)"):
        scorer().values(greys(*[0.0] * 5), "a")


def test_nan_comes_only_where_it_was_asked_for_and_leaves_the_others_alone() -> None:
    scores = scorer(on_error="nan").values(greys(0.2, 0.0, 0.6), "a")
    torch.testing.assert_close(scores, torch.tensor([0.2, torch.nan, 0.6]), equal_nan=True)


def test_a_prompt_that_cannot_be_scored_is_a_fault_of_its_row() -> None:
    with pytest.raises(BeholderError, match="row 1: prompt: 20001 characters"):
        scorer().values(FLOATS, ["a", "x" * 20_001])


def test_pixels_and_prompts_that_do_not_match_are_refused() -> None:
    with pytest.raises(DataError, match="2 pictures but 3 prompts"):
        scorer().values(FLOATS, ("a", "b", "c"))


def test_the_gradient_is_that_of_the_mean() -> None:
    pixels = FLOATS.clone().requires_grad_()
    scores = scorer().gradient(pixels, ("a", "plus"))
    torch.testing.assert_close(scores, torch.tensor([0.2, 1.6]))
    scores.sum().backward()
    torch.testing.assert_close(pixels.grad, torch.full_like(pixels, 1 / (3 * 4 * 4)))


def test_the_gradient_comes_back_in_the_precision_of_the_pixels() -> None:
    pixels = FLOATS.half().requires_grad_()
    scores = scorer().gradient(pixels, "a")
    assert scores.dtype == torch.float32
    scores.sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.dtype == torch.float16


def test_a_black_picture_stops_the_gradient_too() -> None:
    with pytest.raises(BeholderError, match="row 0: the reward gave nan"):
        scorer().gradient(greys(0.0, 0.5), "a")


@pytest.mark.parametrize("pixels", [BYTES, list(FLOATS)])
def test_there_is_no_gradient_of_bytes_or_lists(pixels: Any) -> None:
    with pytest.raises(DataError, match="one float tensor"):
        scorer().gradient(pixels, "a")


def test_pixels_of_another_range_are_refused_with_the_gradient() -> None:
    with pytest.raises(DataError, match=r"must lie in \[0, 1\]"):
        scorer().gradient(FLOATS * 2 - 1, "a")


def reads(judge: Scorer) -> list[Callable[[], Float[Tensor, " b"]]]:
    return [lambda: judge.values(FLOATS, "a fox"), lambda: judge.gradient(FLOATS, "a fox")]


@pytest.mark.parametrize("door", [0, 1])
def test_autocast_of_the_trainer_does_not_change_scores(door: int) -> None:
    read = reads(Scorer(load("tiny"), "total", "raise"))[door]
    plain = read()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(read(), plain)


def test_the_reward_is_frozen_and_evaluates() -> None:
    reward = Grey().train()
    Scorer(reward, "total", "raise")
    assert not reward.training
    assert not reward.scale.requires_grad


def test_threads_score_one_after_another() -> None:
    inside, most = [0], [0]

    class Slow(Grey):
        def score_prepared(self, *arguments: Any) -> Any:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1
            return super().score_prepared(*arguments)

    judge = Scorer(Slow(), "total", "raise")
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda _: judge.values(FLOATS, "a"), range(8)))
    assert most == [1]
    assert all(torch.equal(one, scores[0]) for one in scores)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aspect": "blue"}, "no aspect 'blue'; known: total, red"),
        ({"on_error": "zero"}, "raise or nan, got 'zero'"),
    ],
)
def test_unknown_arguments_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scorer(**options)


def test_a_reward_without_gradient_is_refused_where_one_is_needed() -> None:
    with pytest.raises(ConfigError, match="opaque has no gradient"):
        Scorer(Opaque(), "total", "raise", needs_gradient=True)


def test_a_flat_mapping_holds_the_reward_and_its_options() -> None:
    given = {"reward": "tiny", "aspect": "detail", "seed": 3}
    judge = load_scorer(given, torch.device("cpu"), None)
    scores = load("tiny", seed=3).score(list(FLOATS), "a")
    assert torch.equal(judge.values(FLOATS, "a"), scores.aspects["detail"])
    assert given == {"reward": "tiny", "aspect": "detail", "seed": 3}


def test_a_mapping_without_a_reward_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="needs `reward`"):
        load_scorer({"aspect": "total"}, torch.device("cpu"), None)


def test_an_option_that_the_reward_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="sed"):
        load_scorer({"reward": "tiny", "sed": 3}, torch.device("cpu"), None)
