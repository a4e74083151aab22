"""An ensemble: several rewards on one scale, harder to fool together than each is alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from typing_extensions import override

from beholder.errors import ConfigError, DataError
from beholder.images import ImageSource
from beholder.rewards._base import Reward, RewardCard, grouped, take_options
from beholder.rewards._nested import Spec, built, described, rebuilt
from beholder.types import Scores

_RULES = ("weighted", "min", "mean_minus_std")
_TAKEN = ("total", "error")  # columns that every table of scores has

Scales = Mapping[str, Sequence[float]]
"""Member -> mean and standard deviation of its scores."""


@final
class Ensemble(Reward):
    """Scores of several rewards, each as z = (score - mean) / std, joined to one total.

    With "weighted" the total is the weighted sum of the z; with "min" the smallest z of a picture;
    with "mean_minus_std" their mean less k population standard deviations, so that a picture on
    which the members disagree scores less. The last two follow Coste et al. (ICLR 2024), who take
    the variance where this takes its root. Aspects are the members' z by name. Maps and words of
    members are left out.

    Args:
        members: name -> reward.
        how: "weighted", "min" or "mean_minus_std".
        weights: of each member for "weighted"; None counts each once.
        k: standard deviations that "mean_minus_std" takes off.
        scales: each member's [mean, std]; "none" joins the scores as they are; None leaves them to
            `calibrate`, without which nothing is scored.

    Attributes:
        scales: as above; `calibrate` and `calibrate_from` set them.
    """

    card = RewardCard(
        name="ensemble",
        measures="what its members do",
        paper="Coste et al., Reward Model Ensembles Help Mitigate Overoptimization, ICLR 2024",
        weights_license="the members'",
        weights="the members'",
        notes=(
            "aspects are the members' z-scores by name, and the total is of them",
            "z-scores need scales: given, or measured on a sample by calibrate",
            "differentiable, and in need of prompts, as its members are",
        ),
    )

    def __init__(
        self,
        members: Mapping[str, Reward],
        *,
        how: str = "weighted",
        weights: Mapping[str, float] | None = None,
        k: float = 1.0,
        scales: Scales | str | None = None,
    ) -> None:
        super().__init__()
        self.names = _check_names(members)
        self.members = nn.ModuleList(members.values())
        self.how = _check_rule(how, weights)
        self.weights = None if weights is None else _check_weights(weights, self.names)
        self.k = _number("k", k, least=0)
        self.scales = _check_scales(scales, self.names)
        vars(self)["card"] = _card(type(self).card, members)

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Ensemble:
        given = take_options(options, {"rewards", "how", "weights", "k", "scales"}, "ensemble")
        saved = given.pop("rewards", {})
        if not isinstance(saved, Mapping):
            raise ConfigError(f"rewards of a saved ensemble map names to rewards, got {saved!r}")
        members = {name: rebuilt(value, f"member {name!r}") for name, value in saved.items()}
        return cls(members, **cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {
            "rewards": {name: described(member) for name, member in self._named()},
            "how": self.how,
            "weights": self.weights,
            "k": self.k,
            "scales": self.scales,
        }

    @override
    def deciding(self) -> dict[str, object]:
        members = {n: {**described(m), "options": m.deciding()} for n, m in self._named()}
        return {**self.options(), "rewards": members}

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        return packed([member.preprocess(pixels) for _, member in self._named()])

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        scales = self._known_scales()
        totals, errors = self._member_totals(pixel_values, prompts)
        mean, std = totals.new_tensor(scales).T[:, :, None]
        z = (totals - mean) / std
        bad = ~totals.isfinite().all(0)
        total = self._join(z).masked_fill(bad, math.nan)
        return Scores(total, dict(zip(self.names, z, strict=True)), errors=errors)

    @override
    def forward(self, pixels: Tensor, prompts: Sequence[str]) -> Scores:
        """As of every reward.

        Raises ConfigError too if pixels ask for a gradient that a member does not give.
        """
        if torch.is_grad_enabled() and pixels.requires_grad and not self.card.differentiable:
            without = [name for name, member in self._named() if not member.card.differentiable]
            raise ConfigError(
                f"no gradient reaches the pictures: {', '.join(without)} of the ensemble "
                "is not differentiable; leave it out, or learn without gradient"
            )
        return super().forward(pixels, prompts)

    def member_scores(
        self,
        images: ImageSource | Sequence[ImageSource],
        prompts: str | Sequence[str] | None = None,
        *,
        batch_size: int = 32,
    ) -> dict[str, Float[Tensor, " b"]]:
        """What each member scores by itself, before any scale; NaN where it has no score."""
        return {
            name: member.score(images, prompts, batch_size=batch_size).total
            for name, member in self._named()
        }

    def calibrate(
        self,
        images: ImageSource | Sequence[ImageSource],
        prompts: str | Sequence[str] | None = None,
        *,
        batch_size: int = 32,
    ) -> None:
        """Measure the scales on pictures such as the ensemble will see; errors as below."""
        self.calibrate_from(self.member_scores(images, prompts, batch_size=batch_size))

    def calibrate_from(self, scores: Mapping[str, Tensor]) -> None:
        """Take the scales from scores of a sample: mean and std (n - 1) of those that are finite.

        Raises DataError if a member's scores are missing, are fewer than two, or are all the same.
        """
        if set(scores) != set(self.names):
            raise DataError(
                f"scores of {', '.join(sorted(scores)) or 'nobody'} cannot calibrate an ensemble "
                f"of {', '.join(self.names)}; give each member's"
            )
        self.scales = {name: _measured(name, scores[name]) for name in self.names}

    def _named(self) -> list[tuple[str, Reward]]:
        return list(zip(self.names, cast("list[Reward]", list(self.members)), strict=True))

    def _known_scales(self) -> list[list[float]]:
        if self.scales is None:
            raise ConfigError(
                "the ensemble has no scales to compare its members by; measure them with "
                "calibrate(images, prompts), or give scales={name: [mean, std]} or scales='none'"
            )
        if isinstance(self.scales, str):
            return [[0.0, 1.0]] * len(self.names)
        return [self.scales[name] for name in self.names]

    def _member_totals(
        self, values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> tuple[Float[Tensor, "n b"], dict[int, str]]:
        """Totals of each member, and for a row without one of them the reason."""
        totals = values.new_empty((len(self.names), len(values)))
        reasons: dict[int, str] = {}
        for rows, parts in unpacked(values, len(self.names)):
            texts = [prompts[row] for row in rows]
            for at, (name, member) in enumerate(self._named()):
                scores = member.score_prepared(parts[at], texts)
                totals[at, rows] = scores.total.to(totals)
                for row, why in _faults(name, scores).items():
                    reasons.setdefault(rows[row], why)
        return totals, reasons

    def _join(self, z: Float[Tensor, "n b"]) -> Float[Tensor, " b"]:
        if self.how == "min":
            return z.amin(0)
        if self.how == "mean_minus_std":
            mean = z.mean(0)
            # unlike std, the norm has a gradient, of zero, where all members agree
            std: Tensor = torch.linalg.vector_norm(z - mean, dim=0) / math.sqrt(len(z))
            return mean - self.k * std
        weights = z.new_tensor([(self.weights or {}).get(name, 1.0) for name in self.names])
        return weights @ z


def build(
    rewards: Mapping[str, Spec] | Sequence[Spec] = (),
    how: str = "weighted",
    weights: Mapping[str, float] | None = None,
    k: float = 1.0,
    scales: Scales | str | None = None,
) -> Ensemble:
    """The ensemble of rewards that are named, or built already.

    Args:
        rewards: name -> what `beholder.load` takes as a name, or {reward: name, **its options}, or
            a reward. A list of these names each member by its own name or folder.
        how: "weighted", "min" or "mean_minus_std".
        weights: name -> how much a member counts, for "weighted"; None counts each once.
        k: standard deviations that "mean_minus_std" takes off.
        scales: name -> [mean, std]; "none" for scores as they are; None leaves it to `calibrate`.

    Raises:
        ConfigError: if there is no member, or a name, an option or a value is wrong.
        WeightsError: if a member's weights are missing or do not fit.
    """
    named = rewards if isinstance(rewards, Mapping) else _by_name(rewards)
    _check_rule(how, weights)  # before weights are fetched in vain
    _check_scales(scales, _check_names(named))
    members = {name: built(spec, f"member {name!r}") for name, spec in named.items()}
    return Ensemble(members, how=how, weights=weights, k=k, scales=scales)


def uncalibrated(reward: nn.Module) -> list[Ensemble]:
    """The ensembles in a reward, itself included, that have no scales; inner ones first.

    In this order each can be calibrated.
    """
    found = [part for part in reward.modules() if isinstance(part, Ensemble)]
    return [ensemble for ensemble in reversed(found) if ensemble.scales is None]


def packed(parts: Sequence[Float[Tensor, "b 3 _ _"]]) -> Float[Tensor, "b 3 1 n"]:
    """Values of several shapes side by side in one row, after their heights and widths."""
    sizes = parts[0].new_tensor([part.shape[2:] for part in parts], dtype=torch.float32)
    head = sizes.reshape(1, 1, -1).expand(len(parts[0]), 3, -1)
    return torch.cat([head, *(part.float().flatten(2) for part in parts)], dim=2)[:, :, None]


def unpacked(
    values: Float[Tensor, "b 3 1 n"], count: int
) -> list[tuple[list[int], list[Float[Tensor, "_ 3 _ _"]]]]:
    """What was packed: rows whose shapes agree, and their `count` values; batches may be mixed.

    Two members of one picture may fill as many places as those of another with other shapes.
    """
    heads = values[:, 0, 0, : 2 * count].detach().round().long().tolist()
    found = []
    for rows in grouped([tuple(head) for head in heads]):
        shapes = list(zip(heads[rows[0]][::2], heads[rows[0]][1::2], strict=True))
        body = values[rows, :, 0, 2 * count :].split([h * w for h, w in shapes], dim=2)
        found.append((rows, [v.unflatten(2, shape) for v, shape in zip(body, shapes, strict=True)]))
    return found


def _by_name(rewards: Sequence[Spec]) -> dict[str, Spec]:
    named: dict[str, Spec] = {}
    for spec in [rewards] if isinstance(rewards, str) else rewards:
        name = _own_name(spec)
        if name in named:
            raise ConfigError(f"two members are named {name!r}; give rewards as name -> reward")
        named[name] = spec
    return named


def _own_name(spec: Spec) -> str:
    if isinstance(spec, Reward):
        return spec.card.name
    text = spec if isinstance(spec, str) else str(spec.get("reward", ""))
    return re.sub(r"\W", "_", Path(text).name.rpartition(":")[2])


def _check_names(members: Mapping[str, object]) -> tuple[str, ...]:
    if not members:
        raise ConfigError("an ensemble needs a member: rewards=['mps', 'clipscore'], or by name")
    for name in members:
        if not isinstance(name, str) or not name.isidentifier() or name in _TAKEN:
            raise ConfigError(
                f"a member cannot be named {name!r}; use letters, digits and underscores, "
                f"and neither of {', '.join(_TAKEN)}"
            )
    return tuple(members)


def _check_rule(how: str, weights: object) -> str:
    if how not in _RULES:
        raise ConfigError(f"how must be one of {', '.join(_RULES)}; got {how!r}")
    if weights is not None and how != "weighted":
        raise ConfigError(
            f"weights are of how='weighted', and how is {how!r}; leave one of them out"
        )
    return how


def _check_weights(weights: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    _check_members("weights", weights, names)
    return {name: _number(f"weight of {name}", weights[name]) for name in names}


def _check_scales(
    scales: Scales | str | None, names: Sequence[str]
) -> dict[str, list[float]] | str | None:
    if scales is None or scales == "none":
        return scales
    _check_members("scales", scales, names)
    return {name: _scale(name, cast("Scales", scales)[name]) for name in names}


def _check_members(what: str, given: object, names: Sequence[str]) -> None:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{what} must be a value for each of {', '.join(names)}; got {given!r}")
    if set(given) != set(names):
        raise ConfigError(
            f"{what} are of {', '.join(map(str, given))}, and the members are {', '.join(names)}"
        )


def _scale(name: str, pair: Sequence[float]) -> list[float]:
    if isinstance(pair, str) or len(pair) != 2:
        raise ConfigError(f"the scale of {name} must be [mean, std], got {pair!r}")
    mean, std = (_number(f"the scale of {name}", value) for value in pair)
    if std <= 0:
        raise ConfigError(f"the scale of {name} needs a std above 0, got {std:g}")
    return [mean, std]


def _number(name: str, value: object, least: float = -math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} must be a finite number, got {value!r}")
    if value < least:
        raise ConfigError(f"{name} must be at least {least:g}, got {value}")
    return float(value)


def _measured(name: str, scores: Tensor) -> list[float]:
    values = scores.detach().double().flatten()
    values = values[values.isfinite()]
    spread = float(values.std()) if len(values) > 1 else 0.0
    if spread <= 1e-6 * sum(values.abs().tolist(), 0.0):  # less is float32's rounding
        raise DataError(
            f"{len(values)} scores of {name} have no spread to measure a scale by; "
            "give two or more pictures that differ"
        )
    return [float(values.mean()), spread]


def _faults(name: str, scores: Scores) -> dict[int, str]:
    """Row -> why a member has no score for it, in the form "code: why"."""
    faults = {}
    for row, value in enumerate(scores.total.detach().tolist()):
        if not math.isfinite(value):
            code, _, why = scores.errors.get(row, f"non-finite: it gave {value}").partition(": ")
            faults[row] = f"{code}: member {name}: {why}"
    return faults


def _card(card: RewardCard, members: Mapping[str, Reward]) -> RewardCard:
    cards = [member.card for member in members.values()]
    licenses = sorted({c.weights_license for c in cards} - {"none"})
    return replace(
        card,
        weights_license=" AND ".join(licenses) or "none",
        aspects=tuple(members),
        needs_prompt=any(c.needs_prompt for c in cards),
        differentiable=all(c.differentiable for c in cards),
    )
