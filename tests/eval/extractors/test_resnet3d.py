import math
from collections.abc import Mapping
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from beholder._published.weights import Published
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.eval.extractors import load
from beholder.eval.extractors.resnet3d import PROTOCOLS, ResNet3d, Shape, build, shape_of

SMALL = Shape(
    stem=8,
    blocks=(2, 1, 1, 1),
    inner=(4, 4, 8, 8),
    outer=(16, 16, 32, 32),
    groups=1,
    learned=True,
    classes=5,
)
WITHOUT_LEARNED = Shape(
    stem=8,
    blocks=(2, 1, 1, 1),
    inner=(4, 4, 8, 8),
    outer=(16, 16, 32, 32),
    groups=1,
    learned=False,
    classes=400,
)
GROUPED = Shape(
    stem=8,
    blocks=(1, 2, 1, 1),
    inner=(8, 8, 16, 16),
    outer=(16, 16, 32, 32),
    groups=4,
    learned=True,
    classes=5,
)
SHAPES = {"B": SMALL, "A": WITHOUT_LEARNED, "groups": GROUPED}


def random_state(shape: Shape, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        empty = ResNet3d(shape).state_dict()
    return {name: _random(name, value, generator) for name, value in empty.items()}


def _random(name: str, value: Tensor, generator: torch.Generator) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(3)
    if value.ndim > 1:
        deviation = math.sqrt(2 / math.prod(value.shape[1:]))
        return torch.randn(value.shape, generator=generator) * deviation
    if name.endswith("running_var") or (".bn" in f".{name}" and name.endswith("weight")):
        return torch.rand(value.shape, generator=generator) + 0.5
    return torch.randn(value.shape, generator=generator) * 0.1


def written(state: Mapping[str, Tensor], folder: Path) -> Path:
    """A file as kenshohara's: prefixed names in a checkpoint of more."""
    path = folder / "kinetics.pth"
    prefixed = {f"module.{k}": v for k, v in state.items()}
    torch.save({"arch": "resnet-50", "epoch": 1, "state_dict": prefixed}, path)
    return path


def clips(batch: int, frames: int, side: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, frames, 3, side, side)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


class Reference:
    """The network in plain functional calls on a state dict, in float64."""

    def __init__(self, state: Mapping[str, Tensor], groups: int) -> None:
        self.state = {k: v.double() for k, v in state.items()}
        self.groups = groups

    def norm(self, name: str, values: Tensor) -> Tensor:
        mean, variance, gain, offset = (
            self.state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(values, mean, variance, gain, offset, eps=1e-5)

    def bottleneck(self, name: str, values: Tensor, stride: int) -> Tensor:
        weights = [self.state[f"{name}.conv{n}.weight"] for n in (1, 2, 3)]
        inner = self.norm(f"{name}.bn1", functional.conv3d(values, weights[0])).relu()
        inner = functional.conv3d(inner, weights[1], stride=stride, padding=1, groups=self.groups)
        inner = self.norm(f"{name}.bn2", inner).relu()
        inner = self.norm(f"{name}.bn3", functional.conv3d(inner, weights[2]))
        return (inner + self.shortcut(name, values, stride, inner.shape[1])).relu()

    def shortcut(self, name: str, values: Tensor, stride: int, outputs: int) -> Tensor:
        learned = self.state.get(f"{name}.downsample.0.weight")
        if learned is not None:
            strided = functional.conv3d(values, learned, stride=stride)
            return self.norm(f"{name}.downsample.1", strided)
        kept = functional.avg_pool3d(values, 1, stride)
        zeros = kept.new_zeros(len(kept), outputs - kept.shape[1], *kept.shape[2:])
        return torch.cat((kept, zeros), dim=1)

    def features(self, pixels: Tensor, window: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        values = functional.conv3d(pixels, self.state["conv1.weight"], None, (1, 2, 2), 3)
        values = functional.max_pool3d(self.norm("bn1", values).relu(), 3, 2, 1)
        for stage in range(1, 5):
            names = (f"layer{stage}.{n}" for n in count())
            known = takewhile(lambda name: f"{name}.conv1.weight" in self.state, names)
            for place, name in enumerate(known):
                values = self.bottleneck(name, values, 2 if stage > 1 and place == 0 else 1)
        pooled = functional.avg_pool3d(values, window, stride=1).flatten(1)
        return pooled, functional.linear(pooled, self.state["fc.weight"], self.state["fc.bias"])


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(("frames", "side"), [(16, 64), (10, 48), (17, 33)])
def test_features_equal_plain_functional_calls_and_the_published_window(
    kind: str, frames: int, side: int, tmp_path: Path
) -> None:
    shape = SHAPES[kind]
    state = random_state(shape)
    model = "resnext-101" if shape.groups > 1 else "resnet-50"
    extractor = load("resnet3d", written(state, tmp_path), model=model, protocol="vfid")
    pixels = clips(2, frames, side)
    window = (math.ceil(frames / 16), math.ceil(side / 32), math.ceil(side / 32))
    reference = Reference(state, shape.groups)
    pooled, logits = reference.features(pixels.transpose(1, 2).double() / 127.5 - 1, window)

    found = extractor(pixels, ["pooled", "logits"])

    torch.testing.assert_close(found["pooled"], pooled.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["logits"], logits.float(), rtol=1e-5, atol=1e-5)
    assert pooled.std() > 0.01


def test_the_network_equals_torchvisions_of_the_same_weights(tmp_path: Path) -> None:
    video = pytest.importorskip("torchvision.models.video.resnet", reason="the reference")
    theirs = video.VideoResNet(
        block=video.Bottleneck,
        conv_makers=[video.Conv3DSimple] * 4,
        layers=[2, 1, 1, 1],
        stem=_stem,
        num_classes=5,
    ).eval()
    shape = Shape(
        stem=64,
        blocks=(2, 1, 1, 1),
        inner=(64, 128, 256, 512),
        outer=(256, 512, 1024, 2048),
        groups=1,
        learned=True,
        classes=5,
    )
    state = random_state(shape)
    theirs.load_state_dict({_torchvision_name(k): v for k, v in state.items()})
    pixels = clips(1, 8, 32)
    with torch.inference_mode():
        expected = theirs(pixels.transpose(1, 2).float() / 127.5 - 1)

    found = load("resnet3d", written(state, tmp_path), protocol="vfid")(pixels, ["logits"])

    torch.testing.assert_close(found["logits"], expected, rtol=1e-4, atol=1e-4)


def _stem() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv3d(3, 64, 7, (1, 2, 2), 3, bias=False),
        torch.nn.BatchNorm3d(64),
        torch.nn.ReLU(),
        torch.nn.MaxPool3d(3, 2, 1),
    )


def _torchvision_name(name: str) -> str:
    """Torchvision keeps a convolution and its norm in one sequence."""
    *head, layer, last = name.split(".")
    if layer == "fc" or "downsample" in head:
        return name
    place = int(layer.startswith("bn"))
    sequence = f"conv{layer[-1]}" if head else "stem"
    return ".".join([*head, sequence, str(place), last])


def test_the_published_sizes_have_the_published_keys() -> None:
    fifty = Shape(
        stem=64,
        blocks=(3, 4, 6, 3),
        inner=(64, 128, 256, 512),
        outer=(256, 512, 1024, 2048),
        groups=1,
        learned=True,
        classes=400,
    )
    next_one = Shape(
        stem=64,
        blocks=(3, 4, 23, 3),
        inner=(128, 256, 512, 1024),
        outer=(256, 512, 1024, 2048),
        groups=32,
        learned=True,
        classes=400,
    )
    for shape, identity in ((fifty, "3d-resnet-50"), (next_one, "3d-resnext-101")):
        with torch.device("meta"):
            state = ResNet3d(shape).state_dict()
        assert shape_of(state, "x") == shape
        assert shape.identity == identity
        assert {"conv1.weight", "bn1.running_mean", "fc.weight", "fc.bias"} <= state.keys()
        block = {k.removeprefix("layer1.0.") for k in state if k.startswith("layer1.0.")}
        norms = {f"bn{n}.{k}" for n in (1, 2, 3) for k in _norm_keys()}
        assert block == norms | {f"conv{n}.weight" for n in (1, 2, 3)} | {
            "downsample.0.weight",
            *(f"downsample.1.{k}" for k in _norm_keys()),
        }
    assert tuple(state["layer4.2.conv2.weight"].shape) == (1024, 32, 3, 3, 3)


def _norm_keys() -> tuple[str, ...]:
    return ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def test_fid_vid_subtracts_the_mean_of_red_green_blue_and_divides_by_nothing() -> None:
    clip = torch.tensor([115, 108, 100], dtype=torch.uint8)[:, None, None].expand(1, 1, 3, 2, 2)

    seen = PROTOCOLS["fid-vid"].volumes(clip)[0, :, 0, 0, 0]

    assert seen.tolist() == pytest.approx([0.2252, 0.2646, 0.5250], abs=1e-5)


def test_each_model_has_its_protocol_and_size(tmp_path: Path) -> None:
    frames = clips(1, 2, 40)[0]
    plain = build(written(random_state(SMALL), tmp_path))
    assert (plain.identity, plain.resize) == ("3d-resnet-17", "fid-vid")
    assert dict(plain.layers) == {"pooled": 32, "logits": 5}
    assert plain.prepare(frames).shape == (2, 3, 112, 112)
    assert plain.classes is None

    grouped = build(written(random_state(GROUPED), tmp_path), model="resnext-101", size=32)
    assert (grouped.identity, grouped.resize) == ("3d-resnext-17", "vfid, 32 pixels")
    assert grouped.prepare(frames).shape == (2, 3, 32, 32)


def test_fid_vid_resizes_as_pillow_does_on_floats(tmp_path: Path) -> None:

    frames = clips(1, 1, 40)[0]
    extractor = build(written(random_state(SMALL), tmp_path), size=16)
    expected = [
        np.asarray(Image.fromarray(channel).resize((16, 16), Image.Resampling.BICUBIC))
        for channel in frames[0].float().numpy()
    ]

    found = extractor.prepare(frames)[0].numpy()
    np.testing.assert_allclose(found, np.stack(expected).clip(0, 255), atol=1e-2)


def test_classes_are_known_of_kinetics_400(tmp_path: Path) -> None:
    extractor = build(written(random_state(WITHOUT_LEARNED), tmp_path))

    assert extractor.classes is not None
    assert extractor.classes[:2] == ("abseiling", "air drumming")


def test_plain_safetensors_are_the_same_weights(tmp_path: Path) -> None:
    state = random_state(SMALL)
    kept = {k: v for k, v in state.items() if "num_batches_tracked" not in k}
    save_file(kept, tmp_path / "plain.safetensors")

    other = build(tmp_path / "plain.safetensors")

    assert other.weights_id == build(written(state, tmp_path)).weights_id


def test_the_wrong_kind_of_network_is_refused(tmp_path: Path) -> None:
    path = written(random_state(GROUPED), tmp_path)
    with pytest.raises(WeightsError, match="holds a 3d-resnext-17, not a resnet-50; set model"):
        build(path)
    with pytest.raises(ConfigError, match="must be one of resnet-50, resnext-101; got 'r3d'"):
        build(path, model="r3d")


def test_files_that_are_no_3d_resnet_are_named(tmp_path: Path) -> None:
    state = random_state(SMALL)
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=r"other.pth holds no 3D ResNet .* 'layer1.0.conv2"):
        build(path)
    torch.save({k: v for k, v in state.items() if k != "layer2.0.bn3.bias"}, path)
    with pytest.raises(WeightsError, match=r"does not fit ResNet3d: 1 missing: layer2.0.bn3.bias"):
        build(path)
    torch.save(state | {"fc.weight": torch.tensor(1.0)}, path)
    with pytest.raises(WeightsError, match=r"other.pth holds no 3D ResNet"):
        build(path)
    path.write_bytes(b"<html>")
    with pytest.raises(WeightsError, match="looks like a web page"):
        build(path)


def test_a_layer_or_clip_of_another_kind_is_refused(tmp_path: Path) -> None:
    extractor = build(written(random_state(SMALL), tmp_path))
    with pytest.raises(ConfigError, match="no layer '2048'; it has pooled, logits"):
        extractor(clips(1, 16, 32), ["2048"])
    with pytest.raises(DataError, match=r"expected clips \(b, t, 3, s, s\)"):
        extractor(clips(1, 16, 32)[0], ["pooled"])


def test_the_resnext_is_fetched_and_the_resnet_has_to_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(published: Published) -> Path:
        assert (published.repo, published.file) == ("zhengchong/VFID", "resnext-101.pth")
        return written(random_state(GROUPED), tmp_path)

    monkeypatch.setattr("beholder.eval.extractors.resnet3d.fetch", fetch)
    assert build(model="resnext-101").identity == "3d-resnext-17"
    with pytest.raises(WeightsError, match=r"resnet-50-kinetics.pth .* weights=FILE"):
        build()
