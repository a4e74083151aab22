import pytest
import torch
import torchvision
from torch import nn

from beholder.errors import DataError
from beholder.eval._parameters import count_parameters


@pytest.mark.parametrize(
    ("make", "millions"),
    [
        (torchvision.models.resnet50, 25.557),
        (lambda: torchvision.models.inception_v3(init_weights=False, aux_logits=False), 23.835),
        (torchvision.models.vit_b_16, 86.568),
        (torchvision.models.video.r3d_18, 33.371),
    ],
    ids=["resnet50", "inception_v3", "vit_b_16", "r3d_18"],
)
def test_networks_hold_what_is_known_of_them(make: type[nn.Module], millions: float) -> None:
    with torch.device("meta"):
        found = count_parameters(make())
    assert found.all / 1e6 == pytest.approx(millions, abs=5e-4)
    assert found.trainable == found.all
    assert found.shared == 0
    assert found.parameter_bytes == 4 * found.all


def test_buffers_and_bytes_are_counted_by_hand() -> None:
    norm = nn.BatchNorm1d(5).half()
    found = count_parameters(norm)
    assert (found.all, found.buffers) == (10, 11)  # two means of five and one counter
    assert (found.parameter_bytes, found.buffer_bytes) == (20, 2 * 10 + 8)


def test_frozen_weights_are_not_trainable() -> None:
    net = nn.Linear(3, 2)
    net.weight.requires_grad = False
    found = count_parameters(net)
    assert (found.all, found.trainable) == (8, 2)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tied_weights_count_once(device: str) -> None:
    with torch.device(device):
        words = nn.Embedding(10, 4)
        head = nn.Linear(4, 10, bias=False)
        other = nn.Linear(4, 10, bias=False)
    head.weight = words.weight  # one parameter under two names
    other.weight = nn.Parameter(words.weight.detach())  # two parameters on the same numbers
    found = count_parameters(nn.ModuleList([words, head, other]))
    assert (found.all, found.shared) == (40, 80)
    assert found.parameter_bytes == 160


def test_slices_of_one_memory_are_not_one() -> None:
    flat = torch.zeros(6)
    net = nn.ParameterList([nn.Parameter(flat[:3]), nn.Parameter(flat[3:])])
    assert count_parameters(net).all == 6


def test_networks_that_share_a_part_hold_it_once() -> None:
    part = nn.Linear(3, 3, bias=False)
    found = count_parameters(nn.Sequential(part), nn.Sequential(part, nn.Linear(3, 1, bias=False)))
    assert (found.all, found.shared) == (12, 9)


def test_sizes_that_are_not_known_yet_are_refused() -> None:
    with pytest.raises(DataError, match="run it once"):
        count_parameters(nn.LazyLinear(3))


def test_nothing_holds_nothing() -> None:
    assert set(count_parameters(nn.ReLU()).as_dict().values()) == {0}
