"""Each shape as its trainer calls it; where the trainer is installed, by the trainer itself."""

import abc
import inspect
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from beholder.errors import BeholderError, ConfigError, DataError
from beholder.rewards import load
from beholder.training.adapters import (
    FlowFactoryReward,
    PathsReward,
    RenoReward,
    UniRLReward,
    as_loss_fn,
    as_reward_fn,
    flow_grpo_factory,
)
from tests.training._adapters.grey import Grey, Opaque, greys

PROMPTS = ("a", "plus")
IMAGES = greys(0.2, 0.6)
EXPECTED = torch.tensor([0.2, 1.6])
PIL = [Image.fromarray(np.full((4, 4, 3), level, np.uint8)) for level in (51, 153)]


@pytest.mark.parametrize("metadata", [(), (None,), ({},), (({"seed": 1}, {}),)])
def test_a_reward_function_takes_any_metadata_or_none(metadata: tuple[Any, ...]) -> None:
    scores, extra = as_reward_fn(Grey())(IMAGES, PROMPTS, *metadata, only_strict=True)
    torch.testing.assert_close(scores, EXPECTED)
    assert extra == {}


def test_a_reward_function_is_a_plain_function_with_a_name() -> None:
    assert isinstance(as_reward_fn(Grey()), FunctionType)
    assert as_reward_fn(Grey()).__name__ == "grey"
    assert as_reward_fn(Grey(), name="brightness").__name__ == "brightness"


def test_ddpo_pytorch_submits_it_to_threads() -> None:
    fn = as_reward_fn(Grey())
    with ThreadPoolExecutor(2) as executor:
        submitted = [executor.submit(fn, IMAGES, PROMPTS, ({}, {})) for _ in range(4)]
        results = [future.result() for future in submitted]
    for rewards, metadata in results:
        torch.testing.assert_close(torch.as_tensor(rewards), EXPECTED)
        assert metadata == {}


def test_a_function_with_gradient_has_that_of_the_reward() -> None:
    pixels = IMAGES.clone().requires_grad_()
    scores, _ = as_reward_fn(Grey(), differentiable=True)(pixels, PROMPTS, ({}, {}))
    (10 - scores.mean()).backward()
    torch.testing.assert_close(pixels.grad, torch.full_like(pixels, -1 / (2 * 3 * 4 * 4)))


def test_a_picture_without_a_score_is_never_zero() -> None:
    with pytest.raises(BeholderError, match="1 of 2 pictures have no score"):
        as_reward_fn(Grey())(greys(0.2, 0.0), "a")
    scores, _ = as_reward_fn(Grey(), on_error="nan")(greys(0.2, 0.0), "a")
    torch.testing.assert_close(scores, torch.tensor([0.2, torch.nan]), equal_nan=True)


def test_a_reward_without_gradient_does_not_pretend_to_have_one() -> None:
    with pytest.raises(ConfigError, match="has no gradient"):
        as_reward_fn(Opaque(), differentiable=True)
    with pytest.raises(ConfigError, match="has no gradient"):
        as_loss_fn(Opaque())


def test_flow_grpo_makes_it_for_a_device_and_weighs_single_scores() -> None:
    factory: Any = flow_grpo_factory(Grey(), aspect="red")
    plain: Any = inspect.unwrap(factory)  # from under the checks of types that tests add
    assert "device" in plain.__code__.co_varnames  # flow_grpo looks whether to pass one
    scores, _ = factory(torch.device("cpu"))(IMAGES, PROMPTS, {})
    weighted = [0.5 * score for score in scores]
    torch.testing.assert_close(torch.as_tensor(weighted).float(), torch.tensor([0.1, 0.3]))


def test_a_loss_function_takes_what_a_vae_decodes() -> None:
    decoded = (IMAGES * 2 - 1).requires_grad_()
    loss, rewards = as_loss_fn(Grey())(decoded, PROMPTS)
    torch.testing.assert_close(rewards, EXPECTED)
    torch.testing.assert_close(loss, -EXPECTED)
    loss.sum().backward()
    torch.testing.assert_close(decoded.grad, torch.full_like(decoded, -0.5 / (3 * 4 * 4)))


