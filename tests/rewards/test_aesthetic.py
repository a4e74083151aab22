from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

import beholder
from beholder._published.weights import Published, read_state
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.rewards import aesthetic
from beholder.rewards.aesthetic import PUBLISHED, Aesthetic, own_name, recognises
from beholder.training.towers.freezing import tower_weights
from tests.rewards.contract import check_reward, smooth_pictures
from tests.rewards.tinies.aesthetic import LAYERS, VIT, config, published_state, tiny

LAION = Path(__file__).parents[1] / "data/rewards/laion"  # real, of LAION-AI/aesthetic-predictor
SHARED = Path(__file__).parents[3] / "shared/data/laion"
RATINGS = [-2.46, -0.14, 1.90, 3.58, 5.10, 6.47, 7.79, 9.05, 10.23, 11.30]  # of embeddings 0 to 9


def real(version: str, head: Path) -> Aesthetic:
    """A real head on a small random encoder whose embeddings are as wide as the real one's."""
    if not head.is_file():
        pytest.skip(f"the published head {head.name} is not at hand")
    width = 512 if "-b" in version else 768
    reward = beholder.load(
        "aesthetic",
        version=version,
        weights=head,
        config={"backbone": {**VIT, "embed_dim": width}},
    )
    assert isinstance(reward, Aesthetic)
    return reward


def unit(embeddings: Tensor) -> Tensor:
    return embeddings / embeddings.square().sum(dim=1, keepdim=True).sqrt()


@pytest.mark.parametrize("version", PUBLISHED)
def test_contract(version: str) -> None:
    check_reward(tiny(version))


def test_the_real_linear_head_rates_the_published_embeddings_as_published() -> None:
    reward = real("v1-l14", LAION / "sa_0_4_vit_l_14_linear.pth")
    embeddings = load_file(LAION / "ratings.safetensors")["embeddings"]
    assert reward.score_embeddings(embeddings).tolist() == pytest.approx(RATINGS, abs=0.006)
    assert reward.score_embeddings(7 * embeddings).tolist() == pytest.approx(RATINGS, abs=0.006)


@pytest.mark.parametrize("version", ["v1-l14", "v1-b16", "v1-b32", "v2"])
def test_the_real_files_are_those_whose_sha256_is_pinned(version: str) -> None:
    import hashlib

    head = PUBLISHED[version].head
    file = SHARED / head.file
    reward = real(version, file)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == head.sha256
    assert {own_name(key) for key in read_state(file)} == {
        name for name in reward.state_dict() if name.startswith("head.")
    }


def test_the_real_mlp_is_one_affine_map() -> None:
    reward = real("v2", SHARED / PUBLISHED["v2"].head.file)
    weight, bias = torch.eye(768, dtype=torch.float64), torch.zeros(768, dtype=torch.float64)
    for part in reward.head:
        if isinstance(part, nn.Linear):
            weight, bias = part.weight.double() @ weight, part.weight.double() @ bias + part.bias
    embeddings = load_file(LAION / "ratings.safetensors")["embeddings"]
    expected = unit(embeddings).double() @ weight[0] + bias[0]
    torch.testing.assert_close(reward.score_embeddings(embeddings), expected.float())


@pytest.mark.parametrize("version", ["v2", "v2-relu", "v2.5"])
def test_a_head_is_its_published_layers_in_order(version: str) -> None:
    reward = tiny(version)
    embeddings = torch.randn(5, 32)
    state, layers = published_state(reward), LAYERS[version]
    states = unit(embeddings)
    for name in layers:
        if name != layers[0] and version == "v2-relu":
            states = states.clamp(min=0)
        states = states @ state[f"{name}.weight"].T + state[f"{name}.bias"]
    torch.testing.assert_close(reward.score_embeddings(embeddings), states[:, 0])


@pytest.mark.parametrize("version", LAYERS)
def test_dropouts_stand_between_the_layers_in_training(version: str) -> None:
    parts = [part for part in tiny(version).head if isinstance(part, nn.Dropout) and part.p > 0]
    assert [part.p for part in parts] == [0.2, 0.2, 0.1]
    places = [int(name.split(".")[1]) for name in LAYERS[version]]
    assert all(later > sooner for sooner, later in pairwise(places))


