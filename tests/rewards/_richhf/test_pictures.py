from pathlib import Path

import pytest
import torch
from transformers import ViTConfig, ViTModel

from beholder.errors import ConfigError, WeightsError
from beholder.rewards._richhf.pictures import TimmPictures, VitPictures, build_pictures

VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}


def test_a_vit_gives_a_class_token_and_its_patches() -> None:
    pictures = VitPictures(**VIT)
    assert (pictures.grid, pictures.prefix, pictures.width) == (4, 1, 16)
    assert pictures(torch.zeros(2, 3, 32, 32)).shape == (2, 17, 16)
    assert pictures.position(16) is None


def test_a_vit_squeezes_pictures_and_brings_them_to_plus_minus_one() -> None:
    white = torch.full((1, 3, 40, 90), 255, dtype=torch.uint8)
    assert torch.equal(VitPictures(**VIT).preprocess(white), torch.ones(1, 3, 32, 32))


def test_a_pretrained_vit_comes_from_its_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    saved = ViTModel(ViTConfig(**VIT))
    saved.save_pretrained(tmp_path)
    pictures = build_pictures({"kind": "vit", "folder": str(tmp_path)}).eval()
    values = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = saved.eval()(pixel_values=values).last_hidden_state
        torch.testing.assert_close(pictures(values), expected)
    assert build_pictures(pictures.options()).grid == 4  # the saved options need no folder


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        build_pictures({"kind": "vit", "folder": str(tmp_path / "nowhere")})


def test_cells_of_finer_and_coarser_maps_lie_where_they_belong() -> None:
    pictures = TimmPictures("test_efficientnet", levels=[1], grid=4, size=64, last=True).eval()
    fine, coarse = torch.zeros(1, 2, 8, 8), torch.zeros(1, 3, 2, 2)
    fine[0, 1, 2, 5] = 1  # cell (1, 2), place (0, 1) in it
    coarse[0, 2, 1, 0] = 1  # cells (2..3, 0..1)
    assert pictures._lay(fine)[0, :, 1, 2].nonzero().flatten().tolist() == [4 + 1]
    assert pictures._lay(coarse)[0, 2].tolist() == [[0] * 4, [0] * 4, [1, 1, 0, 0], [1, 1, 0, 0]]


def test_a_timm_model_gives_a_token_a_cell_with_a_place() -> None:
    options = {"kind": "timm", "name": "test_efficientnet", "levels": [1, 2], "grid": 4, "size": 64}
    pictures = build_pictures(options)
    with torch.no_grad():
        assert pictures(torch.rand(2, 3, 64, 64)).shape == (2, 16, pictures.width)
    position = pictures.position(16)
    assert position is not None
    assert len(torch.unique(position, dim=0)) == 16
    again = build_pictures(pictures.options())
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in pictures.state_dict().items()
    }


def test_a_grid_that_does_not_divide_a_map_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not fit a grid of 5"):
        TimmPictures("test_efficientnet", levels=[1], grid=5, size=64)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="known: vit, timm"):
        build_pictures({"kind": "dino"})
