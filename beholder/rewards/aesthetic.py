"""Aesthetic: LAION's predictors of how much people like a picture, whatever its prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import quote

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.downloads import download
from beholder._published.weights import fetch
from beholder.errors import ConfigError, DataError
from beholder.rewards._base import RewardCard, take_options
from beholder.rewards._card import Accuracy, Parity
from beholder.rewards._encoded import EncodedReward
from beholder.rewards._precision import at_least_float32
from beholder.rewards._preprocess import Preprocess
from beholder.rewards._towers import Features
from beholder.rewards._towers._pooled import pooled_alone
from beholder.rewards._towers.picture_only import ClipPictures, SiglipPictures
from beholder.rewards._weights import load_published, unfilled
from beholder.rewards.siglip import PUBLISHED as SIGLIP
from beholder.rewards.siglip import SO400M
from beholder.types import Scores

_V1, _V2 = "LAION-AI/aesthetic-predictor", "christophschuhmann/improved-aesthetic-predictor"
_V2_COMMIT = "6934dd81792f086e613a121dbce43082cb8be85e"
_V25 = "discus0434/aesthetic-predictor-v2-5"
_SIGLIP = "siglip"
_WIDTHS = (1024, 128, 64, 16)
_DROPOUTS = (0.0, 0.2, 0.2, 0.1, 0.0)  # before each linear layer, where the file leaves a place


@dataclass(frozen=True, slots=True)
class PublishedHead:
    """A file on GitHub.

    Attributes:
        commit: a hash; together with `file` it fixes the content.
        sha256: of the file; None if it is not known.
    """

    repo: str
    file: str
    commit: str
    sha256: str | None = None

    @property
    def address(self) -> str:
        """Where it is downloaded from."""
        return f"https://raw.githubusercontent.com/{self.repo}/{self.commit}/{quote(self.file)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One published predictor.

    Attributes:
        head: the file of its weights.
        backbone: open_clip's name of the CLIP whose pictures it reads, or "siglip".
        layers: places of the linear layers in the published head; what lies between has no weights.
        activation: whether ReLU follows each of them but the last.
        license: SPDX name.
    """

    head: PublishedHead
    backbone: str = "ViT-L-14-quickgelu"
    layers: tuple[int, ...] = (0,)
    activation: bool = False
    license: str = "MIT"


PUBLISHED = {
    "v1-l14": Version(
        head=PublishedHead(
            _V1,
            "sa_0_4_vit_l_14_linear.pth",
            "7e37768a02b0863eac390a702903aaa90ecf938e",
            "2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba",
        )
    ),
    "v1-b16": Version(
        head=PublishedHead(
            _V1,
            "sa_0_4_vit_b_16_linear.pth",
            "7e37768a02b0863eac390a702903aaa90ecf938e",
            "8ad3923d7ecf019df20ecd2ab5542a3075fbba0278d239c0371345f3d7fcbde0",
        ),
        backbone="ViT-B-16-quickgelu",
    ),
    "v1-b32": Version(
        head=PublishedHead(
            _V1,
            "sa_0_4_vit_b_32_linear.pth",
            "814214009feff106add4bb983807704ccdd5a0db",
            "c7b14cead230694acc7b9447974d3cad78003c72da032e402a303b6c2429e85f",
        ),
        backbone="ViT-B-32-quickgelu",
    ),
    "v2": Version(
        head=PublishedHead(
            _V2,
            "sac+logos+ava1-l14-linearMSE.pth",
            _V2_COMMIT,
            "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0",
        ),
        layers=(0, 2, 4, 6, 7),
        license="Apache-2.0",
    ),
    "v2-relu": Version(
        head=PublishedHead(_V2, "ava+logos-l14-reluMSE.pth", _V2_COMMIT),
        layers=(0, 3, 6, 9, 11),
        activation=True,
        license="Apache-2.0",
    ),
    "v2.5": Version(
        head=PublishedHead(
            _V25,
            "models/aesthetic_predictor_v2_5.pth",
            "3125a9e1f275092432ffc336f2908eda812c373c",
        ),
        backbone=_SIGLIP,
        layers=(0, 2, 4, 6, 8),
        license="AGPL-3.0-only",
    ),
}