def test_pixels_beyond_white_are_clamped_and_keep_their_gradient() -> None:
    decoded = torch.full((1, 3, 4, 4), 1.2, requires_grad=True)
    loss, rewards = as_loss_fn(Grey())(decoded, ["a"])
    torch.testing.assert_close(rewards, torch.tensor([1.0]))
    loss.sum().backward()
    torch.testing.assert_close(decoded.grad, torch.full_like(decoded, -0.5 / 48))


def flow_factory_config(**extra: Any) -> Any:
    known = {"name": "mine", "weight": 1.0, "batch_size": 2}
    given = {"reward": "tiny", "seed": 2, **extra}
    return SimpleNamespace(
        **known, dtype=torch.float32, device=torch.device("cuda"), extra_kwargs=given
    )


ACCELERATOR = SimpleNamespace(device=torch.device("cpu"))


@pytest.mark.parametrize(
    "images",
    [IMAGES, list(IMAGES), [Image.fromarray(np.full((4, 4, 3), k, np.uint8)) for k in (51, 153)]],
)
def test_flow_factory_gets_rewards_of_tensors_and_pil(images: Any) -> None:
    reward = FlowFactoryReward(config=flow_factory_config(), accelerator=ACCELERATOR)
    found = reward(prompt=list(PROMPTS), image=images, condition_images=None)
    expected = load("tiny", seed=2).score(list(IMAGES), list(PROMPTS))
    torch.testing.assert_close(found.rewards, expected.total, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.extra_info["detail"], expected.aspects["detail"])
    assert reward.config.batch_size == 2
    assert reward.to("cpu").device == torch.device("cpu")


def test_flow_factory_takes_it_for_a_pointwise_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    room: Any = types.ModuleType("flow_factory.rewards.abc")
    room.PointwiseRewardModel = abc.ABCMeta("PointwiseRewardModel", (), {})
    monkeypatch.setitem(sys.modules, room.__name__, room)
    reward = FlowFactoryReward(flow_factory_config(), ACCELERATOR)
    assert isinstance(reward, room.PointwiseRewardModel)


def test_flow_factory_names_a_nested_reward_by_its_folder(tmp_path: Path) -> None:
    smoothed = load("smoothed", reward="tiny")
    smoothed.save_pretrained(tmp_path)
    config = flow_factory_config()
    config.extra_kwargs = {"reward": str(tmp_path)}
    found = FlowFactoryReward(config, ACCELERATOR)(prompt=list(PROMPTS), image=IMAGES)
    assert torch.equal(found.rewards, smoothed.score(list(IMAGES), list(PROMPTS)).total)


def test_flow_factory_is_told_what_its_entry_lacks() -> None:
    with pytest.raises(ConfigError, match="needs `reward`"):
        FlowFactoryReward(flow_factory_config(reward=None), ACCELERATOR)
    reward = FlowFactoryReward(flow_factory_config(), ACCELERATOR)
    with pytest.raises(DataError, match="no `image`"):
        reward(prompt=["a"], video=[[]])


class Response(SimpleNamespace):
    pass


@pytest.fixture
def unirl(monkeypatch: pytest.MonkeyPatch) -> None:
    room: Any = types.ModuleType("unirl.types.reward")
    room.RewardResponse = Response
    monkeypatch.setitem(sys.modules, room.__name__, room)


def unirl_request(*levels: float) -> Any:
    return SimpleNamespace(
        images=list(greys(*levels)),
        generation_prompt=SimpleNamespace(texts=["a"] * len(levels)),
        original_prompt=SimpleNamespace(texts=["plus"] * len(levels)),
    )


@pytest.mark.parametrize(("source", "expected"), [("generation", 0.2), ("original", 1.2)])
@pytest.mark.usefixtures("unirl")
def test_unirl_gets_a_response_and_names_what_failed(source: str, expected: float) -> None:
    backend = UniRLReward("tests.training._adapters.grey:Grey", device="cpu", prompt_source=source)
    response = backend.compute_rewards(unirl_request(0.2, 0.0))
    assert response.rewards[0] == pytest.approx(expected)
    assert response.successes == [True, False]
    assert response.errors[0] is None
    assert "non-finite" in response.errors[1]
    assert response.component_rewards["red"] == pytest.approx([0.2, 0.0])