@pytest.mark.parametrize("version", ["v1-b32", "v2"])
def test_the_embedding_is_open_clips_and_its_weights_come_from_a_file(
    version: str, tmp_path: Path
) -> None:
    from open_clip import CLIP

    torch.manual_seed(1)
    text = {"layers": 1, "width": 32, "heads": 2}
    name = PUBLISHED[version].backbone
    model: Any = CLIP(quick_gelu=name.endswith("quickgelu"), text_cfg=text, **VIT).eval()
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    sizes = {**config(version), "backbone": {**VIT, "text_cfg": text}}
    reward = tiny(version, config=sizes, backbone=tmp_path / "clip.pt")
    values = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        expected = reward.head(model.encode_image(values, normalize=True))[:, 0]
        torch.testing.assert_close(reward.forward_features(values), expected)
        torch.testing.assert_close(reward.score_prepared(values, [""] * 3).total, expected)
    assert {name.split(".")[0] for name in reward.state_dict()} == {"tower", "head"}


def transformers_clip(reward: Aesthetic) -> Any:
    """transformers' CLIP with the weights of a reward's open_clip, QuickGELU named by hand."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2}
    shape = {"num_attention_heads": 1, "image_size": 64, "patch_size": 16, "projection_dim": 32}
    model: Any = CLIPVisionModelWithProjection(
        CLIPVisionConfig(**sizes, **shape, hidden_act="quick_gelu")
    )
    own = reward.tower.state_dict()
    state = {"visual_projection.weight": own.pop("visual.proj").T.contiguous()}
    for key, value in own.items():
        name = key.removeprefix("visual.")
        if ".in_proj_" in name:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                state[f"vision_model.{renamed(name).format(part)}"] = third.contiguous()
        else:
            state[f"vision_model.{renamed(name)}"] = value
    model.load_state_dict(state)
    return model.eval()


def renamed(name: str) -> str:
    for ours, theirs in (
        ("class_embedding", "embeddings.class_embedding"),
        ("positional_embedding", "embeddings.position_embedding.weight"),
        ("conv1", "embeddings.patch_embedding"),
        ("ln_pre", "pre_layrnorm"),
        ("ln_post", "post_layernorm"),
        ("transformer.resblocks", "encoder.layers"),
        ("ln_1", "layer_norm1"),
        ("ln_2", "layer_norm2"),
        ("attn.in_proj_", "self_attn.{}_proj."),
        ("attn.out_proj", "self_attn.out_proj"),
        ("c_fc", "fc1"),
        ("c_proj", "fc2"),
    ):
        name = name.replace(ours, theirs)
    return name


def test_scores_are_those_of_transformers_clip_and_processor() -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    reward, pictures = tiny(), smooth_pictures(6, 96, 80)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size=64)
    shown = [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in pictures]
    with torch.no_grad():
        values = processor(shown, return_tensors="pt")["pixel_values"]
        embeddings = transformers_clip(reward)(pixel_values=values).image_embeds
        expected = reward.head(unit(embeddings))[:, 0]
    error = (reward.score(pictures).total - expected).abs().max().item()
    (parity,) = reward.card.parity
    assert error <= parity.error
    assert expected.std().item() == pytest.approx(parity.spread, rel=0.05)


def test_the_embedding_of_v25_is_the_pooled_state_of_siglip() -> None:
    reward = tiny("v2.5")
    values = torch.randn(3, 3, 32, 32)
    model: Any = reward.tower.model
    pooled = model(pixel_values=values).pooler_output
    expected = reward.head(functional.normalize(pooled, dim=1))[:, 0]
    torch.testing.assert_close(reward.forward_features(values), expected)


@pytest.mark.parametrize("version", PUBLISHED)
def test_published_heads_load(version: str, tmp_path: Path) -> None:
    reward = tiny(version)
    state = published_state(reward)
    embeddings = torch.randn(3, 32)
    for save, name in ((torch.save, "head.pth"), (save_file, "head.safetensors")):
        save(state, tmp_path / name)
        torch.manual_seed(5)  # other random weights than those of `reward`
        loaded = aesthetic.build(tmp_path / name, config(version), version).eval()
        found = loaded.score_embeddings(embeddings)
        assert torch.equal(found, reward.score_embeddings(embeddings))


def test_keys_that_are_missing_unexpected_or_misshapen_are_named(tmp_path: Path) -> None:
    state = published_state(tiny())
    del state["layers.6.bias"]
    state["layers.9.weight"] = torch.zeros(1)
    state["layers.0.weight"] = torch.zeros(2, 2)
    torch.save(state, tmp_path / "head.pth")
    with pytest.raises(WeightsError) as caught:
        tiny(weights=tmp_path / "head.pth")
    for name in ("head.6.bias", "head.9.weight", "head.0.weight (2, 2)"):
        assert name in str(caught.value)


@pytest.mark.parametrize("version", ["v2", "v2.5"])
def test_without_anything_given_head_and_encoder_are_fetched_first(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def build(**options: object) -> Aesthetic:
        asked.append(options["backbone"])
        raise WeightsError("too far")

    def fetch(published: Published) -> str:
        return f"{published.repo}/{published.file}"

    def download(address: str, sha256: str | None) -> Path:
        asked.append((address, sha256))
        return Path("head.pth")

    monkeypatch.setattr(aesthetic, "download", download)
    monkeypatch.setattr(aesthetic, "fetch", fetch)
    monkeypatch.setattr(aesthetic, "Aesthetic", build)
    with pytest.raises(WeightsError, match="too far"):
        aesthetic.build(version=version)
    siglip = "google/siglip-so400m-patch14-384/model.safetensors"
    head = PUBLISHED[version].head
    backbone = siglip if version == "v2.5" else "openai"
    assert asked == [(head.address, head.sha256), backbone]


def test_heads_have_addresses_that_fix_their_content() -> None:
    assert PUBLISHED["v1-l14"].head.address == (
        "https://raw.githubusercontent.com/LAION-AI/aesthetic-predictor/"
        "7e37768a02b0863eac390a702903aaa90ecf938e/sa_0_4_vit_l_14_linear.pth"
    )
    assert "/sac%2Blogos%2Bava1-l14-linearMSE.pth" in PUBLISHED["v2"].head.address


def test_the_card_follows_the_version() -> None:
    assert tiny().card.accuracy == Aesthetic.card.accuracy
    assert PUBLISHED["v2"].head.file in tiny().card.weights
    assert tiny("v2.5").card.weights_license == "AGPL-3.0-only"
    assert tiny("v1-b32").card.weights_license == "MIT"
    assert tiny("v2-relu").card.accuracy == ()


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"v1-l14.*got 'v3'"):
        tiny("v3")
    with pytest.raises(ConfigError, match=r"has 4 hidden layers, got widths \[8\]"):
        tiny(config={**config(), "widths": [8]})
    with pytest.raises(ConfigError, match="has no option 'depth'"):
        tiny(config={"depth": 3})
    with pytest.raises(ConfigError, match="neither a file nor a tag"):
        tiny(backbone="openay")
    with pytest.raises(DataError, match=r"shape \(b, 32\), got \(1, 768\)"):
        tiny().score_embeddings(torch.zeros(1, 768))


@pytest.mark.parametrize("version", PUBLISHED)
def test_a_file_is_recognised_by_its_keys(version: str) -> None:
    shapes = {key: tuple(value.shape) for key, value in published_state(tiny(version)).items()}
    assert recognises(shapes)
    assert not recognises(shapes | {"blip.visual_encoder.pos_embed": (1,)})
    assert not recognises({"weight": (7, 3), "bias": (7,)})


@pytest.mark.parametrize(
    ("version", "millions"), [("v2", 304.9), ("v1-b16", 86.2), ("v1-b32", 87.8), ("v2.5", 429.5)]
)
def test_the_published_sizes_are_those_of_the_encoders(version: str, millions: float) -> None:
    with torch.device("meta"):
        whole = Aesthetic(version=version)
    assert sum(p.numel() for p in whole.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("version", ["v2", "v2.5"])
def test_kept_embeddings_score_as_their_pictures_do_without_any_text(version: str) -> None:
    reward = tiny(version)
    size = reward.fitting.size
    values = torch.randn(3, 3, size, size)
    images, texts = reward.image_backbone(values), reward.text_backbone(["a", "b", "c"])
    assert images.tokens.shape == (3, 0, 32)
    assert texts.pooled.shape == (3, 0)
    assert len(reward.condition_features()) == 0
    scores = reward.score_features(images, texts).total
    torch.testing.assert_close(scores, reward.score_prepared(values, [""] * 3).total)


def test_the_encoder_is_the_tower_and_no_text_has_one() -> None:
    reward = tiny()
    image, text = tower_weights(reward)
    names = {name for name, _ in reward.named_parameters()}
    assert text == set()
    assert {name.partition(".")[0] for name in names - image} == {"head"}
    assert {name.partition(".")[0] for name in image} == {"tower"}
