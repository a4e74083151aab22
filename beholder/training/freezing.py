"""What trains and what is frozen: the policy, in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from beholder.errors import ConfigError
from beholder.rewards import Reward
from beholder.rewards._towers import Features
from beholder.types import Scores

Trains = Literal["head", "last_blocks", "lora", "all"]
"""head: all but the towers. last_blocks: also the last blocks of each tower. lora: also low-rank
updates of the towers' linear layers (Hu et al., 2022), merged into them at the end. all: all."""


@runtime_checkable
class FeatureReward(Protocol):
    """A reward whose towers can be frozen, and what they give kept, while its head is trained."""

    def image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        """States of prepared pictures, before anything that belongs to the head."""

    def text_backbone(self, texts: Sequence[str]) -> Features:
        """The same of prompts."""

    def condition_features(self) -> Features:
        """The same of the reward's own texts."""

    def score_features(
        self, images: Features, texts: Features, conditions: Features | None = None
    ) -> Scores:
        """Scores of such states, one text a picture; conditions are computed if not given."""


@runtime_checkable
class TowerReward(Protocol):
    """A reward that names its towers, where no states before the head would tell them."""

    def tower_modules(self) -> tuple[nn.Module, nn.Module]:
        """The picture tower and the text tower."""


def freeze(
    reward: Reward,
    train: Trains,
    *,
    last_blocks: int,
    lora_rank: int,
    frozen: Sequence[str] = (),
) -> list[str]:
    """Let only the weights that `train` means learn, but for the `frozen` parts; gives their names.

    A tower is what the reward says, or what the backbone states depend on, found by following them
    back to the weights; weights that came frozen stay so. With "lora" the towers' layers are
    wrapped until `merge_lora`.
    Raises ConfigError if the reward has no towers, or no such blocks, layers or parts.
    """
    own = {name for name, weight in reward.named_parameters() if weight.requires_grad}
    own = own.difference(*(weights_in(reward, part) for part in frozen))
    if train != "all":
        towers = tower_weights(reward)
        chosen = own - set().union(*towers)
        if train == "last_blocks":
            chosen |= own & _last_blocks(reward, towers, last_blocks)
        if train == "lora":
            add_lora(reward, own & set().union(*towers), lora_rank)
            chosen |= {name for name, _ in reward.named_parameters() if "lora_" in name}
        own = chosen
    for name, weight in reward.named_parameters():
        weight.requires_grad_(name in own)
    return [name for name, weight in reward.named_parameters() if weight.requires_grad]


def weights_in(reward: Reward, part: str) -> set[str]:
    """Names of the weights of a part such as "vision" or "joint.text".

    Raises ConfigError if there is none.
    """
    names = {name for name, _ in reward.named_parameters() if f"{name}.".startswith(f"{part}.")}
    if not names:
        known = ", ".join(name for name, _ in reward.named_children())
        raise ConfigError(f"frozen: reward {reward.card.name} has no part {part!r}; it has {known}")
    return names


def are_towers_frozen(train: Trains) -> bool:
    """Whether what the towers give stays the same, so that it can be kept."""
    return train == "head"


def tower_weights(reward: Reward) -> tuple[set[str], ...]:
    """Names of the weights that picture states and text states before the head depend on.

    Raises ConfigError if the reward does not tell its towers from its head.
    """
    if isinstance(reward, TowerReward):
        parts = [part for tower in reward.tower_modules() for part in _stacks(tower)]
        named = list(reward.named_parameters())
        return tuple({name for name, weight in named if weight in part} for part in parts)
    if not isinstance(reward, FeatureReward):
        raise ConfigError(
            f"reward {reward.card.name} does not tell towers from a head; use train='all'"
        )
    name_of = {id(weight): name for name, weight in reward.named_parameters()}
    with torch.enable_grad():
        pixels = reward.preprocess(torch.zeros(1, 3, 64, 64, device=reward.device))
        states = (reward.image_backbone(pixels), reward.text_backbone(["a"]))
    image, text = (
        {name_of[k] for k in _leaves((s.tokens, s.pooled)) & set(name_of)} for s in states
    )
    return image, text


