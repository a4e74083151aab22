"""What a training step changes: weights, the optimizer's moments, the weights' running average."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from beholder.errors import ConfigError
from beholder.training.fit.shares import clip_gradients, full, is_sharded, like

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Schedule = Literal["cosine", "linear", "constant"]
RateOf = Callable[[str], float]
"""The name of a weight -> its share of the learning rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How `fit` learns.

    Attributes:
        steps: of the optimizer.
        accumulation: batches of each process in one step.
        learning_rate: at its highest, after the warmup.
        warmup_steps: over which the rate rises from 0 in a line.
        schedule: how the rate falls afterwards, or "constant".
        final_rate: what it falls to.
        weight_decay: AdamW's, for matrices; norms, biases and other vectors have none.
        betas, epsilon: AdamW's.
        clip_norm: the gradient's norm is cut to this.
        precision: "auto" is bf16 on a GPU that has it and fp32 elsewhere.
        ema_decay: the weights' running average, which is then evaluated and kept; 0 is without.
            Early on it forgets faster: step t uses min(ema_decay, (1 + t) / (10 + t)).
        evaluate_every_steps: and before the first and after the last step.
        patience_evaluations: stop after so many without a new best; 0 never stops early.
        checkpoint_every_steps: and after the last step.
        keep_checkpoints: how many of the newest stay.
        log_every_steps: of the training loss.
        seed: of dropout and the like.
    """

    steps: int = 500
    accumulation: int = 1
    learning_rate: float = 3e-4
    warmup_steps: int = 50
    schedule: Schedule = "cosine"
    final_rate: float = 0.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    precision: Precision = "auto"
    ema_decay: float = 0.0
    evaluate_every_steps: int = 50
    patience_evaluations: int = 0
    checkpoint_every_steps: int = 50
    keep_checkpoints: int = 2
    log_every_steps: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("steps", "accumulation", "learning_rate", "epsilon", "clip_norm")
        every = ("evaluate_every_steps", "checkpoint_every_steps", "log_every_steps")
        for name in (*positive, *every, "keep_checkpoints"):
            require(name, getattr(self, name), above=0)
        for name in ("warmup_steps", "weight_decay", "patience_evaluations", "seed"):
            require(name, getattr(self, name), least=0)
        require("final_rate", self.final_rate, least=0, most=self.learning_rate)
        require("ema_decay", self.ema_decay, least=0, below=1)
        for beta in self.betas:
            require("betas", beta, least=0, below=1)


def require(
    name: str,
    value: float,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
) -> None:
    """Raise ConfigError unless least <= value <= most, above < value < below and it is finite."""
    if not (math.isfinite(value) and least <= value <= most and above < value < below):
        bounds = {"at least": least, "above": above, "below": below, "at most": most}
        wanted = " and ".join(f"{word} {b:g}" for word, b in bounds.items() if math.isfinite(b))
        raise ConfigError(f"{name} must be {wanted}, got {value}")


def rate_factor(step: int, config: FitConfig) -> float:
    """Share of the learning rate at a step counted from 0: a line up, then the schedule.

    cosine (Loshchilov & Hutter, 2017, eq. 5): r + (1 - r) (1 + cos(pi t)) / 2; linear:
    r + (1 - r) (1 - t), where t runs from 0 after the warmup to 1 at the end and r is the final
    rate's share.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    t = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    shapes = {"cosine": (1 + math.cos(math.pi * t)) / 2, "linear": 1 - t, "constant": 1.0}
    lowest = config.final_rate / config.learning_rate
    return lowest + (1 - lowest) * shapes[config.schedule]


def one_rate(_: str) -> float:
    """The whole learning rate, for every weight."""
    return 1.0


