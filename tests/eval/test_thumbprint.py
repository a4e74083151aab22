import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from beholder.eval._thumbprint import THRESHOLD, Thumbprint, shrunk
from tests.eval.photographs import Picture, photographs

PRINT = Thumbprint()


def prints(pictures: list[Picture]) -> Tensor:
    prepared = [PRINT.prepare(torch.from_numpy(p.copy()).permute(2, 0, 1)) for p in pictures]
    rows: Tensor = PRINT(torch.stack(prepared), ["waves"])["waves"]
    return rows


def edited(picture: Picture, edit: str) -> Picture:
    image = Image.fromarray(picture)
    width, height = image.size
    edits: dict[str, Any] = {
        "jpeg": lambda: _jpeg(image),
        "half": lambda: image.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
        "brighter": lambda: ImageEnhance.Brightness(image).enhance(1.1),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(0.9),
        "flip": lambda: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "cut": lambda: image.crop((0, 0, round(0.9 * width), round(0.9 * height))),
    }
    changed: Picture = np.asarray(edits[edit]())
    return changed


def _jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file)


@pytest.fixture(scope="module")
def originals() -> Tensor:
    return prints(list(photographs().values()))


@pytest.mark.parametrize("edit", ["jpeg", "half", "brighter", "contrast"])
def test_copies_of_photographs_lie_above_the_threshold(originals: Tensor, edit: str) -> None:
    copies = prints([edited(picture, edit) for picture in photographs().values()])
    assert (originals * copies).sum(1).min() > 0.97 > THRESHOLD


@pytest.mark.parametrize("edit", ["flip", "cut"])
def test_flips_and_crops_are_other_pictures(originals: Tensor, edit: str) -> None:
    others = prints([edited(picture, edit) for picture in photographs().values()])
    assert (originals * others).sum(1).max() < THRESHOLD


def test_different_photographs_are_far_apart(originals: Tensor) -> None:
    cosines = originals @ originals.T - 2 * torch.eye(len(originals))
    assert cosines.max() < 0.5


def test_rows_have_length_1_and_flat_pictures_are_alike_whatever_their_grey() -> None:
    flat = [np.full((9, 5, 3), grey, np.uint8) for grey in (0, 90, 255)]
    rows = prints([*flat, *list(photographs().values())[:1]])
    assert rows.shape == (4, PRINT.layers["waves"])
    assert torch.allclose(rows.norm(dim=1), torch.ones(4), atol=1e-6)
    assert torch.allclose(rows[:3] @ rows[:3].T, torch.ones(3, 3), atol=1e-5)
    assert rows[0] @ rows[3] < 0.1


def test_contrast_and_brightness_alone_do_not_count() -> None:
    grey = np.random.default_rng(0).integers(0, 100, (64, 64, 1)).repeat(3, 2).astype(np.uint8)
    one, other = prints([grey, 2 * grey + 30])
    assert one @ other == pytest.approx(1, abs=1e-5)


def test_a_picture_is_shrunk_by_exact_areas() -> None:
    picture = torch.arange(3 * 64 * 32, dtype=torch.float32).reshape(3, 64, 32)
    assert torch.allclose(shrunk(picture), picture.unflatten(1, (32, 2)).mean(2))
    odd = torch.rand(3, 50, 37)
    assert torch.allclose(shrunk(odd).mean((1, 2)), odd.mean((1, 2)), atol=1e-6)
    tiny = torch.tensor([[[1.0, 2.0]]]).repeat(3, 1, 1)
    assert shrunk(tiny)[0, 0].tolist() == [1.0] * 16 + [2.0] * 16
