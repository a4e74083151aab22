import math
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from beholder.errors import ConfigError
from beholder.rewards._mask import (
    Scope,
    check_rule,
    hard_bias,
    present,
    relevance,
    relevance_share,
    soft_bias,
    word_relevance,
)

FIXTURE = Path(__file__).parents[1] / "data" / "mps_mask_rule.safetensors"


def relevance_of(text: Tensor, condition: Tensor) -> Tensor:
    """Relevance (1, b, l) of each text under its own condition."""
    conditions = condition[None]
    return relevance(text, conditions, present(text), present(condition)[None])


@pytest.mark.parametrize("threshold", [0.01, 0.3])
@pytest.mark.parametrize("scope", ["sample", "batch"])
def test_the_masks_equal_those_of_the_published_rules(scope: str, threshold: float) -> None:
    data = load_file(FIXTURE)
    share = relevance_share(
        relevance_of(data["text_tokens"], data["condition_tokens"]), cast("Scope", scope)
    )
    expected = data[f"mask_{scope}max_{threshold}"]
    assert torch.equal(hard_bias(share, threshold)[0], expected)


def test_relevance_is_the_best_product_with_any_word_of_the_condition() -> None:
    text = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    condition = torch.tensor([[[3.0, 1.0], [-1.0, 4.0]]])
    assert relevance_of(text, condition).tolist() == [[[3.0, 8.0]]]


def test_a_threshold_is_a_share_of_the_own_maximum_or_of_the_batch() -> None:
    values = torch.tensor([[[10.0, 4.0, 2.0], [1.0, 0.9, 0.1]]])
    alone = hard_bias(relevance_share(values, "sample"), 0.3)
    assert (alone == 0).tolist() == [[[True, True, False], [True, True, False]]]
    together = hard_bias(relevance_share(values, "batch"), 0.3)
    assert (together == 0).tolist() == [[[True, True, False], [False, False, False]]]


@pytest.mark.parametrize("scope", ["sample", "batch"])
@pytest.mark.parametrize("values", [[-1.0, -5.0], [0.0, -3.0], [0.0, 0.0]])
def test_without_a_positive_maximum_every_word_passes(values: list[float], scope: str) -> None:
    share = relevance_share(torch.tensor([[values]]), cast("Scope", scope))
    assert share.tolist() == [[[1.0, 1.0]]]


def test_rows_of_zeros_are_absent_on_both_sides() -> None:
    text = torch.tensor([[[-1.0], [0.0]]])
    condition = torch.tensor([[[2.0], [0.0]]])
    values = relevance_of(text, condition)
    assert values.tolist() == [[[-2.0, -math.inf]]]  # the absent condition word would have given 0
    assert relevance_share(values, "sample").tolist() == [[[1.0, -math.inf]]]


def test_the_soft_mask_multiplies_attention_by_a_power_of_the_share() -> None:
    share = torch.tensor([[[1.0, 0.5, -0.2, -math.inf]]])
    bias = soft_bias(share, torch.tensor(2.0))
    expected = [1.0, 0.25, 1e-8, 0.0]
    torch.testing.assert_close(bias.exp()[0, 0], torch.tensor(expected))


def test_the_soft_mask_learns_from_relevance_and_power() -> None:
    values = torch.tensor([[[4.0, 1.0]]], requires_grad=True)
    power = torch.tensor(1.0, requires_grad=True)
    soft_bias(relevance_share(values, "sample"), power)[0, 0, 1].backward()
    assert power.grad is not None and values.grad is not None
    assert power.grad.item() == pytest.approx(math.log(0.25))
    assert values.grad[0, 0].tolist() == pytest.approx([-0.25, 1.0])  # d log(b / a)


def test_a_word_is_as_relevant_as_its_best_token() -> None:
    spans = [None, (0, 1), (2, 5), (5, 8), None]
    words = word_relevance("a redfox sat", spans, [1.0, 0.1, 0.2, 0.6, 0.9], 0.3)
    assert [(w.word, w.start, w.end) for w in words] == [
        ("a", 0, 1),
        ("redfox", 2, 8),
        ("sat", 9, 12),
    ]
    assert [w.relevance for w in words] == [0.1, 0.6, 0.0]
    assert [w.kept for w in words] == [False, True, False]  # "sat" was cut off


@pytest.mark.parametrize(
    ("threshold", "scope", "mask", "padding", "why"),
    [
        (1.0, "sample", "hard", "keep", r"\[0, 1\)"),
        (math.nan, "sample", "hard", "keep", r"\[0, 1\)"),
        (0.3, "prompt", "hard", "keep", "scope"),
        (0.3, "sample", "firm", "keep", "mask"),
        (0.3, "sample", "hard", "cut", "padding"),
    ],
)
def test_an_unknown_rule_is_refused(
    threshold: float, scope: str, mask: str, padding: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        check_rule(threshold, scope=scope, mask=mask, paddings=("keep", padding))


def test_the_soft_mask_has_a_finite_gradient_beside_padding() -> None:
    share = torch.tensor([[[1.0, 0.4, -torch.inf]]])
    power = torch.ones((), requires_grad=True)
    weights = soft_bias(share, power).softmax(dim=-1)
    assert weights[0, 0, 2] == 0
    weights[0, 0, 0].backward()
    assert power.grad is not None
    assert power.grad.isfinite()
