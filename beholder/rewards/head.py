"""Head: a small net on what frozen towers say of a picture and its prompt, trained in seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards._base import RewardCard, take_options
from beholder.rewards._blip.encoders import run_head
from beholder.rewards._pooled_reward import PooledReward, unit
from beholder.rewards._precision import is_logit
from beholder.rewards._towers import Features, Towers, build_towers
from beholder.types import Scores

SIGLIP2 = {"kind": "open_clip", "name": "ViT-B-16-SigLIP2", "pretrained": "webli"}
"""The towers that are taken if none are given."""

_OPTIONS = {"towers", "aspects", "total", "prompt", "widths", "dropout", "uncertainty"}

LEAST_DEVIATION = 1e-3
"""No score is surer than this, so that no likelihood of it is infinite."""


class Head(PooledReward):
    """s_a = mlp(√d p, √d t, d p ∘ t)_a, p and t the unit vectors of picture and prompt.

    p and t lie in the towers' shared space of d dimensions; √d and d bring what the net reads to
    about 1 whatever the towers. The head of the reward are the towers' projections and the net, so
    pooled states before projection are all that a trainer has to keep.

    Args:
        towers: the encoders.
        aspects: names of the scores.
        total: the aspect that is the total.
        prompt: whether the prompt takes part; without it the net reads √d p alone.
        widths: of the hidden layers; none make a linear head.
        dropout: share of hidden states that training drops.
        uncertainty: whether the net also says how unsure each score is, as `Scores.deviations`.

    Raises ConfigError if an option is out of range.
    """

    float32: ClassVar[tuple[str, ...]] = ("net",)

    card = RewardCard(
        name="head",
        paper="none: a net on pooled states, as LAION's aesthetic predictors (Schuhmann et al., "
        "2022), with the prompt beside the picture",
        measures="what it was trained on; nothing before",
        weights="",
        weights_license="none",
        aspects=("overall",),
        float_error=0.005,
        bf16_error=0.3,
        fp16_error=0.02,
        notes=(
            "the net is random until it is trained; nobody published one",
            "the licence of a trained head is that of its towers and its data",
            "without towers given it stands on open_clip's ViT-B-16-SigLIP2, tag webli",
        ),
    )

    def __init__(
        self,
        towers: Towers,
        *,
        aspects: Sequence[str] = ("overall",),
        total: str = "overall",
        prompt: bool = True,
        widths: Sequence[int] = (256,),
        dropout: float = 0.1,
        uncertainty: bool = False,
    ) -> None:
        super().__init__(towers)
        _check(aspects, total, widths, dropout)
        self.aspects, self.total = tuple(aspects), total
        self.prompt, self.uncertainty = prompt, uncertainty
        self._widths, self._dropout = list(widths), dropout
        inputs = (3 if prompt else 1) * towers.dim
        self.net = _net([inputs, *widths, len(aspects) * (1 + uncertainty)], dropout)
        for name, weight in towers.named_parameters():
            if is_logit(name) or weight is towers.logit_scale:
                weight.requires_grad_(False)  # noqa: FBT003  (no score depends on it)
        vars(self)["card"] = replace(type(self).card, aspects=self.aspects, needs_prompt=prompt)

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Head:
        given = take_options(options, _OPTIONS, "head")
        towers = build_towers(cast("Mapping[str, object]", given.pop("towers", SIGLIP2)))
        return cls(towers, **cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {
            "towers": self.towers.options(),
            "aspects": list(self.aspects),
            "total": self.total,
            "prompt": self.prompt,
            "widths": self._widths,
            "dropout": self._dropout,
            "uncertainty": self.uncertainty,
        }

    @override
    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor | Features:
        return self.image_backbone(pixel_values)

    @override
    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        return self.score_features(cast("Features", encoded), self.text_backbone(prompts))

    @override
    def text_backbone(self, texts: Sequence[str]) -> Features:
        """Pooled prompt states before projection; of no width where the prompt takes no part.

        They are made from a text even then, so that the text tower can be told from the head.
        """
        if self.prompt:
            return super().text_backbone(texts)
        states = super().text_backbone([""] * len(texts))
        return Features(states.tokens[..., :0], states.pooled[:, :0])

    def score_features(
        self, images: Features, texts: Features, conditions: Features | None = None
    ) -> Scores:
        """Scores of such states, one text a picture; there are no `conditions` to look at."""
        found = run_head(self.net, self._inputs(images, texts)).unflatten(
            1, (-1, len(self.aspects))
        )
        aspects = dict(zip(self.aspects, found[:, 0].unbind(1), strict=True))
        if not self.uncertainty:
            return Scores(aspects[self.total], aspects)
        unsure = functional.softplus(found[:, 1]) + LEAST_DEVIATION
        deviations = dict(zip(self.aspects, unsure.unbind(1), strict=True))
        return Scores(aspects[self.total], aspects, deviations=deviations)

    def _inputs(self, images: Features, texts: Features) -> Float[Tensor, "b w"]:
        dim = self.towers.dim
        picture = unit(self.towers.project_image(images).pooled)
        if not self.prompt:
            return picture * math.sqrt(dim)
        prompt = unit(self.towers.project_text(texts).pooled)
        parts = (picture * math.sqrt(dim), prompt * math.sqrt(dim), picture * prompt * dim)
        return torch.cat(parts, dim=1)


def build(
    towers: Mapping[str, object] | Towers | None = None,
    aspects: Sequence[str] = ("overall",),
    total: str = "overall",
    prompt: bool = True,
    widths: Sequence[int] = (256,),
    dropout: float = 0.1,
    uncertainty: bool = False,
) -> Head:
    """A head that is still random on towers, with their weights, ready to be trained.

    Args:
        towers: the encoders, built or as options of `build_towers`; None takes `SIGLIP2`.
        aspects: names of the scores.
        total: the aspect that is the total.
        prompt: whether the prompt takes part.
        widths: of the hidden layers.
        dropout: share of hidden states that training drops.
        uncertainty: whether scores come with `Scores.deviations`.

    Raises:
        ConfigError: if an option is unknown or out of range.
        WeightsError: if the towers' weights are missing or do not fit.
    """
    built = towers if isinstance(towers, Towers) else build_towers(towers or SIGLIP2)
    return Head(
        built,
        aspects=aspects,
        total=total,
        prompt=prompt,
        widths=widths,
        dropout=dropout,
        uncertainty=uncertainty,
    )


def _net(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers of these widths, with GELUs and dropouts between."""
    *hidden, last = pairwise(widths)
    between = [[nn.Linear(*pair), nn.GELU(), nn.Dropout(dropout)] for pair in hidden]
    return nn.Sequential(*(layer for layers in between for layer in layers), nn.Linear(*last))


def _check(aspects: Sequence[str], total: str, widths: Sequence[int], dropout: float) -> None:
    names = [] if isinstance(aspects, str) else list(aspects)
    if not names or len(set(names)) < len(names) or not all(names) or "total" in names:
        raise ConfigError(
            f"aspects of head are distinct names other than 'total', one or more; got {aspects!r}"
        )
    if total not in names:
        raise ConfigError(f"total of head is one of its aspects {names}, got {total!r}")
    if not all(type(width) is int and width > 0 for width in widths):
        raise ConfigError(f"widths of head are whole numbers above 0, got {widths!r}")
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout of head lies in [0, 1), got {dropout!r}")
