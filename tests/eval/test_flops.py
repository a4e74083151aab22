import math
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from beholder.eval._flops import ELSEWHERE, Flops, PartFlops, count_flops


@torch.no_grad()
def flops_of(module: nn.Module, *sizes: int, device: str = "meta") -> Flops:
    pixels = torch.zeros(sizes, device=device)
    return count_flops(lambda: module.to(device).eval()(pixels))


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return make()


@pytest.mark.parametrize(
    ("make", "sizes", "gigaflops"),
    [
        (torchvision.models.resnet50, (1, 3, 224, 224), 8.178),
        (lambda: torchvision.models.inception_v3(init_weights=False), (1, 3, 299, 299), 11.426),
        (torchvision.models.video.r3d_18, (1, 3, 16, 112, 112), 81.393),
        (
            lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(patch_size=32)),
            (1, 3, 224, 224),
            8.818,
        ),
    ],
    ids=["resnet50", "inception_v3", "r3d_18", "clip_vit_b_32"],
)
def test_networks_cost_what_is_known_of_them(
    make: Callable[[], nn.Module], sizes: tuple[int, ...], gigaflops: float
) -> None:
    found = flops_of(on_meta(make), *sizes)
    assert found.total / 1e9 == pytest.approx(gigaflops, abs=5e-4)
    assert found.macs * 2 == found.total
    assert found.uncounted == ()


def vit_b_16_by_hand() -> int:
    """Every product of the paper's table: 196 patches and a class token, 12 layers of width 768."""
    tokens, width, layers = 197, 768, 12
    projections = tokens * width * (3 * width + width + 2 * 4 * width)
    attention = 2 * tokens * tokens * width
    patches, head = 196 * (16 * 16 * 3) * width, width * 1000
    return 2 * (layers * (projections + attention) + patches + head)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_fused_attention_of_torch_is_counted_on_every_device(device: str) -> None:
    vit = torchvision.models.vit_b_16()
    assert flops_of(vit, 1, 3, 224, 224, device=device).total == vit_b_16_by_hand()


def test_a_layer_that_torch_fuses_is_counted_by_its_products() -> None:
    # torch 2.14 by itself counts 22.542 of the 35.128 GFLOP of ViT-B/16 in eval mode on a CPU
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    tokens = torch.zeros(1, 5, 8)
    with torch.no_grad():
        found = count_flops(lambda: layer(tokens))
    assert found.total == 2 * (5 * 8 * (4 * 8 + 2 * 16) + 2 * 5 * 5 * 8)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_bare_attention_and_its_gradient_are_counted(device: str) -> None:
    q = torch.zeros(1, 8, 256, 64, device=device, requires_grad=True)
    k, v = (torch.zeros(1, 8, 256, n, device=device, requires_grad=True) for n in (64, 64))
    forward = count_flops(lambda: functional.scaled_dot_product_attention(q, k, v)).total
    assert forward == 2 * 2 * 8 * 256 * 256 * 64  # 0.134 GFLOP

    def both() -> object:
        return torch.autograd.grad(
            functional.scaled_dot_product_attention(q, k, v).sum(), (q, k, v)
        )

    # kernels that keep no weights compute them again: 5 products beside the 2, or 4 on meta
    products = 5 if device == "cpu" else 4
    assert count_flops(both).total == forward + products * forward // 2


def test_gradients_of_a_layer_are_two_more_products() -> None:
    first, second = nn.Linear(8, 16, bias=False), nn.Linear(16, 4, bias=False)
    x = torch.ones(3, 8)

    def both() -> object:
        return torch.autograd.grad(second(first(x)).sum(), (first.weight, second.weight))

    forward = [2 * 3 * 8 * 16, 2 * 3 * 16 * 4]
    # the first layer's input needs no gradient, so it has one product less
    assert count_flops(both).total == 2 * forward[0] + 3 * forward[1]


@pytest.mark.parametrize(
    ("call", "flops"),
    [
        (lambda m, v: m @ v, 2 * 6 * 4),
        (lambda m, v: torch.addmv(torch.ones(6), m, v), 2 * 6 * 4),
        (lambda m, v: v @ v, 2 * 4),
        (lambda m, v: torch._int_mm(m.to(torch.int8), m.T.to(torch.int8)), 2 * 6 * 6 * 4),
        (lambda m, v: functional.linear(v, m), 2 * 6 * 4),
    ],
)
def test_products_that_torch_gives_no_formula_have_one(
    call: Callable[[Tensor, Tensor], Tensor], flops: int
) -> None:
    found = count_flops(lambda: call(torch.ones(6, 4), torch.ones(4)))
    assert found.total == flops
    assert found.uncounted == ()


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_distances_that_come_of_a_product_count_as_that(
    batch: tuple[int, ...], device: str
) -> None:
    first, second = (torch.rand(*batch, rows, 8, device=device) for rows in (30, 40))
    found = count_flops(lambda: torch.cdist(first, second))
    # |x|² + |y|² - 2 x·y is a product of (-2x, |x|², 1) and (y, 1, |y|²)
    assert found.total == math.prod(batch) * 2 * 30 * 40 * (8 + 2)
    assert found.uncounted == ()


