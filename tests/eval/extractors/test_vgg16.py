"""VGG16's second fully connected layer against torch-fidelity, torchvision and by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from beholder.errors import ConfigError, WeightsError
from beholder.eval.extractors import load
from beholder.eval.extractors._base import Extractor
from tests.eval.extractors.random_weights import vgg16_state


def pictures() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 60, 50), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.pth"
    torch.save(vgg16_state(), path)
    return path


@pytest.fixture(scope="module")
def extractor(file: Path) -> Extractor:
    return load("vgg16", file)


def prepared(extractor: Extractor) -> Tensor:
    return torch.stack([extractor.prepare(picture) for picture in pictures()])


def by_definition(values: Tensor) -> Tensor:
    """Configuration D of the paper's table 1, layer by layer, in float64."""
    state = {name: weight.double() for name, weight in vgg16_state().items()}
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    values = (values.double() / 255 - mean[:, None, None]) / std[:, None, None]
    for number in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28):
        weight, bias = state[f"features.{number}.weight"], state[f"features.{number}.bias"]
        values = functional.conv2d(values, weight, bias, padding=1).relu()
        if number in {2, 7, 14, 21, 28}:
            values = functional.max_pool2d(values, 2)
    values = values.flatten(1)
    hidden = (values @ state["classifier.0.weight"].T + state["classifier.0.bias"]).relu()
    return hidden @ state["classifier.3.weight"].T + state["classifier.3.bias"]


def test_fc2_is_the_papers_network(extractor: Extractor) -> None:
    found = extractor(prepared(extractor), ["fc2_linear", "fc2_relu"])
    expected = by_definition(prepared(extractor))
    assert expected.std() > 0.1
    torch.testing.assert_close(found["fc2_linear"].double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["fc2_relu"], found["fc2_linear"].clamp(min=0))


def test_both_layers_are_those_of_torch_fidelity(
    extractor: Extractor, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("torch_fidelity.feature_extractor_vgg16")
    monkeypatch.setattr(module.torchvision.models, "vgg16", narrow_torchvision)
    names = ["fc2", "fc2_relu"]
    peer = module.FeatureExtractorVGG16("vgg16", names, feature_extractor_weights_path=str(file))
    found = extractor(prepared(extractor), ["fc2_linear", "fc2_relu"])
    for name, rows in zip(names, peer(pictures()), strict=True):
        own = found[name if name in found else "fc2_linear"]
        assert (own - rows).norm() < 1e-6 * rows.norm(), name


def test_the_layout_is_torchvisions(extractor: Extractor) -> None:
    pytest.importorskip("torchvision")
    network = narrow_torchvision().eval()
    network.load_state_dict(vgg16_state())
    seen: list[Tensor] = []
    network.classifier[3].register_forward_hook(lambda _m, _given, output: seen.append(output))
    values: Any = extractor
    with torch.no_grad():
        network(values._normalised(prepared(extractor)))
    found = extractor(prepared(extractor), ["fc2_relu"])["fc2_relu"]
    # torchvision's rectifier works in place, so that the hook sees what it left
    torch.testing.assert_close(found, seen[0], atol=1e-5, rtol=1e-5)


def test_the_default_layer_comes_first_with_its_width(extractor: Extractor) -> None:
    assert list(extractor.layers.items()) == [("fc2_relu", 128), ("fc2_linear", 128)]
    assert extractor.identity == "vgg16-torchvision"
    assert extractor.prepare(pictures()[0]).shape == (3, 224, 224)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_other_files_are_refused(tmp_path: Path) -> None:
    state = vgg16_state()
    del state["features.28.weight"]
    save_file(state, tmp_path / "short.safetensors")
    with pytest.raises(WeightsError, match=r"no VGG16.*see 'features.28.weight'"):
        load("vgg16", tmp_path / "short.safetensors")
    script = torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2))
    script.save(str(tmp_path / "vgg16.pt"))
    with pytest.raises(WeightsError, match="a program, as NVIDIA's VGG16"):
        load("vgg16", tmp_path / "vgg16.pt")
    with pytest.raises(ConfigError, match="resize must be one of tf1"):
        load("vgg16", tmp_path / "vgg16.pt", resize="edm2")


def narrow_torchvision() -> Any:
    """torchvision's own network with the widths of `vgg16_state`."""
    from torchvision.models import vgg

    widths = [w if isinstance(w, str) else w // 32 for w in vgg.cfgs["D"]]
    network = vgg.VGG(vgg.make_layers(widths), init_weights=False)
    for number, sizes in ((0, (784, 128)), (3, (128, 128)), (6, (128, 31))):
        network.classifier[number] = nn.Linear(*sizes)
    return network
