import pytest
import torch

from beholder.errors import ConfigError
from beholder.training.fit.processes import Processes


def test_one_process_is_the_main_one_and_shares_with_itself() -> None:
    alone = Processes(cpu=True)
    assert (alone.rank, alone.count, alone.is_main) == (0, 1, True)
    assert alone.device.type == "cpu"
    value = torch.tensor([1.0, 2.0])
    assert torch.equal(alone.mean(value), value)
    assert torch.equal(alone.sum(value), value)
    assert alone.union({"a": "b"}) == {"a": "b"}
    assert (alone.all(True), alone.all(False)) == (True, False)  # noqa: FBT003
    assert not alone.shards
    alone.wait()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [("FSDP_VERSION", "1", "--fsdp_version 2"), ("FSDP_OFFLOAD_PARAMS", "true", "cannot offload")],
)
def test_what_of_fsdp_is_not_supported_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    for key, setting in {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", name: value}.items():
        monkeypatch.setenv(key, setting)
    with pytest.raises(ConfigError, match=told):
        Processes(cpu=True)
