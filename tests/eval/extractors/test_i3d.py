import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from beholder._published.weights import Published
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.eval.extractors import load
from beholder.eval.extractors._base import Extractor, weights_id
from beholder.eval.extractors._clip_protocol import choose
from beholder.eval.extractors._kinetics import kinetics400
from beholder.eval.extractors.i3d import (
    PROTOCOLS,
    I3dExtractor,
    InceptionI3d,
    ScriptedI3d,
    build,
)
from tests.eval.extractors.i3d_reference import Reference, clips, random_state

# torch has no other way to read or write files of this kind
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")

UNITS = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
MIXED = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
STEM = ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3")
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return random_state()


@pytest.fixture(scope="module")
def file(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("i3d") / "i3d.pt"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def extractor(file: Path) -> Extractor:
    return load("i3d", file)


def test_the_keys_are_those_of_the_public_layout() -> None:
    with torch.device("meta"):
        state = InceptionI3d().state_dict()

    units = [*STEM, *(f"Mixed_{m}.{u}" for m in MIXED for u in UNITS)]
    expected = {f"{unit}.conv3d.weight" for unit in units}
    expected |= {f"{unit}.bn.{kind}" for unit in units for kind in NORM}
    assert set(state) == expected | {"logits.conv3d.weight", "logits.conv3d.bias"}
    assert sum(v.numel() for k, v in state.items() if ".running" not in k) == 12_697_264 + 57
    shapes = {
        "Conv3d_1a_7x7.conv3d.weight": (64, 3, 7, 7, 7),
        "Conv3d_2b_1x1.conv3d.weight": (64, 64, 1, 1, 1),
        "Conv3d_2c_3x3.conv3d.weight": (192, 64, 3, 3, 3),
        "Mixed_3b.b1b.conv3d.weight": (128, 96, 3, 3, 3),
        "Mixed_4d.b2b.conv3d.weight": (64, 24, 3, 3, 3),
        "Mixed_4f.b0.conv3d.weight": (256, 528, 1, 1, 1),
        "Mixed_5c.b3b.conv3d.weight": (128, 832, 1, 1, 1),
        "Mixed_5c.b0.bn.running_var": (384,),
        "logits.conv3d.weight": (400, 1024, 1, 1, 1),
    }
    assert {k: tuple(state[k].shape) for k in shapes} == shapes


@pytest.mark.parametrize("shape", [(2, 9, 32, 32), (1, 10, 33, 47), (1, 18, 39, 34)])
def test_every_layer_equals_plain_functional_calls(
    file: Path, state: dict[str, Tensor], shape: tuple[int, int, int, int]
) -> None:
    extractor = load("i3d", file)
    found: dict[str, Tensor] = {}
    for name in (*STEM, *(f"Mixed_{m}" for m in MIXED)):
        module = extractor.get_submodule(f"network.{name}")
        module.register_forward_hook(lambda _m, _i, out, name=name: found.update({name: out}))
    pixels = clips(*shape)
    reference = Reference(state, 1e-3, torch.float64)
    last = reference.trunk(pixels.transpose(1, 2).double() / 127.5 - 1)

    features = extractor(pixels, ["pooled", "logits"])

    for name, values in found.items():
        expected = reference.outputs[name].float()
        assert torch.allclose(values, expected, rtol=1e-4, atol=1e-4), name
    pooled, logits = reference.head(last, (2, *last.shape[3:]))
    torch.testing.assert_close(features["pooled"], pooled.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(features["logits"], logits.float(), rtol=1e-5, atol=1e-5)
    assert logits.std() > 0.1


@pytest.mark.parametrize("window", [1, 2])
def test_the_head_equals_the_published_pool_at_the_published_size(
    state: dict[str, Tensor], window: int
) -> None:
    network = InceptionI3d(window=window)
    network.load_state_dict(state)
    values = torch.randn(2, 1024, 4, 7, 7, generator=torch.Generator().manual_seed(1))
    reference = Reference(state, 1e-3, torch.float64)
    pooled, logits = reference.head(values.double(), (window, 7, 7))

    found = network.head(values)

    torch.testing.assert_close(found["pooled"], pooled.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["logits"], logits.float(), rtol=1e-5, atol=1e-6)


def test_windows_differ_from_17_frames_on(file: Path) -> None:
    one, two = (load("i3d", file, window=w, size=32) for w in (1, 2))

    for frames, alike in ((16, True), (17, False)):
        batch = clips(1, frames, 32, 32)
        first, second = (e(batch, ["logits"])["logits"] for e in (one, two))
        assert torch.allclose(first, second, rtol=1e-4, atol=1e-5) == alike


def test_only_cd_fvd_has_the_small_epsilon(file: Path, state: dict[str, Tensor]) -> None:
    pixels = clips(1, 9, 32, 32)
    assert {name: p.epsilon for name, p in PROTOCOLS.items()} == {
        "stylegan-v": 1e-3,
        "cd-fvd": 1e-5,
        "tf": 1e-3,
        "vfid": 1e-3,
    }
    for protocol, epsilon in (("cd-fvd", 1e-5), ("tf", 1e-3)):
        reference = Reference(state, epsilon, torch.float64)
        last = reference.trunk(pixels.transpose(1, 2).double() / 127.5 - 1)
        expected = reference.head(last, (2, 1, 1))[1].float()

        found = load("i3d", file, protocol=protocol, size=32)(pixels, ["logits"])["logits"]

        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("protocol", ["stylegan-v", "cd-fvd", "tf", "vfid"])
def test_frames_come_to_224_in_floats_of_the_same_range(protocol: str) -> None:
    prepared = PROTOCOLS[protocol].prepare(clips(1, 2, 30, 50)[0])

    assert prepared.shape == (2, 3, 224, 224)
    assert prepared.dtype == torch.float32
    assert 0 <= prepared.min() < 10
    assert 245 < prepared.max() <= 255


def test_stylegan_v_crops_and_the_others_stretch() -> None:
    frame = torch.zeros(1, 3, 4, 12, dtype=torch.uint8)
    frame[..., 4:8] = 100  # the middle square

    assert (choose(PROTOCOLS, "stylegan-v", 4).prepare(frame) == 100).all()
    for protocol in ("cd-fvd", "tf", "vfid"):
        row = choose(PROTOCOLS, protocol, 4).prepare(frame)[0, 0, 0]
        assert row[0] < 50


def test_stretching_is_by_hand() -> None:
    frame = torch.tensor([0, 10, 20, 60], dtype=torch.uint8).expand(1, 3, 4, 4)

    rows = {p: choose(PROTOCOLS, p, 2).prepare(frame)[0, 0, 0] for p in ("cd-fvd", "tf", "vfid")}

    # pixel 0 of 2 lies at 0.5 of 4 with half-pixels, and at 0 in TensorFlow 1
    assert rows["cd-fvd"].tolist() == [5.0, 40.0]
    assert rows["tf"].tolist() == [0.0, 20.0]
    # a triangle 4 pixels wide around 0.5 and 2.5: weights 3, 3, 1 of 7 and 1, 3, 3 of 7
    assert rows["vfid"].tolist() == pytest.approx([50 / 7, 250 / 7])


def test_the_colours_are_red_green_blue(extractor: Extractor, state: dict[str, Tensor]) -> None:
    red = torch.zeros(1, 9, 3, 32, 32, dtype=torch.uint8)
    red[:, :, 0] = 255
    blue = red.flip(2)
    reference = Reference(state, 1e-3, torch.float32)
    pixels = torch.full((1, 3, 9, 32, 32), -1.0)
    pixels[:, 0] = 1
    expected = reference.head(reference.trunk(pixels), (2, 1, 1))[1]

    assert torch.allclose(extractor(red, ["logits"])["logits"], expected, atol=1e-4)
    assert not torch.allclose(extractor(blue, ["logits"])["logits"], expected, atol=1e-2)


def test_clips_of_a_batch_do_not_see_each_other(extractor: Extractor) -> None:
    batch = clips(3, 9, 32, 32)

    together = extractor(batch, ["logits"])["logits"]

    for row, clip in zip(together, batch, strict=True):
        alone = extractor(clip[None], ["logits"])["logits"][0]
        torch.testing.assert_close(row, alone, rtol=1e-5, atol=1e-5)


def test_the_origin_names_weights_protocol_size_and_window(
    file: Path, state: dict[str, Tensor]
) -> None:
    origin = build(file, "cd-fvd").origin("logits", "d", "c")
    kept = {k: v for k, v in state.items() if "num_batches_tracked" not in k}

    assert (origin.extractor, origin.resize, origin.layer) == ("i3d", "cd-fvd", "logits")
    assert origin.weights == weights_id(kept)
    assert build(file, "tf", size=64, window=1).resize == "tf, 64 pixels, window 1"


def test_formats_prefixes_and_counters_do_not_change_the_weights(
    extractor: Extractor, state: dict[str, Tensor], tmp_path: Path
) -> None:
    kept = {f"module.{k}": v for k, v in state.items() if "num_batches_tracked" not in k}
    save_file(kept, tmp_path / "i3d.safetensors")

    assert build(tmp_path / "i3d.safetensors").weights_id == extractor.weights_id


def test_layers_and_classes(extractor: Extractor) -> None:
    assert isinstance(extractor, I3dExtractor)
    assert dict(extractor.layers) == {"logits": 400, "pooled": 1024}
    assert extractor.takes == "clips"
    assert extractor.classes == kinetics400()
    with pytest.raises(ConfigError, match="i3d has no layer 'fc'; it has logits, pooled"):
        extractor(clips(1, 9, 32, 32), ["fc"])


def test_a_classifier_of_other_classes_is_read_without_their_names(tmp_path: Path) -> None:
    torch.save(random_state(7), tmp_path / "i3d.pt")

    extractor = build(tmp_path / "i3d.pt")

    assert extractor.layers["logits"] == 7
    assert extractor.classes is None
    assert extractor(clips(1, 9, 32, 32), ["logits"])["logits"].shape == (1, 7)


def test_clips_too_short_for_a_window_are_refused(extractor: Extractor, file: Path) -> None:
    with pytest.raises(DataError, match="i3d needs clips of 9 frames or more, got 8"):
        extractor(clips(1, 8, 32, 32), ["logits"])
    assert build(file, "vfid")(clips(1, 1, 32, 32), ["pooled"])["pooled"].shape == (1, 1024)


def test_options_out_of_range_are_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="must be one of stylegan-v, cd-fvd, tf, vfid; got 'x'"):
        build(file, "x")
    with pytest.raises(ConfigError, match="window must be 1 or 2, got 3"):
        build(file, window=3)


def test_files_that_are_no_i3d_are_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "other.pt"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(WeightsError, match=r"other.pt does not fit InceptionI3d: .* missing"):
        build(path)
    torch.save(state | {"Mixed_5c.b0.bn.bias": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=r"Mixed_5c.b0.bn.bias \(3,\) instead of \(384,\)"):
        build(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"other.pt is not an intact file"):
        build(path)
    with pytest.raises(WeightsError, match="there is no weights file"):
        build(tmp_path / "none.pt")


class Flagged(nn.Module):
    """Mean colours behind the signature of StyleGAN-V's file; each flag spoils its numbers."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(400, 3, generator=generator))

    def forward(
        self,
        x: Tensor,
        rescale: bool = True,
        resize: bool = True,
        return_features: bool = False,
    ) -> Tensor:
        if rescale:
            x = x * 2 / 255 - 1
        if resize:
            x = torch.zeros_like(x)
        logits = x.mean(dim=[2, 3, 4]) @ self.weight.t()
        if return_features:
            return logits
        return logits.softmax(1)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "i3d_torchscript.pt"
    torch.jit.save(torch.jit.script(Flagged().eval()), path)
    return path


def test_a_torchscript_file_sees_the_prepared_range_and_gives_its_own_logits(script: Path) -> None:
    batch = clips(2, 9, 32, 32)
    extractor = load("i3d", script, size=32)

    found = extractor(batch, ["logits"])["logits"]

    assert isinstance(extractor, ScriptedI3d)
    assert dict(extractor.layers) == {"logits": 400}
    colours = batch.double().mean((1, 3, 4)) / 127.5 - 1
    expected = colours @ Flagged().weight.detach().double().T
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-5)


def test_a_torchscript_file_is_another_origin(script: Path) -> None:
    origin = build(script).origin("logits", "d")

    assert origin.extractor == "i3d-torchscript"
    assert origin.resize == "stylegan-v"
    assert origin.weights == hashlib.sha256(script.read_bytes()).hexdigest()[:16]


def test_a_frozen_torchscript_file_is_read_too(script: Path, tmp_path: Path) -> None:
    torch.jit.save(torch.jit.freeze(torch.jit.load(script)), tmp_path / "frozen.pt")
    batch = clips(2, 9, 32, 32)

    frozen = load("i3d", tmp_path / "frozen.pt")(batch, ["logits"])["logits"]

    assert torch.allclose(frozen, load("i3d", script)(batch, ["logits"])["logits"], atol=1e-4)


def test_what_a_torchscript_file_cannot_do_is_refused(script: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'vfid' needs a state dict, but .* is TorchScript"):
        build(script, "vfid")
    with pytest.raises(ConfigError, match="i3d-torchscript has no layer 'pooled'"):
        build(script)(clips(1, 9, 32, 32), ["pooled"])
    with pytest.raises(DataError, match="9 frames or more, got 8"):
        build(script)(clips(1, 8, 32, 32), ["logits"])
    other = tmp_path / "other.pt"
    torch.jit.save(torch.jit.script(nn.ReLU()), other)
    with pytest.raises(WeightsError, match=r"other.pt .* takes no rescale, resize, return_feat"):
        build(other)


@pytest.mark.parametrize(
    ("protocol", "asked"),
    [
        ("vfid", "zhengchong/VFID/i3d.pt"),
        ("cd-fvd", "https://github.com/songweige/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt"),
    ],
)
def test_each_protocol_asks_for_the_weights_of_its_numbers(
    protocol: str, asked: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def fetch(published: Published) -> Path:
        seen.append(f"{published.repo}/{published.file}")
        return file

    def download(address: str, sha256: str | None) -> Path:
        assert sha256 is None
        seen.append(address)
        return file

    monkeypatch.setattr("beholder.eval.extractors.i3d.fetch", fetch)
    monkeypatch.setattr("beholder.eval.extractors.i3d.download", download)
    build(protocol=protocol)

    assert seen == [asked]


@pytest.mark.parametrize("protocol", ["stylegan-v", "tf"])
def test_a_program_is_never_fetched(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beholder.eval.extractors.i3d.fetch", None)
    monkeypatch.setattr("beholder.eval.extractors.i3d.download", None)
    wanted = "hf download flateon/FVD-I3D-torchscript i3d_torchscript.pt` and give weights=FILE"
    with pytest.raises(WeightsError, match=wanted):
        build(protocol=protocol)


@pytest.mark.parametrize(("protocol", "door"), [("cd-fvd", "download"), ("vfid", "fetch")])
def test_a_program_in_the_place_of_fetched_weights_is_not_run(
    protocol: str, door: str, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"beholder.eval.extractors.i3d.{door}", lambda *_: script)
    monkeypatch.setattr("beholder.eval.extractors.i3d.load_script", None)
    with pytest.raises(WeightsError, match="is a program, not weights"):
        build(protocol=protocol)
