from typing import Any

import torch
from torch import nn

from beholder.rewards._frozen import fingerprint, is_frozen


def test_a_module_is_frozen_in_eval_mode_where_no_gradient_reaches_it() -> None:
    module = nn.Linear(1, 1).eval()
    assert not is_frozen(module)
    with torch.no_grad():
        assert is_frozen(module)
    module.requires_grad_(requires_grad=False)
    assert is_frozen(module)
    assert not is_frozen(module.train())


def test_every_change_of_weights_changes_the_fingerprint() -> None:
    module = nn.Linear(2, 2).eval()
    seen = [fingerprint(module)]
    assert fingerprint(module) == seen[0]
    with torch.no_grad():
        module.bias.add_(1)
    seen.append(fingerprint(module))
    module.load_state_dict({k: v + 1 for k, v in module.state_dict().items()})
    seen.append(fingerprint(module))
    module.double()
    seen.append(fingerprint(module))
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    module.weight.grad, module.bias.grad = (torch.ones_like(p) for p in module.parameters())
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    seen.append(fingerprint(module))
    assert len(set(seen)) == len(seen)


def test_switching_an_adapter_changes_the_fingerprint() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    module = nn.Sequential(nn.Linear(4, 4))
    inject_adapter_in_model(LoraConfig(target_modules=["0"]), module)
    layer: Any = module[0]
    seen = fingerprint(module)
    layer.enable_adapters(False)  # noqa: FBT003
    assert fingerprint(module) != seen
