"""The vision transformer: its parts by hand, and the weights that it can be made of."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from beholder.errors import WeightsError
from beholder.eval.extractors._vit import Kind, Vit, joined, load_vit, own_name, quick_gelu
from tests.eval.extractors.random_weights import dinov2_state

KIND = Kind(epsilon=1e-6, activation=functional.gelu, offset=0.1)


def tiny(**changes: int) -> dict[str, Tensor]:
    state = dinov2_state(**{"width": 128, "depth": 1, "grid": 4, "patch": 2, **changes})
    del state["mask_token"]
    return state


def by_definition(state: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """One block of two heads, written out in float64."""
    w = {name: value.double() for name, value in state.items()}

    def norm(values: Tensor, name: str) -> Tensor:
        centred = values - values.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    def layer(values: Tensor, name: str) -> Tensor:
        return values @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    patches = functional.unfold(pixels.double(), 2, stride=2).mT
    cells = patches @ w["patch_embed.proj.weight"].flatten(1).T + w["patch_embed.proj.bias"]
    tokens = torch.cat((w["cls_token"].expand(len(pixels), 1, -1), cells), 1) + w["pos_embed"]
    query, key, value = layer(norm(tokens, "blocks.0.norm1"), "blocks.0.attn.qkv").chunk(3, -1)
    heads = []
    for part in (slice(64), slice(64, 128)):
        weight = (query[..., part] @ key[..., part].mT / 8).softmax(-1)
        heads.append(weight @ value[..., part])
    mixed = layer(torch.cat(heads, -1), "blocks.0.attn.proj")
    tokens = tokens + mixed * w["blocks.0.ls1.gamma"]
    hidden = layer(norm(tokens, "blocks.0.norm2"), "blocks.0.mlp.fc1")
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    tokens = tokens + layer(hidden, "blocks.0.mlp.fc2") * w["blocks.0.ls2.gamma"]
    return norm(tokens, "norm")[:, 0]


def test_one_block_is_the_papers_formula() -> None:
    pixels = torch.randn(2, 3, 8, 8)
    found = load_vit(tiny(), KIND, "random")(pixels)
    expected = by_definition(tiny(), pixels)
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=1e-5)


def test_the_own_grid_has_the_learned_positions() -> None:
    network = load_vit(tiny(), KIND, "random")
    assert torch.equal(network.positions(4, 4), tiny()["pos_embed"])


@pytest.mark.parametrize("side", [3, 5, 7])
def test_other_grids_sample_with_the_offset(side: int) -> None:
    network = load_vit(tiny(), KIND, "random")
    cells = tiny()["pos_embed"][0, 1:].reshape(4, 4, 128)
    found = network.positions(side, side)[0, 1:].reshape(side, side, 128)
    rows = torch.stack([keys(cells, at, side) for at in range(side)])
    expected = torch.stack([keys(rows.transpose(0, 1), at, side) for at in range(side)], dim=1)
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-5)


def keys(lines: Tensor, at: int, side: int) -> Tensor:
    """The line at a new place by cubic convolution with a = -3/4 (Keys, 1981, eq. 4)."""
    place = (at + 0.5) * len(lines) / (side + 0.1) - 0.5
    first = int(torch.tensor(place).floor()) - 1
    total = torch.zeros_like(lines[0], dtype=torch.float64)
    for line in range(first, first + 4):
        d, a = abs(place - line), -0.75
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        weight = near if d <= 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        total += weight * lines[min(max(line, 0), len(lines) - 1)].double()
    return total


def test_gated_perceptrons_are_recognised_by_their_weights() -> None:
    state = tiny()
    for name in ("fc1", "fc2"):
        del state[f"blocks.0.mlp.{name}.weight"], state[f"blocks.0.mlp.{name}.bias"]
    state |= {
        "blocks.0.mlp.w12.weight": torch.randn(12, 128),
        "blocks.0.mlp.w12.bias": torch.randn(12),
        "blocks.0.mlp.w3.weight": torch.randn(128, 6),
        "blocks.0.mlp.w3.bias": torch.randn(128),
    }
    mlp = load_vit(state, KIND, "random").get_submodule("blocks.0.mlp")
    tokens = torch.randn(1, 3, 128)
    both = tokens @ state["blocks.0.mlp.w12.weight"].T + state["blocks.0.mlp.w12.bias"]
    hidden = both[..., :6] * both[..., :6].sigmoid() * both[..., 6:]
    expected = hidden @ state["blocks.0.mlp.w3.weight"].T + state["blocks.0.mlp.w3.bias"]
    torch.testing.assert_close(mlp(tokens), expected, atol=1e-4, rtol=1e-4)


def test_sizes_are_read_off_the_weights() -> None:
    network = load_vit(tiny(width=64, depth=3, grid=5, patch=7), KIND, "random")
    assert isinstance(network, Vit)
    assert (network.width, network.depth, network.grid, network.patch) == (64, 3, 5, 7)
    assert network.dim == 64


def test_quick_gelu_by_hand() -> None:
    found = quick_gelu(torch.tensor([-1.0, 0.0, 2.0]))
    expected = torch.tensor([-0.154205, 0.0, 1.935650])  # x / (1 + exp(-1.702 x))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_parts_are_stacked_in_order_and_only_where_all_are_there() -> None:
    state = {f"blocks.0.attn.{p}.bias": torch.full((2,), float(n)) for n, p in enumerate("qkv")}
    other = {"blocks.0.norm1.bias": torch.zeros(2)}
    found = joined(state | other, ("attn.q", "attn.k", "attn.v"), "attn.qkv")
    assert found.keys() == {"blocks.0.attn.qkv.bias", "blocks.0.norm1.bias"}
    assert found["blocks.0.attn.qkv.bias"].tolist() == [0, 0, 1, 1, 2, 2]
    del state["blocks.0.attn.k.bias"]
    assert joined(state, ("attn.q", "attn.k", "attn.v"), "attn.qkv") == {}


def test_rules_apply_one_after_another() -> None:
    rules = ((r"^a\.", "b."), (r"^b\.(\d)", r"c\1"))
    assert own_name("a.1", rules) == "c1"
    assert own_name("z.1", rules) == "z.1"


def test_weights_of_something_else_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"x\.pth holds no vision transformer: it lacks cls"):
        load_vit({"fc.weight": torch.zeros(2, 2)}, KIND, "x.pth")
    with pytest.raises(WeightsError, match="holds no vision transformer: not enough values"):
        load_vit(tiny() | {"patch_embed.proj.weight": torch.zeros(128, 12)}, KIND, "x.pth")
    state = tiny()
    state["register_tokens"] = torch.zeros(1, 4, 128)
    with pytest.raises(WeightsError, match="1 unexpected: register_tokens"):
        load_vit(state, KIND, "x.pth")