def add_lora(reward: nn.Module, towers: Iterable[str], rank: int) -> None:
    """Wrap every linear layer of the towers, and queries, keys and values of torch's attention.

    Raises ConfigError if there is none.
    """
    from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415

    names = set(towers)
    modules = {name: reward.get_submodule(name) for name in {n.rpartition(".")[0] for n in names}}
    attention = {n for n, m in modules.items() if isinstance(m, nn.MultiheadAttention)}
    # torch's attention reads its output weight past the layer that holds it, and peft's wrapper of
    # the whole adds and subtracts the update in each pass, so that rounding moves frozen weights.
    linear = {n for n, m in modules.items() if isinstance(m, nn.Linear)}
    linear = {n for n in linear if n.rpartition(".")[0] not in attention}
    fused = {f"{n}.in_proj_weight" for n in attention} & names
    if not linear | fused:
        raise ConfigError("the towers have no linear layers for train='lora'; use last_blocks")
    config = LoraConfig(
        r=rank, lora_alpha=rank, target_modules=sorted(linear), target_parameters=sorted(fused)
    )
    inject_adapter_in_model(config, reward)


def merge_lora(reward: nn.Module) -> None:
    """Add the low-rank updates to the layers that they wrap and unwrap these."""
    from peft.tuners.tuners_utils import BaseTunerLayer  # noqa: PLC0415

    wrapped = {n: m for n, m in reward.named_modules() if isinstance(m, BaseTunerLayer)}
    for name, layer in cast("dict[str, Any]", wrapped).items():
        layer.merge(safe_merge=True)
        reward.set_submodule(name, layer.get_base_layer())


def summary(names: Sequence[str], module: nn.Module) -> str:
    """What trains, for the log: how many weights, and in which parts."""
    sizes = {name: weight.numel() for name, weight in module.named_parameters()}
    parts = Counter(".".join(name.split(".")[:3]) for name in names)
    listed = ", ".join(f"{part} ({count})" for part, count in parts.items())
    share = sum(sizes[name] for name in names)
    return f"training {share:,} of {sum(sizes.values()):,} weights, by part (tensors): {listed}"


def _stacks(tower: nn.Module) -> list[set[nn.Parameter]]:
    """The weights of a tower; those that belong to its decoder alone, if it has one, apart."""
    whole, decoder = set(tower.parameters()), getattr(tower, "decoder", None)
    if not isinstance(decoder, nn.Module):
        return [whole]
    others = [part for part in tower.children() if part is not decoder]
    own = set(decoder.parameters()).difference(*(part.parameters() for part in others))
    return [whole - own, own]


def _leaves(states: Iterable[Tensor]) -> set[int]:
    """Ids of the weights that a gradient of the states would reach."""
    nodes: list[Any] = [state.grad_fn for state in states]
    seen, found = set(), set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        nodes += [parent for parent, _ in node.next_functions]
    return found


def _last_blocks(reward: nn.Module, towers: Iterable[set[str]], count: int) -> set[str]:
    chosen: set[str] = set()
    for tower in towers:
        blocks = _blocks(reward, tower)
        if len(blocks) < count:
            raise ConfigError(f"last_blocks is {count}, but a tower has {len(blocks)} blocks")
        chosen |= set().union(*blocks[len(blocks) - count :])
    return chosen


def _blocks(reward: nn.Module, tower: set[str]) -> list[set[str]]:
    """The weights of each block of a tower: the list of layers that holds most of its weights."""
    stacks = []
    for name, module in reward.named_modules():
        if isinstance(module, (nn.ModuleList, nn.Sequential)):
            blocks = [
                {f"{name}.{k}.{weight}" for weight, _ in block.named_parameters()}
                for k, block in module.named_children()
            ]
            if len(blocks) > 1 and set().union(*blocks) <= tower:
                stacks.append(blocks)
    return max(stacks, key=lambda blocks: sum(map(len, blocks)), default=[])
