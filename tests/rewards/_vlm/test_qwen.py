import copy
from typing import Any

import pytest
import torch

from beholder.errors import ConfigError
from beholder.rewards._vlm.chat import CHAT, ChatTokenizer
from beholder.rewards._vlm.pictures import patches
from beholder.rewards._vlm.qwen import Positions, Qwen2VL
from tests.rewards._vlm import tiny_qwen

TEXTS = ["a red cat", "", "a much longer question about a cube"]


def tiny(positions: Positions = "grid", **text: Any) -> Qwen2VL:
    sizes = {**tiny_qwen.CONFIG, "text": {**tiny_qwen.TEXT, **text}}
    vlm = Qwen2VL(sizes, ChatTokenizer(tiny_qwen.tokenizer_text()), positions=positions)
    vlm.model.load_state_dict(tiny_qwen.noise(vlm.model.state_dict()))
    return vlm.eval()


def library_state(vlm: Qwen2VL, values: torch.Tensor, text: str, positions: Positions) -> Any:
    """The last state of one picture's chat, by transformers alone."""
    cells = values.shape[1] // 28 * (values.shape[2] // 28)
    ids = vlm.tokenizer.render(CHAT, [text], cells).ids
    model = copy.deepcopy(vlm.model)
    model.config.image_token_id = vlm.tokenizer.special("<|image_pad|>")
    grid = torch.tensor([[1, values.shape[1] // 14, values.shape[2] // 14]])
    states = model(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        mm_token_type_ids=(ids == model.config.image_token_id).int(),
        pixel_values=patches(values[None], 14, 2, 2),
        image_grid_thw=grid,
        position_ids=torch.arange(ids.shape[1]).expand(3, 1, -1) if positions == "line" else None,
    )
    return states.last_hidden_state[0, -1]


@pytest.mark.parametrize("size", [(56, 84), (84, 28)])
@pytest.mark.parametrize("positions", ["grid", "line"])
@torch.no_grad()
def test_a_batch_gives_what_transformers_gives_one_by_one(
    positions: Positions, size: tuple[int, int]
) -> None:
    vlm = tiny(positions)
    values = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(0))
    ours = vlm.last_states(vlm.encode(values), CHAT, TEXTS)
    expected = [library_state(vlm, v, t, positions) for v, t in zip(values, TEXTS, strict=True)]
    torch.testing.assert_close(ours, torch.stack(expected), atol=2e-5, rtol=2e-5)


@torch.no_grad()
def test_positions_matter() -> None:
    values = torch.randn(1, 3, 56, 84)
    grid, line = (tiny(p) for p in ("grid", "line"))
    states = [vlm.last_states(vlm.encode(values), CHAT, ["a"]) for vlm in (grid, line)]
    assert (states[0] - states[1]).abs().max() > 0.01


@torch.no_grad()
def test_padding_on_the_right_is_not_seen() -> None:
    vlm = tiny()
    pictures = vlm.encode(torch.randn(1, 3, 56, 56))
    chats = vlm.tokenizer.render(CHAT, ["a"], 4)
    longer = copy.copy(chats)
    object.__setattr__(longer, "ids", torch.nn.functional.pad(chats.ids, (0, 50), value=7))
    torch.testing.assert_close(vlm.states(pictures, longer), vlm.states(pictures, chats))


def test_casts_keep_the_rotary_tables() -> None:
    vlm = tiny()
    before = vlm.model.language_model.rotary_emb.inv_freq.clone()
    vlm.to(torch.bfloat16)
    assert vlm.dtype == torch.bfloat16
    assert torch.equal(vlm.model.language_model.rotary_emb.inv_freq, before)


def test_weights_made_on_no_device_get_their_tables_with_their_memory() -> None:
    with torch.device("meta"):
        vlm = Qwen2VL(tiny_qwen.CONFIG, ChatTokenizer(tiny_qwen.tokenizer_text()))
    vlm.to_empty(device="cpu").eval()
    reference = tiny()
    vlm.load_state_dict(reference.state_dict())
    values = torch.randn(1, 3, 56, 84)
    assert torch.equal(vlm.encode(values), reference.encode(values))


def test_a_tokenizer_too_large_for_the_model_is_refused() -> None:
    tiny().check_vocabulary()
    with pytest.raises(ConfigError, match="do not belong together"):
        tiny(vocab_size=500).check_vocabulary()
