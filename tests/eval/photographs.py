"""Cut-outs of real photographs, damaged at rising strength, and real features of them.

The features are those of EfficientNet-Lite0, trained on ImageNet, out of a package: they stand in
for the networks of FID, KID and CMMD, so no figure made with them is one of those.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from beholder.errors import MissingDependencyError
from beholder.eval.extractors.custom import CustomExtractor, build
from beholder.quickstart.degrade import block, grain, soften, tint
from beholder.quickstart.towers import EFFICIENTNET

Picture = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.float32]
SIDE = 128
DAMAGES = ("blur", "noise", "jpeg", "cast")
_SCIKIT_IMAGE = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "hubble_deep_field")
_SCIKIT_LEARN = ("china.jpg", "flower.jpg")
_SMALLEST = 384  # the shorter side to which large photographs are shrunk, so that crops show things


@cache
def photographs() -> dict[str, Picture]:
    """Eight colour photographs of scikit-image and scikit-learn, 384 pixels on the shorter side."""
    data: Any = pytest.importorskip("skimage.data", reason="photographs ship with scikit-image")
    learn: Any = pytest.importorskip("sklearn.datasets", reason="photographs ship with sklearn")
    folder = Path(data.__file__).parent
    files = {path.stem: path for path in folder.iterdir() if path.stem in _SCIKIT_IMAGE}
    found = {name: _shrunk(np.asarray(Image.open(files[name]))) for name in _SCIKIT_IMAGE}
    return found | {name: _shrunk(learn.load_sample_image(name)) for name in _SCIKIT_LEARN}


def crops(each: int, seed: int) -> dict[str, list[Picture]]:
    """Photograph -> so many random squares of `SIDE` pixels, half of them mirrored."""
    rng = np.random.default_rng(seed)
    return {name: [_crop(p, rng) for _ in range(each)] for name, p in photographs().items()}


def damaged(pictures: list[Picture], damage: str, strength: float) -> list[Picture]:
    """The same pictures with one fault of a strength in [0, 1]; the same noise at every one."""
    return [_damaged(picture, damage, strength, seed) for seed, picture in enumerate(pictures)]


@cache
def extractor() -> CustomExtractor:
    """EfficientNet-Lite0 at the crops' own size."""
    pytest.importorskip("timm", reason="the network is built by timm")
    try:
        weights = EFFICIENTNET.path()
    except MissingDependencyError as absent:
        pytest.skip(str(absent))
    return build(weights, "timm:tf_efficientnet_lite0", SIDE)


@torch.no_grad()
def features(pictures: list[Picture], batch: int = 4) -> Rows:
    """Pooled features (n, 1280) before the classifier; larger batches cost page faults on a CPU."""
    network = extractor()
    (layer,) = network.layers
    tensors = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    rows = [network(part, [layer])[layer] for part in tensors.split(batch)]
    return torch.cat(rows).numpy()


def _shrunk(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = min(1.0, _SMALLEST / min(height, width))
    size = (round(width * scale), round(height * scale))
    small: Picture = np.asarray(Image.fromarray(picture).convert("RGB").resize(size))
    return small


def _crop(picture: Picture, rng: np.random.Generator) -> Picture:
    top, left = (rng.integers(size - SIDE + 1) for size in picture.shape[:2])
    square = picture[top : top + SIDE, left : left + SIDE]
    return np.ascontiguousarray(square[:, ::-1] if rng.random() < 0.5 else square)


def _damaged(picture: Picture, damage: str, strength: float, seed: int) -> Picture:
    if damage == "jpeg":
        return block(picture, strength)
    values = np.divide(picture, 255, dtype=np.float32)
    if damage == "noise":
        changed = grain(values, strength, np.random.default_rng(seed))
    else:
        changed = {"blur": soften, "cast": tint}[damage](values, strength)
    levels: Picture = np.clip(np.rint(changed * 255), 0, 255).astype(np.uint8)
    return levels
