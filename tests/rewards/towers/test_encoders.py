from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from beholder.errors import ConfigError, WeightsError
from beholder.rewards._towers._encoders import ImageEncoder, TextEncoder, load_in_order
from tests.rewards import tiny_towers

TEXT: dict[str, Any] = tiny_towers.timm_text()["text"]


def test_a_cell_holds_all_levels_pooled_to_the_grid() -> None:
    encoder = ImageEncoder("test_efficientnet", levels=[0, 2], grid=2).eval()
    pixel_values = torch.randn(1, 3, 64, 64)
    cells = encoder(pixel_values)
    maps = encoder.encoder.forward_intermediates(
        pixel_values, indices=[0, 2], intermediates_only=True
    )
    last = encoder.encoder.forward_features(pixel_values)
    expected = torch.cat([functional.adaptive_avg_pool2d(m, 2) for m in (*maps, last)], dim=1)
    torch.testing.assert_close(cells[0, 1], expected[0, :, 0, 1])
    assert cells.shape == (1, 4, encoder.width(64))


def test_levels_may_stand_alone() -> None:
    pixel_values = torch.randn(1, 3, 64, 64)
    torch.manual_seed(0)
    whole = ImageEncoder("test_efficientnet", levels=[0, 2], grid=2).eval()
    torch.manual_seed(0)
    alone = ImageEncoder("test_efficientnet", levels=[0, 2], grid=2, last=False).eval()
    width = alone.width(64)
    assert width < whole.width(64)
    torch.testing.assert_close(alone(pixel_values), whole(pixel_values)[..., :width])
    with pytest.raises(ConfigError, match="needs levels"):
        ImageEncoder("test_efficientnet", last=False)


def test_the_tokens_of_a_transformer_are_a_map_too() -> None:
    encoder = ImageEncoder("test_vit", grid=5).eval()
    pixel_values = torch.randn(1, 3, 160, 160)
    cells = encoder(pixel_values)
    states = encoder.encoder.forward_features(pixel_values)[:, 1:]
    squares = states.reshape(1, 5, 2, 5, 2, -1).mean(dim=(2, 4)).reshape(1, 25, -1)
    torch.testing.assert_close(cells, squares)


def test_weights_load_by_name_or_in_order_but_never_by_luck(tmp_path: Path) -> None:
    source = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    target = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    path = tmp_path / "weights.pt"
    foreign = {f"layer{k}": v for k, v in enumerate(source.state_dict().values()) if v.ndim}
    for state in (source.state_dict(), foreign):
        torch.save(state, path)
        for parameter in target.parameters():
            nn.init.zeros_(parameter)
        load_in_order(target, path)
        loaded, expected = target.state_dict(), source.state_dict()
        assert torch.equal(loaded["0.weight"], expected["0.weight"])
        assert torch.equal(loaded["2.bias"], expected["2.bias"])
    torch.save(dict(reversed(foreign.items())), path)
    with pytest.raises(WeightsError, match="neither by name nor by order"):
        load_in_order(target, path)


def test_padding_changes_nothing_and_comes_out_as_zeros() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder.from_options(TEXT).eval()
    ids = encoder.tokenize(["a cat", "three red cubes, a dog"])
    together = encoder(ids, ids != encoder.pad_id)
    alone = encoder(ids[:1, :4], ids[:1, :4] != encoder.pad_id)
    torch.testing.assert_close(together[0, :4], alone[0])
    assert (together[0, 4:] == 0).all()
    assert together.shape == (2, 24, 32)


def test_typed_specials_are_plain_words() -> None:
    encoder = TextEncoder.from_options(TEXT)
    ids = encoder.tokenize(["a [SEP] cat [PAD]"])[0].tolist()
    assert ids.count(3) == 1
    assert encoder.spans("a cat")[:4] == [None, (0, 1), (2, 5), None]


def test_the_tokenizer_travels_with_the_weights() -> None:
    first = TextEncoder.from_options(TEXT)
    bare = TextEncoder.from_options(first.options())
    with pytest.raises(ConfigError, match="no tokenizer"):
        bare.tokenize(["a cat"])
    bare.load_state_dict(first.state_dict())
    assert torch.equal(bare.tokenize(["a cat"]), first.tokenize(["a cat"]))


def test_a_folder_of_transformers_is_read(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    first = TextEncoder.from_options(TEXT).eval()
    first.encoder.save_pretrained(tmp_path)
    (tmp_path / "raw.json").write_text(tiny_towers.word_tokenizer())
    PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "raw.json"), pad_token="[PAD]", model_max_length=24
    ).save_pretrained(tmp_path)
    read = TextEncoder.from_options({"folder": str(tmp_path), "max_length": 24}).eval()
    ids = first.tokenize(["a red cube"])
    assert torch.equal(read.tokenize(["a red cube"]), ids)
    torch.testing.assert_close(read(ids, ids != 0), first(ids, ids != 0))


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model 'nonesuch'"):
        ImageEncoder("nonesuch")
    with pytest.raises(ConfigError, match="timm name"):
        ImageEncoder.from_options({"grid": 3})
    with pytest.raises(ConfigError, match="folder, or config"):
        TextEncoder.from_options({})
    with pytest.raises(ConfigError, match="'nonesuch'"):
        TextEncoder.from_options({"config": {"model_type": "nonesuch"}})
    with pytest.raises(ConfigError, match=r"no token '<pad>'"):
        TextEncoder.from_options({**TEXT, "pad_token": "<pad>"})
    with pytest.raises(WeightsError, match="no text encoder"):
        TextEncoder.from_options({"folder": str(tmp_path)})
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="1 tensors"):
        ImageEncoder("test_efficientnet", weights=str(tmp_path / "x.safetensors"))
