import pytest
import torch
from torch import nn

from beholder.errors import ConfigError
from beholder.rewards._precision import (
    at_least_float32,
    cast_parts,
    checked_device,
    dtype_named,
    moved,
)
from tests.rewards.tinies.pickscore import tiny as tiny_pickscore


def parts() -> nn.ModuleDict:
    return nn.ModuleDict({"tower": nn.Linear(2, 2), "head": nn.Linear(2, 1)})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_values_are_raised_to_float32_and_never_lowered(
    given: torch.dtype, expected: torch.dtype
) -> None:
    assert at_least_float32(torch.ones(2, dtype=given)).dtype == expected


def test_the_head_keeps_float32_in_half_precision_only() -> None:
    module = parts()
    before = module["head"].weight.clone()  # type: ignore[operator]
    cast_parts(module, torch.bfloat16, ("head",))
    assert module["tower"].weight.dtype == torch.bfloat16
    assert torch.equal(module["head"].weight, before)  # type: ignore[arg-type]
    cast_parts(module, torch.float64, ("head",))
    assert module["head"].weight.dtype == torch.float64


class Inner(nn.Module):
    """Says of a part of its own, as rewards do, that it stays in float32."""

    float32 = ("head",)

    def __init__(self) -> None:
        super().__init__()
        self.tower, self.head = nn.Linear(2, 2), nn.Linear(2, 1)
        self.register_buffer("table", torch.ones(2))


def test_a_reward_further_in_keeps_what_it_keeps_by_itself() -> None:
    module = nn.ModuleDict({"members": nn.ModuleList([Inner(), nn.Linear(1, 1)])})
    cast_parts(module, torch.bfloat16, ())
    kept = {name for name, value in module.state_dict().items() if value.dtype == torch.float32}
    assert kept == {"members.0.table", "members.0.head.weight", "members.0.head.bias"}


def test_weights_are_not_cast_to_whole_numbers() -> None:
    with pytest.raises(ConfigError, match=r"not to torch\.int8"):
        cast_parts(parts(), torch.int8, ())


def test_pictures_travel_as_one_batch() -> None:
    pictures = [torch.full((3, 2, 4), k, dtype=torch.uint8) for k in range(3)]
    batch = moved(pictures, torch.device("cpu"))
    assert batch.dtype == torch.uint8
    assert batch[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_types_are_named_and_a_slow_one_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("beholder.rewards._precision._is_native", lambda name: False)
    assert dtype_named("fp32", None) == torch.float32
    assert dtype_named("bf16", "cuda") == torch.bfloat16
    assert not caplog.records
    assert dtype_named("fp16", "cpu") == torch.float16
    assert "this CPU emulates fp16" in caplog.text
    with pytest.raises(ConfigError, match="fp32, bf16, fp16; got 'half'"):
        dtype_named("half", None)


def test_the_scale_of_logits_is_never_rounded() -> None:
    reward = tiny_pickscore()
    before = reward.towers.logit_scale.item()
    reward.cast(torch.bfloat16)
    assert reward.towers.logit_scale.item() == before
    assert reward.towers.dtype == torch.bfloat16
    assert reward.score(torch.rand(1, 3, 32, 32), "a cat").total.isfinite().all()


def test_a_device_that_is_not_there_is_one_clear_line() -> None:
    assert checked_device("cpu").type == "cpu"
    for name in ("gpu", "cuda:99"):
        with pytest.raises(ConfigError, match=f"no device '{name}'"):
            checked_device(name)
