"""What trains and what is frozen: the policy, in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from beholder.errors import ConfigError
from beholder.rewards import Reward
from beholder.rewards._precision import is_logit
from beholder.rewards._towers import Features
from beholder.types import Scores

Trains = Literal["head", "last_blocks", "fix_rate", "lora", "all"]
"""head: all but the towers. last_blocks: also the last blocks of each tower. fix_rate: all but the
first share of each tower's blocks, as ImageReward. lora: also low-rank updates of the towers'
linear layers (Hu et al., 2022), merged into them at the end. all: all."""

TowerName = Literal["picture", "text"]
Blocks = int | Mapping[TowerName, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """Low-rank updates W + alpha / rank B A of linear layers (Hu et al., 2022).

    Attributes:
        rank: of each update.
        alpha: its factor times the rank; 0 is as the rank.
        towers: whose layers are updated.
    """

    rank: int = 16
    alpha: int = 0
    towers: Sequence[TowerName] = ("picture", "text")


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

    def tower_modules(self) -> tuple[nn.Module, ...]:
        """The picture tower and the text tower, if there is one."""


def freeze(
    reward: Reward,
    train: Trains,
    *,
    last_blocks: Blocks = 4,
    fix_rate: float = 0.7,
    lora: LowRank = LowRank(),
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
        inside = set().union(*towers)
        chosen = own - inside
        if train == "last_blocks":
            chosen |= own & _last_blocks(reward, towers, last_blocks)
        if train == "fix_rate":
            chosen |= (own & inside) - _first_blocks(reward, towers, fix_rate)
        if train == "lora":
            add_lora(reward, own & _chosen(towers, lora.towers), lora)
            chosen |= {name for name, _ in reward.named_parameters() if "lora_" in name}
        _refuse_scale_alone(chosen, reward)
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
            f"reward {reward.card.name} does not tell towers from a head; use train='all', and "
            "neither tower_rate, layer_decay nor checkpoint_activations"
        )
    name_of = {id(weight): name for name, weight in reward.named_parameters()}
    with _all_learning(reward):
        pixels = reward.preprocess(torch.zeros(1, 3, 64, 64, device=reward.device))
        states = (reward.image_backbone(pixels), reward.text_backbone(["a"]))
    image, text = (
        {name_of[k] for k in _leaves((s.tokens, s.pooled)) & set(name_of)} for s in states
    )
    return image, text


def tower_blocks(reward: nn.Module, tower: set[str]) -> list[str]:
    """Names of a tower's blocks in order: the list of layers that holds most of its weights.

    `tower` are names of weights, as `tower_weights` gives them now; [] if it has no such list.
    """
    stacks: list[tuple[int, list[str]]] = []
    for name, module in reward.named_modules():
        if isinstance(module, (nn.ModuleList, nn.Sequential)):
            weights = {f"{name}.{weight}" for weight, _ in module.named_parameters()}
            blocks = [f"{name}.{k}" for k, _ in module.named_children()]
            if len(blocks) > 1 and weights and weights <= tower:
                stacks.append((len(weights), blocks))
    return max(stacks, key=lambda stack: stack[0], default=(0, []))[1]


def tower_depths(reward: Reward) -> dict[str, int]:
    """How far below the head each weight of a tower lies, in blocks.

    1 is the tower's last block, n its first; what is used before that has n + 1, what is used after
    the last block 0. Raises ConfigError if the reward has no towers.
    """
    towers = tower_weights(reward)
    seen = _one_pass(reward, towers)
    depths = [_depths(reward, tower, seen) for tower in towers]
    return {name: depth for one in reversed(depths) for name, depth in one.items()}


def add_lora(reward: nn.Module, towers: Iterable[str], lora: LowRank) -> None:
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
        r=lora.rank,
        lora_alpha=lora.alpha or lora.rank,
        target_modules=sorted(linear),
        target_parameters=sorted(fused),
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


def _refuse_scale_alone(chosen: Collection[str], reward: Reward) -> None:
    if chosen and all(is_logit(name) for name in chosen):
        raise ConfigError(
            f"nothing but the logit scale of {reward.card.name} would train, which changes no "
            "order; use train='last_blocks', 'lora' or 'all'"
        )


@contextmanager
def _all_learning(reward: nn.Module) -> Iterator[None]:
    """Gradients reach every weight inside, and no state is taken from a cache."""
    before = {weight: weight.requires_grad for weight in reward.parameters()}
    for weight in before:
        weight.requires_grad_(weight.is_floating_point())
    try:
        with torch.enable_grad():
            yield
    finally:
        for weight, was in before.items():
            weight.requires_grad_(was)


@dataclass(frozen=True, slots=True)
class _Pass:
    """How one picture went through a reward.

    Attributes:
        order: when each module first ran, counted from 0.
        before: of each tower's first block, ids of the weights that its input depends on.
    """

    order: Mapping[str, int]
    before: Mapping[str, set[int]]


def _one_pass(reward: Reward, towers: Iterable[set[str]]) -> _Pass:
    order: dict[str, int] = {}
    inputs: dict[str, list[Tensor]] = {}
    for tower in towers:
        inputs |= {block: [] for block in tower_blocks(reward, tower)[:1]}
    hooks = [
        module.register_forward_pre_hook(partial(_note, order, inputs, name), with_kwargs=True)
        for name, module in reward.named_modules()
    ]
    try:
        with _all_learning(reward):
            pixels = reward.preprocess(torch.zeros(1, 3, 64, 64, device=reward.device))
            reward.score_prepared(pixels, ["a"])
    finally:
        for hook in hooks:
            hook.remove()
    return _Pass(order, {block: _leaves(given) for block, given in inputs.items()})


def _note(
    order: dict[str, int],
    inputs: Mapping[str, list[Tensor]],
    name: str,
    _: nn.Module,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> None:
    if name not in order and name in inputs:
        inputs[name].extend(x for x in (*args, *kwargs.values()) if isinstance(x, Tensor))
    order.setdefault(name, len(order))


def _depths(reward: nn.Module, tower: set[str], seen: _Pass) -> dict[str, int]:
    blocks = tower_blocks(reward, tower)
    depths = {
        f"{name}.{weight}": len(blocks) - k
        for k, name in enumerate(blocks)
        for weight, _ in reward.get_submodule(name).named_parameters()
    }
    before = set().union(*(seen.before[block] for block in blocks[:1]))
    for name in tower - set(depths):
        is_before = id(reward.get_parameter(name)) in before
        depths[name] = len(blocks) + 1 if is_before else 0
    return depths


def _first_blocks(reward: Reward, towers: Sequence[set[str]], rate: float) -> set[str]:
    """What ImageReward's `fix_rate` freezes: of n blocks the first int(n rate) and what they need.

    With them go all weights used before, and the first one that the next block uses: the published
    loop over the weights ends one too late (Xu et al., 2023).
    """
    seen = _one_pass(reward, towers)
    fixed: set[str] = set()
    for tower in towers:
        blocks = tower_blocks(reward, tower)
        count = int(len(blocks) * rate)
        depths = _depths(reward, tower, seen)
        fixed |= {name for name, depth in depths.items() if depth > len(blocks) - count}
        fixed |= {_first_weight(reward, block, seen) for block in blocks[count : count + 1]}
    return fixed


def _first_weight(reward: nn.Module, block: str, seen: _Pass) -> str:
    names = [f"{block}.{name}" for name, _ in reward.get_submodule(block).named_parameters()]
    return min(names, key=lambda name: seen.order.get(name.rpartition(".")[0], len(seen.order)))


def _last_blocks(reward: nn.Module, towers: Sequence[set[str]], last: Blocks) -> set[str]:
    chosen: set[str] = set()
    for tower, which in zip(towers, _names(towers), strict=True):
        blocks = tower_blocks(reward, tower)
        count = last if isinstance(last, int) else last.get(which, 0)
        if tower and len(blocks) < count:
            raise ConfigError(f"last_blocks is {count}, but a tower has {len(blocks)} blocks")
        for block in blocks[len(blocks) - count :]:
            chosen |= {f"{block}.{n}" for n, _ in reward.get_submodule(block).named_parameters()}
    return chosen


def _chosen(towers: Sequence[set[str]], which: Sequence[TowerName]) -> set[str]:
    named = zip(towers, _names(towers), strict=True)
    return {name for tower, kind in named if kind in which for name in tower}


def _names(towers: Sequence[set[str]]) -> list[TowerName]:
    """The picture tower comes first; all others read texts."""
    return ["picture" if k == 0 else "text" for k in range(len(towers))]
