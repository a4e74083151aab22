from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from beholder.errors import ConfigError, WeightsError
from beholder.rewards._towers.picture_only import ClipPictures, SiglipPictures
from tests.rewards.contract import smooth_pictures
from tests.rewards.tinies.aesthetic import SIGLIP, VIT

TEXT = {"layers": 1, "width": 32, "heads": 2}


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-L-14-quickgelu"])
def test_the_state_is_open_clips_and_its_text_half_is_gone(name: str, tmp_path: Path) -> None:
    from open_clip import CLIP
    from open_clip.transformer import QuickGELU

    model: Any = CLIP(quick_gelu="quickgelu" in name, text_cfg=TEXT, **VIT).eval()
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    tower = ClipPictures(name, {**VIT, "text_cfg": TEXT}, tmp_path / "clip.pt").eval()
    values = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(tower(values), model.encode_image(values))
    is_quick = any(isinstance(module, QuickGELU) for module in tower.modules())
    assert is_quick == name.endswith("quickgelu")
    assert {key.split(".")[0] for key in tower.state_dict()} == {"visual"}
    assert tower.dim == 32


def test_the_pooled_state_is_that_of_siglip(tmp_path: Path) -> None:
    from transformers import SiglipConfig, SiglipModel

    text = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 8}
    ends = {"bos_token_id": 2, "eos_token_id": 3}
    config = SiglipConfig(text_config={**text, **ends}, vision_config=SIGLIP)
    model: Any = SiglipModel(config).eval()
    state = model.state_dict()
    state["vision_model.embeddings.position_ids"] = torch.arange(16)[None]
    save_file(state, tmp_path / "siglip.safetensors")
    tower = SiglipPictures(SIGLIP, tmp_path / "siglip.safetensors").eval()
    values = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        expected = model.get_image_features(pixel_values=values).pooler_output
        torch.testing.assert_close(tower(values), expected)
    assert tower.preprocess.fit == "squash"
    assert set(tower.preprocess.mean) == set(tower.preprocess.std) == {0.5}


def test_pictures_are_prepared_as_openais_clip_does() -> None:
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize, ToTensor

    picture = smooth_pictures(1, 64, 99)  # a margin of 35, where 17.5 is rounded to 18
    prepare = Compose([Resize(64, InterpolationMode.BICUBIC), CenterCrop(64), ToTensor()])
    shown = prepare(Image.fromarray(picture[0].permute(1, 2, 0).numpy()))
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    tower = ClipPictures("ViT-B-32", VIT)
    torch.testing.assert_close(tower.preprocess(picture)[0], (shown - mean) / std)


def test_other_encoders_and_files_are_refused(tmp_path: Path) -> None:
    resnet = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64}
    with pytest.raises(ConfigError, match="no plain ViT"):
        ClipPictures("RN50", {"embed_dim": 32, "vision_cfg": resnet})
    with pytest.raises(ConfigError, match="neither a file nor a tag"):
        ClipPictures("ViT-B-32", VIT, "openay")
    save_file({"vision_model.head.probe": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"SiglipVisionModel.*head\.probe \(1,\)"):
        SiglipPictures(SIGLIP, tmp_path / "other.safetensors")