class Learner:
    """The trainable weights of a module with all that an optimizer step reads and writes."""

    def __init__(
        self, module: nn.Module, config: FitConfig, precision: str, rate_of: RateOf = one_rate
    ) -> None:
        self.weights = {k: p for k, p in module.named_parameters() if p.requires_grad}
        if not self.weights:
            raise ConfigError("nothing is left to train: every weight is frozen")
        self._buffers = dict(module.named_buffers())
        self._config = config
        self._optimizer = torch.optim.AdamW(
            weight_groups(self.weights, config.weight_decay, rate_of),
            lr=config.learning_rate,
            betas=config.betas,
            eps=config.epsilon,
        )
        device = next(iter(self.weights.values())).device
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self._average = _copies(self.weights) if config.ema_decay > 0 else {}
        self.best: dict[str, Tensor] = {}

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradient; fp16 losses are scaled, so that small gradients survive."""
        self._scaler.scale(loss).backward()

    def clip(self) -> float:
        """Cut the gradients' norm; gives what it was, not finite where a gradient is not."""
        self._scaler.unscale_(self._optimizer)
        return clip_gradients(self.weights.values(), self._config.clip_norm)

    def update(self, step: int) -> dict[str, float]:
        """Take an optimizer step by the gradients, which `clip` cut, and clear them.

        With fp16 a gradient that is not finite moves nothing and halves the scale of the loss.
        Gives numbers to log: train/learning_rate, with fp16 train/loss_scale and train/skipped too.
        """
        rate = self.rate(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["share"]
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        self._follow(step)
        return {"train/learning_rate": rate, **self._scaling(scale)}

    def rate(self, step: int) -> float:
        """The learning rate of a step counted from 0."""
        return self._config.learning_rate * rate_factor(step, self._config)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The running average in place of the weights inside, if there is one."""
        kept = _copies(self.weights) if self._average else {}
        _assign(self.weights, self._average)
        try:
            yield
        finally:
            _assign(self.weights, kept)

    def snapshot(self) -> dict[str, Tensor]:
        """Copies, on the CPU, of the weights as they are now and of the buffers."""
        now = self.weights | self._buffers
        return {k: full(v.detach()).cpu().clone() for k, v in now.items()}

    def finish(self) -> None:
        """Leave the best weights in the module; without evaluations their average, if there is."""
        _assign(self.weights | self._buffers, self.best or self._average)

    def tensors(self, *, keep: bool = True) -> dict[str, Tensor]:
        """All of it by name, for a checkpoint, on the CPU what was in shards.

        Every process has to ask; those that do not `keep` it get nothing.
        """
        parts: dict[str, Mapping[str, Tensor]] = {
            "weights": self.weights,
            "buffers": self._buffers,
            "average": self._average,
            "best": self.best,
            "optimizer": self._moments(),
        }
        named = {f"{part}/{k}": v for part, tensors in parts.items() for k, v in tensors.items()}
        whole = ((k, full(v.detach()).cpu() if is_sharded(v) else v) for k, v in named.items())
        return {k: v for k, v in whole if keep}

    def numbers(self) -> dict[str, float]:
        """The state of the fp16 loss scale, for a checkpoint."""
        return cast("dict[str, float]", self._scaler.state_dict())

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, float]) -> None:
        """Take up what `tensors` and `numbers` gave."""
        _assign(self.weights, _part(tensors, "weights"))
        _assign(self._buffers, _part(tensors, "buffers"))
        _assign(self._average, _part(tensors, "average"))
        self.best = _part(tensors, "best")
        for key, value in _part(tensors, "optimizer").items():
            name, _, kind = key.rpartition("/")
            weight = self.weights[name]
            # AdamW counts steps on the CPU
            place = value if kind == "step" else like(value, weight)
            self._optimizer.state[weight][kind] = place
        if numbers:
            self._scaler.load_state_dict(dict(numbers))

    def _scaling(self, before: float) -> dict[str, float]:
        if not self._scaler.is_enabled():
            return {}
        scale = self._scaler.get_scale()
        return {"train/loss_scale": scale, "train/skipped": float(scale < before)}

    def _moments(self) -> dict[str, Tensor]:
        states = {name: self._optimizer.state.get(w, {}) for name, w in self.weights.items()}
        return {f"{name}/{kind}": v for name, state in states.items() for kind, v in state.items()}

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        decay = min(self._config.ema_decay, (2 + step) / (11 + step))
        for name, average in self._average.items():
            average.lerp_(self.weights[name], 1 - decay)


def weight_groups(
    weights: Mapping[str, Tensor], decay: float, rate_of: RateOf = one_rate
) -> list[dict[str, object]]:
    """AdamW's groups: matrices with decay; vectors (norms, biases) and numbers without.

    Each is divided by the share of the learning rate, which the group tells, and into what is whole
    and what is in shards.
    """
    groups: dict[tuple[float, float, bool], list[Tensor]] = {}
    for name, weight in sorted(weights.items(), key=lambda item: item[1].ndim < 2):
        key = (decay if weight.ndim >= 2 else 0.0, rate_of(name), is_sharded(weight))
        groups.setdefault(key, []).append(weight)
    return [{"params": g, "weight_decay": d, "share": s} for (d, s, _), g in groups.items()]


def learning_mode(module: nn.Module) -> None:
    """Train mode, but parts whose weights are all frozen stay in eval mode: no dropout in them."""
    module.train()
    for part in module.modules():
        weights = list(part.parameters())
        if weights and not any(w.requires_grad for w in weights):
            part.eval()


class LearningMode:
    """`learning_mode` again and again: large frozen towers are walked through once.

    What is frozen must stay as it is at the first call.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._modes: list[tuple[nn.Module, bool]] = []

    def __call__(self) -> None:
        """Put every part into its mode."""
        if not self._modes:
            learning_mode(self._module)
            self._modes = [(part, part.training) for part in self._module.modules()]
        for part, is_training in self._modes:
            part.training = is_training


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@torch.no_grad()
def _assign(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        targets[name].copy_(value if is_sharded(value) else like(value, targets[name]))


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    start = f"{part}/"
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