_ACCURACY = (
    Accuracy("ImageReward test", 57.35, "ties dropped", "Xu et al., 2023, table 3"),
    Accuracy(
        "HPDv2 test",
        76.8,
        "mean over prompts, ties are credit; the MPS README has 72.6",
        "README of tgxs002/HPSv2",
    ),
    Accuracy("MHP overall", 62.9, "pairs", "MPS README"),
)
_KEY = re.compile(r"(?:(?:module|model|mlp|layers|scoring_head)\.)*(?:(\d+)\.)?(weight|bias)$")


class Aesthetic(EncodedReward):
    """How much people like a picture: a small head on the unit embedding of a frozen encoder.

    Args:
        version: one of `PUBLISHED`: "v2", "v2-relu", "v1-l14", "v1-b16", "v1-b32" or "v2.5".
        config: sizes that differ from the published ones: "backbone", values put over open_clip's
            configuration of the CLIP or over `SiglipVisionConfig`, and "widths" of hidden layers.
        backbone: weights of the encoder: a tag of open_clip or a local file; None for random ones.
    """

    float32: ClassVar[tuple[str, ...]] = ("head",)

    card = RewardCard(
        name="aesthetic",
        paper="Schuhmann et al., LAION-5B: An open large-scale dataset for training next "
        "generation image-text models, NeurIPS 2022",
        measures="how much people like a picture, as a rating from 1 to 10",
        weights_license="Apache-2.0",
        weights=f"{_V2} on GitHub, on OpenAI's CLIP ViT-L/14",
        needs_prompt=False,
        accuracy=_ACCURACY,
        parity=(
            Parity(
                against="transformers 5.24.0's CLIP with its Pillow processor",
                error=0.004,
                spread=0.233,
                how="six small pictures on a two-layer ViT; the published v1-l14 head gives its "
                "authors' ten rated embeddings their published -2.46 to 11.30",
            ),
        ),
        float_error=0.02,
        bf16_error=0.5,
        fp16_error=0.1,
        notes=(
            "the default, version='v2', is sac+logos+ava1-l14-linearMSE: an MLP without "
            "activations, so one affine map of the embedding; imscore's LAIONAestheticScorer",
            "version='v2-relu' is ava+logos-l14-reluMSE; 'v1-l14', 'v1-b16' and 'v1-b32' are the "
            "linear heads of 2022, whose scores are on other scales",
            "CLIP has QuickGELU here, as OpenAI trained it; without it every score is wrong",
            "version='v2.5' reads SigLIP SO400M at 384 pixels; its weights are AGPL-3.0. That no "
            "activation stands between its layers is assumed from its keys, not confirmed",
            "float32 throughout; the published code runs CLIP in float16 on a GPU, and v2.5 in "
            "bfloat16",
        ),
    )

    def __init__(
        self,
        *,
        version: str = "v2",
        config: Mapping[str, object] | None = None,
        backbone: str | Path | None = None,
    ) -> None:
        super().__init__()
        kind = _check_version(version)
        given = take_options(config or {}, {"backbone", "widths"}, "config of aesthetic")
        sizes = cast("Mapping[str, object]", given.get("backbone", {}))
        default = _WIDTHS if len(kind.layers) > 1 else ()
        self._widths = [int(w) for w in cast("Iterable[int]", given.get("widths", default))]
        self.version = version
        self.tower: ClipPictures | SiglipPictures = (
            SiglipPictures({**SO400M["vision"], **sizes}, backbone)
            if kind.backbone == _SIGLIP
            else ClipPictures(kind.backbone, sizes, backbone)
        )
        self.head = _head((self.tower.dim, *self._widths, 1), kind)
        vars(self)["card"] = _card_of(version)

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Aesthetic:
        return cls(**cast("Any", take_options(options, {"version", "config"}, "aesthetic")))

    @override
    def options(self) -> dict[str, object]:
        config = {"backbone": self.tower.sizes, "widths": self._widths}
        return {"version": self.version, "config": config}

    @property
    @override
    def fitting(self) -> Preprocess:
        return self.tower.preprocess

    @override
    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor | Features:
        """The encoder's embeddings (b, d), not yet normalised."""
        return cast("Tensor", self.tower(pixel_values))

    @override
    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        return Scores(self.score_embeddings(cast("Tensor", encoded)))

    def image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        """The encoder's embeddings, without tokens; a trainer of the head keeps them."""
        return pooled_alone(cast("Tensor", self.encode(pixel_values)))

    def text_backbone(self, texts: Sequence[str]) -> Features:
        """Rows without states: no prompt changes the score."""
        return pooled_alone(torch.zeros(len(texts), 0, device=self.device))

    def condition_features(self) -> Features:
        """No rows: the reward has no texts of its own."""
        return self.text_backbone([])

    def score_features(
        self, images: Features, texts: Features, conditions: Features | None = None
    ) -> Scores:
        """Scores of what `image_backbone` gave; `texts` and `conditions` are not looked at."""
        return Scores(self.score_embeddings(images.pooled))

    def forward_features(self, pixel_values: Tensor) -> Float[Tensor, " b"]:
        """One score a row from prepared pictures (b, 3, s, s)."""
        return self.score_embeddings(cast("Tensor", self.encode(pixel_values)))

    def score_embeddings(self, embeddings: Tensor) -> Float[Tensor, " b"]:
        """One score a row from embeddings (b, d) of the same encoder, of any length.

        Raises DataError if their shape is another.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.tower.dim:
            raise DataError(
                f"aesthetic {self.version} reads embeddings of shape (b, {self.tower.dim}), "
                f"got {tuple(embeddings.shape)}"
            )
        unit = functional.normalize(at_least_float32(embeddings), dim=-1)
        scores: Tensor = self.head(unit)[:, 0]
        return scores


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    version: str = "v2",
    backbone: str | Path | None = None,
) -> Aesthetic:
    """An aesthetic predictor with published weights, those of files, or random ones.

    Args:
        weights: the published file of the head; None without `config` downloads it from GitHub.
        config: sizes that differ from the published ones, as `Aesthetic` takes them; without
            `backbone` its encoder is random, without `weights` its head is.
        version: "v2", "v2-relu", "v1-l14", "v1-b16", "v1-b32" or "v2.5".
        backbone: weights of the encoder: a tag of open_clip's ViT, or a local file; for "v2.5" a
            local file of transformers' SigLIP. None without `config` takes the published ones.

    Raises:
        ConfigError: if an option is unknown.
        WeightsError: if weights are missing, damaged or do not fit.
    """
    kind = _check_version(version)
    if config is None:
        weights = download(kind.head.address, kind.head.sha256) if weights is None else weights
        if backbone is None:
            backbone = fetch(SIGLIP) if kind.backbone == _SIGLIP else "openai"
    with unfilled(when=weights is not None and backbone is not None):
        reward = Aesthetic(version=version, config=config, backbone=backbone)
    if weights is not None:
        load_published(reward, weights, own_name, computed=("tower.*",))
    return reward


def own_name(key: str) -> str | None:
    """This package's name of a published head's key; a linear head is its layer 0."""
    found = _KEY.fullmatch(key)
    return f"head.{found[1] or 0}.{found[2]}" if found else key


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is a head of one of the versions and nothing else."""
    own = {own_name(key): shape for key, shape in shapes.items()}
    return any(
        own.keys() == {f"head.{at}.{part}" for at in kind.layers for part in ("weight", "bias")}
        and own[f"head.{kind.layers[-1]}.bias"] == (1,)
        for kind in PUBLISHED.values()
    )


