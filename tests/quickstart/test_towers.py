from pathlib import Path

import pytest
import torch
from PIL import Image

import beholder
from beholder.errors import ImageError, MissingDependencyError, WeightsError
from beholder.quickstart.scenes import PHOTOGRAPHS, load
from beholder.quickstart.towers import (
    DIM,
    EFFICIENTNET,
    MINILM,
    Shipped,
    class_names,
    ridge,
    save_baseline,
    save_start,
    standardise,
    whiten,
)
from beholder.rewards._towers import Features, build_towers
from beholder.rewards._towers.timm_text import TimmTextTowers
from beholder.rewards.mps import MPS
from tests.rewards import tiny_towers


def test_a_missing_package_is_named_with_its_cure() -> None:
    absent = Shipped("no-such-weights==1.0", "no_such_weights", "x.pth", "00")
    with pytest.raises(MissingDependencyError, match=r"no-such-weights==1.0.*requirements"):
        absent.path()


def test_other_weights_under_the_same_name_are_refused() -> None:
    changed = Shipped("beholder", "beholder", "py.typed", "00")
    with pytest.raises(WeightsError, match="expected 00"):
        changed.path()
    gone = Shipped("beholder", "beholder", "no_such_file", "00")
    with pytest.raises(WeightsError, match="no file"):
        gone.path()


def test_the_pins_are_those_that_are_installed_from() -> None:
    pins = Path(__file__).parents[2].joinpath("requirements/quickstart.txt").read_text().split("\n")
    assert {p for p in pins if p and not p.startswith("#")} == {
        EFFICIENTNET.requirement,
        MINILM.requirement,
    }


def test_standardised_cells_have_mean_zero_and_deviation_one() -> None:
    towers = build_towers(tiny_towers.timm_text())
    assert isinstance(towers, TimmTextTowers)
    width = towers.image_projection.in_features
    tokens = 5 + 3 * torch.randn(6, 1 + towers.image.grid**2, width)
    before = towers.image_projection.weight.clone()
    standardise(towers, Features(tokens, tokens.mean(dim=1)))
    cells = tokens[:, 1:]
    standard = (cells - cells.mean((0, 1))) / cells.flatten(0, 1).std(0)
    projected = towers.project_image(Features(tokens, tokens.mean(dim=1))).tokens[:, 1:]
    position = projected - standard @ before.T
    torch.testing.assert_close(position, position[:1].expand_as(position), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(position[0].mean(0), torch.zeros(towers.dim), atol=1e-4, rtol=1e-4)
    assert torch.pdist(position[0]).min() > 0.1


def test_whitened_texts_differ_alike_in_strong_and_weak_directions() -> None:
    towers = build_towers(tiny_towers.timm_text())
    assert isinstance(towers, TimmTextTowers)
    generator = torch.Generator().manual_seed(0)
    *directions, axis = torch.linalg.qr(torch.randn(32, 32, generator=generator)).Q[:4]
    strength = torch.tensor([4.0, 2.0, 1.0])
    varied = torch.randn(500, 3, generator=generator) * strength
    texts = 50 * axis + varied @ torch.stack(directions)
    whiten(towers, texts)
    weight = towers.text_projection.weight.detach()
    after = [(weight @ (strength[k] * directions[k])).norm().item() for k in range(3)]
    assert max(after) / min(after) < 1.6
    assert (weight @ texts.mean(dim=0)).norm() < 1e-3 * max(after)


def test_ridge_finds_a_linear_map_and_shrinks_with_its_penalty() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 3, generator=generator)
    true = torch.tensor([[1.0, 0.0], [-2.0, 0.5], [0.0, 3.0]])
    targets = inputs @ true + 7
    torch.testing.assert_close(ridge(inputs, targets, 1e-6), true, atol=1e-4, rtol=1e-4)
    # With orthogonal columns of equal length a penalty of 1 halves every coefficient.
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    torch.testing.assert_close(ridge(corners, corners @ true[:2], 1.0), true[:2] / 2)


def test_class_names_are_those_of_imagenet() -> None:
    names = class_names()
    assert len(names) == 1000
    assert (names[0], names[281], names[967]) == ("tench", "tabby", "espresso")


@pytest.mark.weights
def test_the_start_is_an_mps_that_saves_and_loads(tmp_path: Path) -> None:
    path = str(tmp_path / "a.png")
    load(PHOTOGRAPHS[0]).resize((256, 256)).save(path)
    save_start(tmp_path / "start", [path], ["a cat", "a dog", "two red cubes"], seed=0)
    reward = beholder.load(str(tmp_path / "start"))
    assert isinstance(reward, MPS)
    assert reward.towers.dim == DIM
    assert reward.score(path, "a photo of a cat").total.isfinite().all()


def test_a_start_needs_readable_pictures(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        save_start(tmp_path, [str(tmp_path / "none.png")], ["a cat"], seed=0)


@pytest.mark.weights
def test_the_baseline_tells_photographs_apart(tmp_path: Path) -> None:
    save_baseline(tmp_path)
    baseline = beholder.load(str(tmp_path))
    pictures: list[Image.Image] = [load(PHOTOGRAPHS[0]), load(PHOTOGRAPHS[-3])]
    cat = baseline.score(pictures, "a photo of a cat").total
    coffee = baseline.score(pictures, "a cup of coffee").total
    assert cat[0] > cat[1]
    assert coffee[1] > coffee[0]
