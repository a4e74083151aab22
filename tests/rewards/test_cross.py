import math

import pytest
import torch
from torch import Tensor, nn

from beholder.rewards._cross import CrossModel, Rotary, multi_query_attention
from tests.rewards import published_mps

SIZES = {"dim": 12, "layer_num": 3, "heads": 3, "dim_head": 4, "ff_mult": 2}


@pytest.fixture
def model() -> CrossModel:
    return CrossModel(**SIZES).double()


def inputs(rows: int = 2) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, 5, 12).double(), torch.randn(rows, 4, 12).double()


def test_it_equals_the_published_blocks_written_out(model: CrossModel) -> None:
    tokens, text = inputs()
    mask = torch.tensor([[0, 0, -math.inf, 0], [0, -math.inf, -math.inf, 0]]).double()
    expected = published_mps.cross_model(dict(model.state_dict()), SIZES, tokens, text, mask)
    torch.testing.assert_close(model(tokens, text, mask), expected)


def test_many_masks_at_once_equal_one_at_a_time(model: CrossModel) -> None:
    tokens, text = inputs()
    masks = torch.randn(3, 2, 4).double()
    together = model(tokens, text, masks.flatten(0, 1)).unflatten(0, (3, 2))
    for mask, states in zip(masks, together, strict=True):
        torch.testing.assert_close(model(tokens, text, mask), states)


def test_a_hidden_word_has_no_influence(model: CrossModel) -> None:
    tokens, text = inputs(rows=1)
    text.requires_grad_()
    bias = torch.tensor([[0, -math.inf, 0, 0]]).double()
    model(tokens, text, bias).sum().backward()
    assert text.grad is not None
    assert text.grad[0, 1].abs().max() == 0
    assert text.grad[0, [0, 2, 3]].abs().amin(dim=0).max() > 0


def test_a_row_without_any_word_is_finite_with_finite_gradients(model: CrossModel) -> None:
    tokens, text = inputs(rows=1)
    text.requires_grad_()
    states = model(tokens, text, torch.full((1, 4), -math.inf).double())
    states.sum().backward()
    assert states.isfinite().all()
    assert text.grad is not None and text.grad.isfinite().all()


def test_the_attention_of_token_0_is_the_softmax_of_its_rotated_query(model: CrossModel) -> None:
    tokens, text = inputs(rows=1)
    bias = torch.zeros(1, 4).double()
    weights = model.attention(tokens, text, bias)
    states, block = model._before_last(tokens, text, bias)
    fused = block.fused_attn_ff_proj(block.norm(states))[0]
    inv_freq = block.rotary_emb.inv_freq
    key = published_mps.rotate(fused[None, :, 12:16], inv_freq)[0]
    heads = [key @ fused[0, k : k + 4] / 2 for k in (0, 4, 8)]
    expected = torch.stack([head.softmax(dim=0) for head in heads]).mean(dim=0)
    torch.testing.assert_close(weights[0], expected)


def test_an_adapter_around_the_fused_matrix_takes_part(model: CrossModel) -> None:
    tokens, text = inputs()
    bias = torch.zeros(2, 4).double()
    plain = model(tokens, text, bias)
    last = model.layers[-1][1].fn  # type: ignore[index]

    class Wrapped(nn.Module):
        def __init__(self, inner: nn.Module, factor: float) -> None:
            super().__init__()
            self.inner, self.factor = inner, factor

        def forward(self, states: Tensor) -> Tensor:
            return torch.mul(self.inner(states), self.factor)

    linear = last.fused_attn_ff_proj
    last.fused_attn_ff_proj = Wrapped(linear, 1.0)
    torch.testing.assert_close(model(tokens, text, bias), plain)
    last.fused_attn_ff_proj = Wrapped(linear, 2.0)
    assert (model(tokens, text, bias) - plain).abs().max() > 1e-3


def test_a_rotation_keeps_lengths_and_products_depend_on_distance_alone() -> None:
    rotary = Rotary(8).double()
    query, key = torch.randn(2, 8).double()
    turned_q, turned_k = rotary(query.expand(6, 8)), rotary(key.expand(6, 8))
    torch.testing.assert_close(turned_q.norm(dim=1), query.norm().expand(6))
    torch.testing.assert_close(turned_q[1] @ turned_k[3], turned_q[3] @ turned_k[5])


def test_positions_stay_exact_in_low_precision() -> None:
    rotary, values = Rotary(64), torch.randn(257, 64)
    expected = rotary(values)
    low = rotary.bfloat16()(values.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), expected, atol=0.05, rtol=0)


def test_multi_query_attention_is_the_attention_of_each_head_to_the_same_key() -> None:
    query, key, value = torch.randn(2, 3, 8), torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    bias = torch.randn(2, 5)
    looked = multi_query_attention(query, key, value, 2, bias)
    for head in (slice(0, 4), slice(4, 8)):
        weights = (query[..., head] @ key.mT / 2 + bias[:, None]).softmax(dim=-1)
        torch.testing.assert_close(looked[..., head], weights @ value)
