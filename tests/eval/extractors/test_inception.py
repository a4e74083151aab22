"""Inception features against torch-fidelity, pytorch-fid and torchmetrics on the same weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from beholder._published.weights import load_exact
from beholder.errors import ConfigError, WeightsError
from beholder.eval.extractors import load
from beholder.eval.extractors._inception import Inception
from beholder.eval.extractors.inception import LAYERS, RESIZES, InceptionExtractor
from tests.eval.extractors.random_weights import inception_state

SHARED = ("64", "192", "768", "2048", "logits_unbiased", "logits")

# First three values and the norm of each layer of the first picture, by torch-fidelity 0.4.0 on
# `inception_state()`; "sfid" by a hook on its Mixed_6d.branch1x1.
PUBLISHED = {
    "64": [0.2036158, 0.3230421, 0.8853081, 5.794518],
    "192": [2.226718, 1.373095, 2.80037, 17.00304],
    "768": [3.159043, 7.394138, 0.1763839, 48.25155],
    "2048": [0, 0.002949233, 0, 99.40623],
    "logits_unbiased": [0.737938, -5.230064, -0.7423126, 100.8984],
    "logits": [0.5530818, -5.782003, -0.5381573, 101.1824],
    "sfid": [1.86535, 0.4588814, 0.7592866, 95.49714],
}


def pictures(height: int = 90, width: int = 70) -> Tensor:
    noise = np.random.default_rng(0).integers(0, 256, (2, 3, height, width), dtype=np.uint8)
    noise[1] //= 3
    return torch.from_numpy(noise)


def features(extractor: Any, batch: Tensor, *layers: str) -> dict[str, Tensor]:
    with torch.no_grad():
        found: dict[str, Tensor] = extractor(
            torch.stack([extractor.prepare(p) for p in batch]), layers
        )
    return found


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def extractor(inception_file: Path) -> InceptionExtractor:
    built = load("inception", inception_file)
    assert isinstance(built, InceptionExtractor)
    return built


@pytest.fixture(scope="module")
def exact(inception_file: Path) -> Inception:
    """The network in float64, batch norms unfused."""
    network = Inception()
    load_exact(
        network, torch.load(inception_file), ignore=("*.num_batches_tracked",), where="random"
    )
    return network.double().eval().requires_grad_(requires_grad=False)


def with_resize(extractor: InceptionExtractor, resize: str) -> InceptionExtractor:
    return InceptionExtractor(extractor.network, resize, extractor.weights_id)


def test_every_layer_is_the_one_of_torch_fidelity_here_by_its_numbers(
    extractor: InceptionExtractor,
) -> None:
    for name, row in features(extractor, pictures(), *LAYERS).items():
        expected = torch.tensor(PUBLISHED[name])
        found = torch.cat([row[0, :3], row[0].norm()[None]])
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


def test_every_layer_is_the_one_of_torch_fidelity(
    extractor: InceptionExtractor, inception_file: Path
) -> None:
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    peer = module.FeatureExtractorInceptionV3(
        "inception-v3-compat", list(SHARED), feature_extractor_weights_path=str(inception_file)
    )
    found = features(extractor, pictures(), *SHARED)
    for name, expected in zip(SHARED, peer(pictures()), strict=True):
        assert distance(found[name], expected) < 1e-6, name


def test_fused_and_channels_last_lose_nothing(
    extractor: InceptionExtractor, exact: Inception
) -> None:
    found = features(extractor, pictures()[:1], *LAYERS)
    values = (extractor.prepare(pictures()[0])[None] - 128) / 128
    for name, expected in exact(values.double(), list(LAYERS)).items():
        assert distance(found[name].double(), expected) < 3e-6, name


def test_sfid_is_seven_channels_at_every_place_of_mixed_6d(extractor: InceptionExtractor) -> None:
    seen: list[Tensor] = []
    block = extractor.network.get_submodule("Mixed_6d")
    handle = block.register_forward_hook(lambda _module, _given, output: seen.append(output))
    found = features(extractor, pictures(), "sfid", "768")["sfid"]
    handle.remove()
    assert found.shape == (2, 2023)
    places = found.reshape(2, 17, 17, 7)  # channels fastest, as TensorFlow lays them out
    torch.testing.assert_close(places.permute(0, 3, 1, 2), seen[0][:, :7])
    assert (found >= 0).all()
    assert (found == 0).any(), "behind a rectifier"


@pytest.mark.parametrize("resize", ["pytorch-legacy", "tm-antialias", "clean"])
def test_pictures_of_the_networks_size_need_no_resize(
    resize: str, extractor: InceptionExtractor
) -> None:
    other = with_resize(extractor, resize)
    first, second = (features(e, pictures(299, 299), "192")["192"] for e in (extractor, other))
    apart = distance(first, second)
    # pytorch-fid divides by 127.5, the others by 128
    assert (apart > 1e-4) == (resize == "pytorch-legacy")
    assert apart < (0.02 if resize == "pytorch-legacy" else 1e-6)


def test_pytorch_legacy_is_pytorch_fid(
    extractor: InceptionExtractor, inception_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("pytorch_fid.inception")
    monkeypatch.setattr(
        module, "load_state_dict_from_url", lambda *_, **__: torch.load(inception_file)
    )
    peer = module.InceptionV3(output_blocks=[0, 1, 2, 3]).eval()
    with torch.no_grad():
        expected = [maps.mean(dim=(2, 3)) for maps in peer(pictures() / 255)]
    found = features(with_resize(extractor, "pytorch-legacy"), pictures(), *SHARED[:4])
    for name, rows in zip(SHARED, expected, strict=False):
        assert distance(found[name], rows) < 1e-6, name


def test_tm_antialias_is_torchmetrics(extractor: InceptionExtractor, inception_file: Path) -> None:
    module = pytest.importorskip("torchmetrics.image.fid")
    pytest.importorskip("torch_fidelity")
    peer = module.NoTrainInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(inception_file)
    )
    found = features(with_resize(extractor, "tm-antialias"), pictures(), "2048")["2048"]
    assert distance(found, peer(pictures())) < 1e-6


def test_clean_is_clean_fid_before_a_network_of_its_range(
    extractor: InceptionExtractor, exact: Inception
) -> None:
    peer = pytest.importorskip("cleanfid.resize")
    resized = peer.build_resizer("clean")(pictures()[0].permute(1, 2, 0).numpy())
    values = torch.from_numpy(resized).permute(2, 0, 1)[None]
    expected = exact((values.double() - 128) / 128, ["2048"])["2048"]
    found = features(with_resize(extractor, "clean"), pictures()[:1], "2048")["2048"]
    assert distance(found.double(), expected) < 2e-6


def test_the_four_resizes_have_four_origins_and_other_features(
    extractor: InceptionExtractor, inception_file: Path
) -> None:
    assert load("inception", inception_file, resize="clean").resize == "clean"
    found = {}
    for resize in RESIZES:
        own = with_resize(extractor, resize)
        origin = own.origin("64", "alpha=white")
        assert (origin.extractor, origin.resize) == ("inception-2015-12-05", resize)
        found[resize] = features(own, pictures(), "64")["64"]
    apart = [distance(found["tf1"], rows) for name, rows in found.items() if name != "tf1"]
    assert min(apart) > 1e-3


def test_what_nobody_asked_for_is_not_computed(extractor: InceptionExtractor) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("ran on")

    handles = [
        extractor.network.get_submodule(name).register_forward_hook(refuse)
        for name in ("Conv2d_3b_1x1", "Mixed_7a")
    ]
    features(extractor, pictures()[:1], "64")
    handles.pop(0).remove()
    features(extractor, pictures()[:1], "192", "768", "sfid")
    with pytest.raises(AssertionError, match="ran on"):
        features(extractor, pictures()[:1], "2048")
    handles[0].remove()


def test_the_logits_differ_by_the_bias(extractor: InceptionExtractor) -> None:
    found = features(extractor, pictures(), "logits", "logits_unbiased")
    bias = found["logits"] - found["logits_unbiased"]
    expected = inception_state()["fc.bias"].expand(2, -1)
    torch.testing.assert_close(bias, expected, atol=1e-5, rtol=0)


def test_one_picture_has_the_features_that_it_has_in_a_batch(extractor: InceptionExtractor) -> None:
    batch = features(extractor, pictures(), "2048")["2048"]
    for number, picture in enumerate(pictures()):
        one = features(extractor, picture[None], "2048")["2048"]
        assert distance(one[0], batch[number]) < 1e-6


def test_weights_are_named_by_their_values(tmp_path: Path, extractor: InceptionExtractor) -> None:
    state = inception_state()
    counted = {k.replace("running_var", "num_batches_tracked"): torch.tensor(3) for k in state}
    counted = {k: v for k, v in counted.items() if k.endswith("tracked")}
    save_file(state | counted, tmp_path / "same.safetensors")
    assert load("inception", tmp_path / "same.safetensors").weights_id == extractor.weights_id
    state["fc.bias"][0] += 1
    save_file(state, tmp_path / "other.safetensors")
    assert load("inception", tmp_path / "other.safetensors").weights_id != extractor.weights_id


def test_layers_come_with_their_widths_and_the_default_first(extractor: InceptionExtractor) -> None:
    found = features(extractor, pictures()[:1], *extractor.layers)
    assert {name: rows.shape[1] for name, rows in found.items()} == dict(extractor.layers)
    assert all(rows.dtype == torch.float32 for rows in found.values())
    assert next(iter(extractor.layers)) == "2048"


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(1000, 2048)}, tmp_path / "torchvision.safetensors")
    with pytest.raises(WeightsError, match=r"torchvision.*does not fit Inception.*missing.*1000"):
        load("inception", tmp_path / "torchvision.safetensors")
    with pytest.raises(WeightsError, match="no weights file"):
        load("inception", tmp_path / "absent.pth")


def test_the_published_file_is_not_fetched_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"pt_inception-2015-12-05-6726825d\.pth.*give its path"):
        load("inception")


def test_unknown_resizes_and_layers_are_refused(extractor: InceptionExtractor) -> None:
    with pytest.raises(ConfigError, match="resize must be one of tf1, clean"):
        load("inception", "unread.pth", resize="edm2")
    with pytest.raises(ConfigError, match="no layer '1024'; it has 2048"):
        extractor(torch.zeros(1, 3, 299, 299), ["1024"])