def test_unirl_gets_gradients_and_a_picture_without_a_score_stops_it() -> None:
    backend = UniRLReward("tests.training._adapters.grey:Grey", device="cpu")
    pixels = IMAGES.clone().requires_grad_()
    backend.compute_rewards_differentiable(pixels, list(PROMPTS), records=None).sum().backward()
    torch.testing.assert_close(pixels.grad, torch.full_like(pixels, 1 / 48))
    with pytest.raises(BeholderError, match="row 0"):
        backend.compute_rewards_differentiable(greys(0.0), ["a"])


def test_unirl_can_ask_and_park_it() -> None:
    backend = UniRLReward("tiny", device="cpu", aspect="detail", seed=1)
    assert (backend.get_model_name(), backend.preferred_input_kind) == ("tiny", "image")
    assert backend.is_available()
    for move in (backend.offload, backend.onload, backend.dispose):
        move()
    with pytest.raises(ConfigError, match="generation or original"):
        UniRLReward("tiny", device="cpu", prompt_source="both")


def test_reno_gets_the_negative_score_of_the_picture_before_clip_s_normalisation() -> None:
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    image = ((greys(0.6, side=224) - mean) / std).requires_grad_()
    item = RenoReward(Grey(), weighting=5.0)
    loss = item(image, "plus")
    assert (item.name, item.weighting) == ("grey", 5.0)
    assert loss.item() == pytest.approx(-1.6)  # ReNO multiplies by the weighting itself
    loss.backward()
    expected = (-std / (3 * 224 * 224)).expand(1, 3, 224, 224)
    torch.testing.assert_close(image.grad, expected)


def test_paths_are_read_and_scored(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{level}.png") for level in (51, 153)]
    for path, picture in zip(paths, PIL, strict=True):
        picture.save(path)
    torch.testing.assert_close(PathsReward(Grey()).reward(paths, list(PROMPTS)), EXPECTED)
    columns = PathsReward(Grey(), two_columns=True).reward(image_paths=paths, prompts=["a", "a"])
    torch.testing.assert_close(columns[:, 0], torch.tensor([0.2, 0.6]))
    assert columns[:, 1].isnan().all()
    with pytest.raises(BeholderError, match="row 1: missing"):
        PathsReward(Grey()).reward([paths[0], str(tmp_path / "gone.png")], list(PROMPTS))


def trl_trainer(name: str) -> Any:
    trl = pytest.importorskip("trl", reason="needs trl 0.23, which is not a dependency")
    kind = getattr(trl, name, None)
    if kind is None:
        pytest.skip(f"trl {trl.__version__} has no {name}; it was removed after 0.23")
    trainer = object.__new__(kind)
    trainer.accelerator = SimpleNamespace(device=torch.device("cpu"))
    return trainer


def test_trl_s_ddpo_computes_rewards_with_it() -> None:
    trainer = trl_trainer("DDPOTrainer")
    trainer.reward_fn = as_reward_fn(Grey())
    rewards, metadata = trainer.compute_rewards([(IMAGES, PROMPTS, ({}, {}))] * 2)
    torch.testing.assert_close(torch.cat(rewards), EXPECTED.repeat(2))
    assert metadata == ({}, {})


def test_trl_s_alignprop_differentiates_through_it() -> None:
    trainer = trl_trainer("AlignPropTrainer")
    trainer.reward_fn = as_reward_fn(Grey(), differentiable=True)
    pixels = IMAGES.clone().requires_grad_()
    pairs = {"images": pixels, "prompts": PROMPTS, "prompt_metadata": ({}, {})}
    loss = trainer.calculate_loss(trainer.compute_rewards(pairs))
    assert loss.item() == pytest.approx(10 - 0.9)
    loss.backward()
    torch.testing.assert_close(pixels.grad, torch.full_like(pixels, -1 / 96))
