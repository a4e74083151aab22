import copy
from typing import Any

import pytest
import timm
import torch
from torch import nn

from beholder.rewards._towers._encoders import ImageEncoder
from beholder.rewards._towers._folding import Folded, folded


def net(name: str = "test_efficientnet") -> Any:
    """A net whose norms have statistics that matter."""
    model = timm.create_model(name, pretrained=False).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn_like(module.running_mean) * 0.1  # type: ignore[arg-type]
            module.running_var = torch.rand_like(module.running_var) + 0.5  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "resnet10t"])
@torch.no_grad()
def test_the_folded_net_computes_the_same(name: str) -> None:
    model = net(name)
    twin = folded(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in twin.modules())
    pixels = torch.randn(2, 3, 96, 80)
    expected = model.forward_features(pixels)
    torch.testing.assert_close(twin.forward_features(pixels), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_net_whose_norms_do_not_follow_their_convolutions_stays_as_it_is() -> None:
    assert folded(net("test_vit")) is None
    pre_activated = net("resnetv2_50")  # norms come before convolutions there
    assert folded(pre_activated) is None


def test_the_twin_follows_the_weights_and_stays_away_from_training() -> None:
    model, twins = net(), Folded()
    assert twins.of(model) is model  # its weights could learn
    with torch.no_grad():
        twin = twins.of(model)
        assert twin is not model
        assert twins.of(model) is twin
        next(model.parameters()).mul_(2)
        assert twins.of(model) is not twin
    assert twins.of(model.train()) is model


def test_gradients_reach_the_pixels_through_the_twin() -> None:
    encoder = ImageEncoder("test_efficientnet", grid=2).eval()
    pixels = torch.randn(1, 3, 64, 64, requires_grad=True)
    (plain,) = torch.autograd.grad(encoder(pixels).square().sum(), pixels)
    encoder.requires_grad_(requires_grad=False)
    (quick,) = torch.autograd.grad(encoder(pixels).square().sum(), pixels)
    torch.testing.assert_close(quick, plain, atol=1e-5, rtol=1e-3)


def test_a_twin_made_in_inference_mode_passes_gradients_later() -> None:
    encoder = ImageEncoder("test_efficientnet", grid=2).eval().requires_grad_(requires_grad=False)
    pixels = torch.randn(1, 3, 64, 64, requires_grad=True)
    with torch.inference_mode():
        encoder(pixels.detach())
    encoder(pixels).sum().backward()
    assert pixels.grad is not None


def test_the_twin_is_no_part_of_the_model() -> None:
    encoder = ImageEncoder("test_efficientnet", grid=2).eval()
    names = set(encoder.state_dict())
    with torch.no_grad():
        encoder(torch.randn(1, 3, 64, 64))
    assert set(encoder.state_dict()) == names
    assert set(copy.deepcopy(encoder).state_dict()) == names
