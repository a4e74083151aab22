import torch

from beholder.training.processes import Processes


def test_one_process_is_the_main_one_and_shares_with_itself() -> None:
    alone = Processes(cpu=True)
    assert (alone.rank, alone.count, alone.is_main) == (0, 1, True)
    assert alone.device.type == "cpu"
    value = torch.tensor([1.0, 2.0])
    assert torch.equal(alone.mean(value), value)
    assert torch.equal(alone.sum(value), value)
    assert alone.union({"a": "b"}) == {"a": "b"}
    alone.wait()