def _head(widths: Sequence[int], kind: Version) -> nn.Sequential:
    """Linear layers of these widths at the published places, with ReLUs and dropouts between."""
    if len(widths) != len(kind.layers) + 1 or min(widths) < 1:
        raise ConfigError(
            f"the head has {len(kind.layers) - 1} hidden layers, got widths {list(widths[1:-1])}"
        )
    parts: list[nn.Module] = []
    for at, pair, rate in zip(kind.layers, pairwise(widths), _DROPOUTS, strict=False):
        between = [nn.ReLU(), nn.Dropout(rate)] if kind.activation else [nn.Dropout(rate)]
        parts += between[: at - len(parts)]
        parts.append(nn.Linear(*pair))
    return nn.Sequential(*parts)


def _check_version(version: str) -> Version:
    if version not in PUBLISHED:
        raise ConfigError(f"version of aesthetic is one of {', '.join(PUBLISHED)}; got {version!r}")
    return PUBLISHED[version]


def _card_of(version: str) -> RewardCard:
    kind, card = PUBLISHED[version], Aesthetic.card
    encoder = SIGLIP.repo if kind.backbone == _SIGLIP else f"OpenAI's {kind.backbone}"
    return replace(
        card,
        weights=f"{kind.head.repo} on GitHub: {kind.head.file}, on {encoder}",
        weights_license=kind.license,
        accuracy=card.accuracy if version == "v2" else (),
    )
