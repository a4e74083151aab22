from typing import Any

import torch

from beholder.rewards._towers import _states, build_towers
from tests.rewards import tiny_towers


def model() -> Any:
    torch.manual_seed(0)
    return build_towers(tiny_towers.OPEN_CLIP).eval().model


def test_picture_tokens_are_the_last_states_of_the_trunk_before_its_norm() -> None:
    visual = model().visual
    pixel_values = torch.randn(2, 3, 64, 64)
    features = _states.image_states(visual, pixel_values)
    last = visual.forward_intermediates(
        pixel_values, indices=[1], output_fmt="NLC", output_extra_tokens=True
    )
    expected = (last["image_intermediates_prefix"][0], last["image_intermediates"][0])
    torch.testing.assert_close(features.tokens, torch.cat(expected, dim=1))
    torch.testing.assert_close(features.pooled, visual.ln_post(features.tokens[:, 0]))


def test_text_tokens_are_the_states_after_the_norm() -> None:
    clip = model()
    ids = torch.randint(1, 49000, (2, 77))
    ids[:, 4], ids[:, 5:] = 49407, 0
    features = _states.text_states(clip, ids)
    last = clip.forward_intermediates(text=ids, text_indices=[1], normalize_intermediates=True)
    torch.testing.assert_close(features.tokens, last["text_intermediates"][0])
    torch.testing.assert_close(features.pooled, features.tokens[:, 4])


def test_watching_leaves_the_model_as_it_was() -> None:
    clip = model()
    names, hooks = list(clip.state_dict()), len(clip.visual.transformer._forward_hooks)
    _states.image_states(clip.visual, torch.randn(1, 3, 64, 64))
    assert list(clip.state_dict()) == names
    assert len(clip.visual.transformer._forward_hooks) == hooks
    assert clip.visual.proj is not None


def test_gradients_reach_trunk_and_pixels() -> None:
    visual = model().visual
    pixel_values = torch.randn(1, 3, 64, 64, requires_grad=True)
    features = _states.project_image(visual, _states.image_states(visual, pixel_values))
    (features.tokens.sum() + features.pooled.square().sum()).backward()
    assert pixel_values.grad is not None and pixel_values.grad.abs().sum() > 0
    assert visual.proj.grad.abs().sum() > 0
    assert visual.conv1.weight.grad.abs().sum() > 0
