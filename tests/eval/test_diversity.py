"""Diversity by an embedding that can be followed by hand, and once by LPIPS."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval import diversity as module
from beholder.eval._lpips import Lpips
from beholder.eval.diversity import diversity
from beholder.images import ImageSource, read_each


def grey(level: float, height: int = 40, width: int = 50) -> Tensor:
    return torch.full((3, height, width), float(level))


def mean_level(pixels: Tensor) -> Tensor:
    """One number a picture, so that the distance of two is the square of a difference."""
    return pixels.mean((1, 2, 3))[:, None]


def test_the_mean_is_over_pairs_and_then_over_prompts() -> None:
    """(0.01 + 0.09 + 0.04) / 3 of three pictures, 0.25 of two: prompts count the same."""
    images = [grey(0.0), grey(0.5), grey(0.1), grey(0.0), grey(0.3)]
    found = diversity(images, ["a", "b", "a", "b", "a"], embed=mean_level)
    assert found.prompts == pytest.approx({"a": 0.14 / 3, "b": 0.25})
    assert found.mean.value == pytest.approx((0.14 / 3 + 0.25) / 2)
    assert found.mean.samples == 2
    assert found.pictures == 5
    assert found.mean.low is not None
    assert found.mean.low <= found.mean.value  # type: ignore[operator]


def test_equal_pictures_of_any_size_have_no_diversity() -> None:
    found = diversity([grey(0.5), grey(0.5, 33, 90)], ["a", "a"], embed=mean_level)
    assert found.mean.value == pytest.approx(0, abs=1e-12)


def test_the_batch_size_and_the_order_do_not_matter() -> None:
    images = list(torch.rand(7, 3, 36, 36))
    prompts = list("ababaab")
    whole = diversity(images, prompts, embed=mean_level)
    parts = diversity(images, prompts, embed=mean_level, batch_size=2)
    back = diversity(images[::-1], prompts[::-1], embed=mean_level)
    assert parts.prompts == pytest.approx(whole.prompts)
    assert back.mean.value == pytest.approx(whole.mean.value)


def test_bytes_and_floats_are_the_same_pictures() -> None:
    levels = torch.randint(0, 256, (2, 3, 60, 40), dtype=torch.uint8)
    whole = diversity(list(levels), ["a", "a"], embed=mean_level)
    assert diversity(levels / 255, ["a", "a"], embed=mean_level).prompts == whole.prompts


def test_unreadable_pictures_and_prompts_left_alone_are_told() -> None:
    images: list[ImageSource] = [grey(0), "/nowhere/missing.png", grey(0.2), grey(0.4), grey(1)]
    found = diversity(images, ["a", "b", "a", "b", "c"], embed=mean_level)
    assert found.errors.keys() == {1}
    assert found.alone == ("b", "c")
    assert found.prompts == pytest.approx({"a": 0.04})
    assert found.pictures == 2


def test_only_the_pictures_of_one_prompt_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = read_each

    def watched(images: list[ImageSource], *given: Any, **named: Any) -> Any:
        read.append(len(images))
        return plain(images, *given, **named)

    monkeypatch.setattr(module, "read_each", watched)
    images: list[ImageSource] = [grey(0), "/none/b.png", grey(0.2), "/none/a.png", grey(1)]
    found = diversity(images, ["a", "b", "a", "a", "b"], embed=mean_level)
    assert read == [3, 2]
    assert list(found.errors) == [1, 3]


def test_nothing_to_compare_is_no_number() -> None:
    found = diversity([grey(0), grey(1)], ["a", "b"], embed=mean_level)
    assert found.mean.value is None
    assert found.mean.why == "no prompt has two or more readable pictures"
    assert found.as_dict()["alone"] == ("a", "b")
    assert diversity([], [], embed=mean_level).pictures == 0


def test_the_result_is_json() -> None:
    found = diversity([grey(0), grey(0.2)], ["a", "a"], embed=mean_level, draws=10, seed=3)
    assert json.loads(json.dumps(found.as_dict())) == {
        "mean": {
            "value": pytest.approx(0.04),
            "low": pytest.approx(0.04),
            "high": pytest.approx(0.04),
        }
        | {"samples": 1, "why": ""},
        "prompts": {"a": pytest.approx(0.04)},
        "pictures": 2,
        "alone": [],
        "errors": {},
        "size": 256,
        "draws": 10,
        "seed": 3,
    }


def test_by_default_pictures_are_compared_by_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = Lpips().eval()
    monkeypatch.setattr(module, "load_lpips", lambda: model)
    images = torch.rand(3, 3, 64, 64)
    found = diversity(images, ["a"] * 3, size=64)
    with torch.no_grad():
        vectors = model(images)
    pairs = [(vectors[i] - vectors[j]).square().sum() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.prompts["a"] == pytest.approx(torch.stack(pairs).mean().item(), rel=1e-5)


@pytest.mark.parametrize("wrong", [{"size": 31}, {"batch_size": 0}, {"draws": 0}])
def test_wrong_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        diversity([], [], embed=mean_level, **wrong)


def test_every_picture_needs_a_prompt(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 pictures but 1 prompts"):
        diversity([grey(0), tmp_path / "x.png"], ["a"], embed=mean_level)
