import torch
from torch import nn

from beholder._verbs.cost_text import cost_text
from beholder.eval.cost import Call, Cost, Timing, cost, cost_of_call


def told(*sizes: int, repeats: int = 0) -> Cost:
    net = nn.Linear(sizes[-1], 10**3, bias=False)
    return cost(net, [torch.rand(sizes)], timing=Timing(repeats=repeats, warm_up=0))


def test_a_table_says_what_a_network_holds_and_does() -> None:
    rows = cost_text("mine", told(500, 1000)).splitlines()
    assert (
        rows[0] == "mine: 0=500,1000 float32, dtype float32, backward False, device cpu, threads 1"
    )
    assert rows[1].split()[:4] == ["part", "parameters", "(M)", "trainable"]
    numbers = ["1.000", "1.000", "0.000", "0.000", "4.000", "1", "0.500", "1.000"]
    assert rows[3].split() == ["Linear", *numbers]
    assert rows[4] == "no time or memory measured"
    assert rows[5].startswith("processor ")
    assert "torch " in rows[6]
    assert len(rows) == 7


def test_times_stand_with_their_quartiles_and_memory_with_its_source() -> None:
    text = cost_text("mine", told(50, 10, repeats=2))
    assert "(median and quartiles of 2 runs after 0)" in text
    assert "pictures a second" in text
    assert "memory: " in text
    assert "no time" not in text


def test_several_parts_have_a_sum_and_what_runs_elsewhere() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    call = Call(
        run=lambda: second(first(torch.ones(1, 4))) @ torch.ones(4, 1),
        parts={"first": first, "second": second},
    )
    names = [row.split()[0] for row in cost_text("mine", cost_of_call(call)).splitlines()[3:7]]
    assert names == ["first", "second", "elsewhere", "all"]


def test_what_was_not_counted_is_said() -> None:
    net = nn.Sequential(nn.Linear(4, 4))
    call = Call(run=lambda: torch.fft.fft(net(torch.ones(2, 4))), parts={"net": net})
    text = cost_text("mine", cost_of_call(call, Timing(repeats=0)))
    assert "not counted: aten._fft_r2c, 1 calls in no module; the FLOPs are too few" in text
