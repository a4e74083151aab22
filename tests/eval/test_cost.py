import json
import math

import pytest
import torch
from torch import Tensor, nn

from beholder.errors import ConfigError, DataError
from beholder.eval.cost import Call, Timing, cost, cost_of_call, machine, versions

COUNT_ONLY = Timing(repeats=0)


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Dropout(0.5))


def test_a_forward_pass_costs_what_it_does_by_hand() -> None:
    found = cost(small(), [torch.rand(2, 3, 6, 5)], timing=COUNT_ONLY)
    assert found.parameters.all == 4 * 3 * 9 + 8
    assert found.flops.total == 2 * (2 * 4 * 4 * 3) * (3 * 9)
    assert found.pictures == 2
    assert found.parts["Sequential"].flops == found.flops.total
    assert found.parts["Sequential"].calls == 1
    assert found.runtime is None
    assert found.memory is None
    assert found.pictures_per_second is None
    assert found.protocol["inputs"] == {"0": "2,3,6,5 float32"}
    assert found.protocol["dtype"] == "float32"


def test_the_module_is_left_as_it_was() -> None:
    net = small()
    net[1].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    cost(net, [torch.rand(2, 3, 6, 5)], backward=True, timing=COUNT_ONLY)
    assert [m.training for m in net] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert torch.is_grad_enabled()


def test_a_training_step_costs_the_gradients_of_the_weights_too() -> None:
    x = torch.rand(2, 3, 6, 5)
    forward, both = (
        cost(small(), [x], backward=way, timing=COUNT_ONLY).flops.total for way in (False, True)
    )
    assert both == 2 * forward  # the picture itself needs no gradient
    assert cost(small(), [x], backward=True, timing=COUNT_ONLY).protocol["backward"] is True


def test_gradients_reach_through_every_kind_of_output() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3, bias=False)

        def forward(self, x: Tensor) -> dict[str, object]:
            return {"whole": x.argmax(), "pair": (self.layer(x).half(), [None, "text"])}

    found = cost(Nested(), {"x": torch.rand(2, 4)}, backward=True, timing=COUNT_ONLY)
    assert found.flops.total == 2 * (2 * 2 * 4 * 3)
    assert found.protocol["inputs"] == {"x": "2,4 float32"}


def test_without_anything_trainable_there_is_no_backward_pass() -> None:
    frozen = small().requires_grad_(requires_grad=False)
    with pytest.raises(DataError, match="nothing in the network is trainable"):
        cost(frozen, [torch.rand(1, 3, 6, 6)], backward=True)
    with pytest.raises(DataError, match="no output"):

        class Constant(nn.Linear):
            def forward(self, x: Tensor) -> Tensor:
                return x

        cost(Constant(1, 1), [torch.rand(1, 1)], backward=True)


def test_times_and_rates_belong_together() -> None:
    found = cost(small(), [torch.rand(4, 3, 32, 32)], timing=Timing(repeats=3, warm_up=1))
    assert found.runtime is not None
    assert found.pictures_per_second == pytest.approx(4 / found.runtime.median)
    assert (found.runtime.repeats, found.runtime.warm_up) == (3, 1)
    assert found.memory is not None


def test_meta_counts_the_same_and_times_nothing() -> None:
    with torch.device("meta"):
        free = cost(small(), [torch.rand(2, 3, 6, 5)])
    paid = cost(small(), [torch.rand(2, 3, 6, 5)], timing=COUNT_ONLY)
    assert free.flops == paid.flops
    assert free.parameters == paid.parameters
    assert free.runtime is None
    assert free.protocol["device"] == "meta"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="at least one input"):
        cost(small(), [])
    with pytest.raises(ConfigError, match="lies on cpu, its inputs on meta"):
        cost(small(), [torch.rand(1, 3, 6, 6, device="meta")])
    with pytest.raises(ConfigError, match="repeats must be 0 or more, got -1"):
        Timing(repeats=-1)


def test_a_call_of_several_networks_is_told_by_part() -> None:
    first, second = nn.Linear(4, 6, bias=False), nn.Linear(6, 2, bias=False)
    x = torch.rand(5, 4)

    def run() -> object:
        return second(first(first.weight.mean() * x))

    call = Call(run=run, parts={"first": first, "second": second}, pictures=5, protocol={"a": 1})
    found = cost_of_call(call, COUNT_ONLY)
    assert {name: part.flops for name, part in found.parts.items()} == {
        "first": 2 * 5 * 24,
        "second": 2 * 5 * 12,
    }
    assert found.parts["first"].parameters.all == 24
    assert found.parameters.all == 36
    assert found.protocol == {"a": 1, "device": "cpu", "threads": 1}


def test_everything_is_plain_enough_for_json() -> None:
    found = cost(small(), [torch.rand(1, 3, 6, 6)], timing=Timing(repeats=1, warm_up=0))
    told = json.loads(json.dumps(found.as_dict()))
    assert told["flops"]["total"] == 2 * told["flops"]["macs"]
    assert math.isfinite(told["pictures_per_second"])
    assert told["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert told["machine"]["cores"] >= 1


def test_the_machine_and_the_packages_that_ran_are_named() -> None:
    assert machine(torch.device("cpu"))["processor"]
    assert {"python", "torch"} <= set(versions())
