from pathlib import Path

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from beholder.errors import ConfigError, WeightsError
from beholder.rewards._richhf.joint import Joint, build_t5, t5_options

TINY = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 20}


def joint() -> Joint:
    torch.manual_seed(0)
    return Joint(build_t5(TINY, {})).eval()


def test_hidden_padding_changes_nothing_and_open_padding_does() -> None:
    model, picture = joint(), torch.randn(1, 4, 16)
    ids = torch.tensor([[3, 4, 5]])
    longer = torch.cat([ids, torch.zeros(1, 6, dtype=torch.long)], 1)
    real, real_longer = ids > 0, longer > 0
    with torch.no_grad():
        short = model(picture, model.embed(ids, real), real)
        hidden = model(picture, model.embed(longer, real_longer), real_longer)
        seen = model(picture, model.embed(longer, real_longer), None)
    torch.testing.assert_close(short[0], hidden[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(short[1], hidden[1][:, :3], atol=1e-6, rtol=1e-5)
    assert (short[0] - seen[0]).abs().max() > 1e-4


def test_picture_and_prompt_see_each_other() -> None:
    model = joint()
    ids = torch.tensor([[3, 4, 5]])
    picture = torch.randn(1, 4, 16, requires_grad=True)
    prompt = model.embed(ids, ids > 0).detach().requires_grad_()
    a, b = model(picture, prompt, ids > 0)
    for states, other in ((a, prompt), (b, picture)):
        (gradient,) = torch.autograd.grad(states.sum(), other, retain_graph=True)
        assert gradient.abs().sum() > 0


def test_a_pretrained_t5_comes_from_its_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    saved = T5ForConditionalGeneration(T5Config(**TINY))
    saved.save_pretrained(tmp_path)
    loaded = build_t5({"folder": str(tmp_path)}, {})
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in saved.state_dict().items())
    again = build_t5(t5_options(loaded), {})
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in saved.state_dict().items()
    }


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        build_t5({"folder": str(tmp_path / "nowhere")}, {})


def test_what_transformers_cannot_build_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot build this T5"):
        build_t5({**TINY, "feed_forward_proj": "no-such-activation-at-all"}, {})
