"""LPIPS against lpips 0.1.4 on the same weights."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from beholder.errors import WeightsError
from beholder.eval import _lpips
from beholder.eval._lpips import SMALLEST, Lpips, load_lpips

# LPIPS(net="alex", pnet_rand=True) of lpips 0.1.4 under torchvision 0.29.1 and torch 2.14.1, with
# `trunk()` in its slices, on `pictures()`, normalize=True.
PUBLISHED = [0.0, 0.021350666880607605, 0.15860716998577118, 0.1377486288547516]


def trunk() -> dict[str, Tensor]:
    """Weights by formula, so that no file is needed."""
    weights = {}
    for number, (name, value) in enumerate(Lpips().features.state_dict().items()):
        wave = (torch.arange(value.numel(), dtype=torch.float64) * 0.7 + number).sin()
        scale = 3 / value[0].numel() ** 0.5 if value.ndim > 1 else 0.1
        weights[f"features.{name}"] = wave.reshape(value.shape).float() * scale
    return weights


def pictures() -> tuple[Tensor, Tensor]:
    """Four pairs: equal, slightly noisy, and two of unrelated noise."""
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(4, 3, 64, 80, generator=generator)
    second = torch.rand(4, 3, 64, 80, generator=generator)
    second[0] = first[0]
    second[1] = (first[1] + 0.1 * second[1]).clamp(0, 1)
    return first, second


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lpips") / "alexnet.pth"
    torch.save(trunk() | {"classifier.1.weight": torch.zeros(2, 2)}, path)
    return path


def test_distances_are_those_of_the_published_package(file: Path) -> None:
    model = load_lpips(file)
    first, second = (model(batch) for batch in pictures())
    distances = (first - second).square().sum(1)
    torch.testing.assert_close(distances, torch.tensor(PUBLISHED), atol=1e-6, rtol=1e-5)


def test_the_smallest_picture_has_a_vector(file: Path) -> None:
    side = SMALLEST
    assert load_lpips(file)(torch.rand(2, 3, side, side)).isfinite().all()


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    wrong = trunk()
    del wrong["features.10.bias"]
    torch.save(wrong, tmp_path / "short.pth")
    (tmp_path / "page.pth").write_text("<html>")
    whys = {"short.pth": "10.bias", "page.pth": "a web page", "none.pth": "no weights file"}
    for name, why in whys.items():
        with pytest.raises(WeightsError, match=why):
            load_lpips(tmp_path / name)


def test_published_weights_are_checked_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    cached = tmp_path / "checkpoints" / Path(_lpips.TRUNK).name
    cached.parent.mkdir()
    cached.write_bytes(file.read_bytes())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match="damaged"):
        load_lpips()
    monkeypatch.setattr(_lpips, "_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    assert torch.equal(load_lpips()(pictures()[0]), load_lpips(file)(pictures()[0]))


def test_weights_that_cannot_be_fetched_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(WeightsError, match=r"no network; download it elsewhere"):
        load_lpips()