def test_distances_one_by_one_are_told() -> None:
    found = count_flops(lambda: torch.cdist(torch.rand(30, 8), torch.rand(40, 8), p=1))
    assert [each.op for each in found.uncounted] == ["aten._cdist_forward"]


def test_two_counts_do_not_know_of_each_other() -> None:
    net = torchvision.models.resnet18().eval()
    pixels = torch.zeros(1, 3, 32, 32)
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()]
    first = count_flops(lambda: net(pixels), {"net": net})
    assert count_flops(lambda: net(pixels), {"net": net}) == first
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()] == hooks


def test_a_call_that_fails_leaves_nothing_behind() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 4))
    with pytest.raises(RuntimeError, match="shapes"):
        count_flops(lambda: net(torch.ones(2, 4)), {"net": net})
    assert torch.backends.mha.get_fastpath_enabled()
    assert not net._forward_hooks
    assert not net[0]._forward_pre_hooks
    good = nn.Linear(4, 3)
    assert count_flops(lambda: good(torch.ones(2, 4)), {"good": good}).parts == {
        "good": PartFlops(1, 2 * 2 * 4 * 3)
    }


def test_what_runs_in_no_part_is_told_apart() -> None:
    inner, outer = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4))
    outer.append(inner)
    x = torch.ones(1, 4)

    def call() -> object:
        return outer(inner(x)) @ torch.ones(4, 2)

    found = count_flops(call, {"outer": outer, "inner": inner})
    assert found.parts == {
        "outer": PartFlops(1, 2 * (4 * 8 + 8 * 4)),
        "inner": PartFlops(2, 2 * 2 * 4 * 4),  # also where it runs inside the outer one
        ELSEWHERE: PartFlops(0, 2 * 4 * 2),
    }
    assert sum(part.flops for part in found.parts.values()) == found.total


def test_a_part_of_which_only_inner_modules_are_called_counts() -> None:
    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = nn.Linear(2, 6)

        def decode(self, z: Tensor) -> Tensor:
            decoded: Tensor = self.decoder(z)
            return decoded

    vae = Autoencoder()
    assert count_flops(lambda: vae.decode(torch.ones(1, 2)), {"vae": vae}).parts == {
        "vae": PartFlops(0, 2 * 2 * 6)
    }


def test_work_without_a_formula_is_told_with_its_module() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            states: Tensor = self.rnn(x)[0]
            waves: Tensor = torch.fft.fft(states)
            return waves

    with torch.no_grad():
        found = count_flops(lambda: Net()(torch.ones(3, 2, 8)))
    told = {(each.op, each.calls): each.modules for each in found.uncounted}
    assert told[("aten._fft_r2c", 1)] == ("Net",)
    assert ("Net.rnn",) in told.values()


def test_an_operation_of_somebody_else_is_told() -> None:
    with torch.library._scoped_library("beholder_test", "FRAGMENT") as library:
        library.define("mystery(Tensor x) -> Tensor")
        library.impl("mystery", lambda x: x @ x, "CPU")
        found = count_flops(lambda: torch.ops.beholder_test.mystery(torch.ones(2, 2)))
    assert [each.op for each in found.uncounted] == ["beholder_test.mystery"]
    assert found.total == 0


def test_element_wise_work_counts_nothing_by_convention() -> None:
    net = nn.Sequential(
        *(nn.BatchNorm2d(3), nn.GELU(), nn.MaxPool2d(2), nn.Upsample(scale_factor=2)),
        *(nn.Softmax(1), nn.AdaptiveAvgPool2d(1), nn.GroupNorm(1, 3), nn.Flatten()),
        nn.LayerNorm(3),
    ).eval()
    found = count_flops(lambda: functional.normalize(net(torch.rand(2, 3, 8, 8))))
    assert (found.total, found.uncounted) == (0, ())


def test_the_numbers_are_plain() -> None:
    net = nn.Linear(4, 3)
    told = count_flops(lambda: net(torch.ones(1, 4)), {"net": net}).as_dict()
    assert told["macs"] == 12
    assert told["total"] == 24
    assert told["by_op"] == {"aten.addmm": 24}
    assert told["parts"] == {"net": {"calls": 1, "flops": 24}}
