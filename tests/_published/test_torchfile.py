import importlib
import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from beholder._published.torchfile import read_torch
from beholder.errors import WeightsError

FORMATS = [True, False]
LAION = Path(__file__).parents[3] / "shared" / "data" / "laion"
PUBLISHED_MODULE = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.to_q = nn.Linear(4, 4, bias=False)
        self.register_buffer("inv_freq", torch.arange(2.0))
        self.register_buffer("cache", torch.zeros(100), persistent=False)

class CLIPModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.config = {"dim": 4, "act": torch.nn.functional.gelu, "dtype": torch.float16}
        self.layers = nn.ModuleList([Block(), Block()])
        self.text = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7)
        self.head.weight = self.text.weight
        self.logit_scale = nn.Parameter(torch.tensor(2.5))
        self.register_parameter("absent", None)

    def __setstate__(self, state):
        raise RuntimeError("code of the module ran")
"""


@pytest.mark.parametrize("is_zip", FORMATS)
def test_a_pickled_module_gives_its_state_dict_though_its_classes_are_gone(
    is_zip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "trainer.models.clip_model"
    (tmp_path / "trainer" / "models").mkdir(parents=True)
    (tmp_path / "trainer" / "models" / "clip_model.py").write_text(PUBLISHED_MODULE)
    with monkeypatch.context() as context:
        context.syspath_prepend(str(tmp_path))
        model = importlib.import_module(name).CLIPModel().half()
        torch.save(model, tmp_path / "mps.pth", _use_new_zipfile_serialization=is_zip)
    for part in ("trainer", "trainer.models", name):
        del sys.modules[part]
    state = read_torch(tmp_path / "mps.pth")
    expected = model.state_dict()
    assert set(state) == set(expected)
    assert "layers.0.cache" not in state
    for key, value in expected.items():
        assert state[key].dtype == torch.float16
        assert torch.equal(state[key], value)
    assert state["head.weight"].data_ptr() == state["text.weight"].data_ptr()
    assert name not in sys.modules


@pytest.mark.parametrize("is_zip", FORMATS)
def test_every_dtype_and_layout_reads_as_torch_reads_it(is_zip: bool, tmp_path: Path) -> None:
    base = torch.randn(6, 5)
    state = {str(d): (base * 10).to(d) for d in (torch.float64, torch.float32, torch.float16)}
    state |= {str(d): (base * 10).to(d) for d in (torch.bfloat16, torch.int64, torch.int32)}
    state |= {str(d): (base * 10).to(d) for d in (torch.int16, torch.int8, torch.bool)}
    state |= {
        "uint8": base.abs().to(torch.uint8),
        "transposed": base.T,
        "window": base[2:4, 1:],
        "stepped": base[::2, 3],
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "odd_offset": torch.arange(3, dtype=torch.uint8),
        "after": torch.randn(3),
        "parameter": nn.Parameter(base),
    }
    path = tmp_path / "state.pt"
    torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    expected = torch.load(path, weights_only=True)
    found = read_torch(path)
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value), key


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "module"])
def test_a_checkpoint_is_unwrapped_whatever_else_it_holds(wrapper: str, tmp_path: Path) -> None:
    layer = nn.Linear(2, 3)
    rest = {"epoch": 3, "args": types.SimpleNamespace(lr=0.1), "optimizer": {"state": {}}}
    for name, inner in {"dict": layer.state_dict(), "module": layer}.items():
        torch.save({**rest, wrapper: inner}, tmp_path / name)
        assert torch.equal(read_torch(tmp_path / name)["weight"], layer.weight)


def test_a_weight_called_like_a_wrapper_stays_a_weight(tmp_path: Path) -> None:
    torch.save({"model": torch.ones(2), "bias": torch.ones(3)}, tmp_path / "state.pt")
    assert set(read_torch(tmp_path / "state.pt")) == {"model", "bias"}


@pytest.mark.parametrize("is_zip", FORMATS)
def test_a_payload_beside_the_weights_never_runs(is_zip: bool, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'canary'}",)

    layer = nn.Linear(2, 3)
    layer.evil = Evil()  # type: ignore[assignment]
    for saved in (layer, {"state_dict": layer.state_dict(), "evil": Evil()}, Evil()):
        torch.save(saved, tmp_path / "evil.pt", _use_new_zipfile_serialization=is_zip)
        if isinstance(saved, Evil):
            with pytest.raises(WeightsError, match="neither a module nor a dict of tensors"):
                read_torch(tmp_path / "evil.pt")
        else:
            assert torch.equal(read_torch(tmp_path / "evil.pt")["weight"], layer.weight)
        assert not (tmp_path / "canary").exists()
        torch.load(tmp_path / "evil.pt", weights_only=False)
        (tmp_path / "canary").unlink()  # the payload is live


@pytest.mark.parametrize("is_zip", FORMATS)
def test_every_truncation_is_a_weights_error(is_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / "layer.pt"
    torch.save(nn.Linear(2, 3), path, _use_new_zipfile_serialization=is_zip)
    whole = path.read_bytes()
    for length in range(0, len(whole), 17):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="not an intact file"):
            read_torch(path)


def test_a_module_that_contains_itself_is_refused(tmp_path: Path) -> None:
    ring = nn.Module()
    ring.again = ring
    torch.save(ring, tmp_path / "ring.pt")
    with pytest.raises(WeightsError, match="contains itself"):
        read_torch(tmp_path / "ring.pt")


def test_a_module_of_two_to_the_fortieth_parts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beholder._published.torchfile.MAX_PARTS", 1000)
    node: nn.Module = nn.Linear(1, 1)
    for _ in range(40):
        parent = nn.Module()
        parent.a = parent.b = node
        node = parent
    torch.save(node, tmp_path / "tree.pt")
    with pytest.raises(WeightsError, match="over 1000 parts"):
        read_torch(tmp_path / "tree.pt")


class Stored:
    """Bytes outside the pickle."""

    def __init__(self, kind: object = torch.FloatStorage) -> None:
        self.identity = ("storage", kind, "0", "cpu", 4)


class Claim:
    """A tensor as a hostile file describes it."""

    def __init__(self, *arguments: object, by: str = "_rebuild_tensor_v2") -> None:
        rest = (False, OrderedDict[str, object]())
        self.call = (getattr(torch._utils, by), (*arguments, *rest))

    def __reduce__(self) -> Any:
        return self.call


class Writer(pickle.Pickler):
    def persistent_id(self, value: object) -> object:
        return value.identity if isinstance(value, Stored) else None


def write(path: Path, root: object, members: Mapping[str, bytes], compress: int = 0) -> None:
    pickled = io.BytesIO()
    Writer(pickled, 2).dump(root)
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, content in {"data.pkl": pickled.getvalue(), **members}.items():
            archive.writestr(f"archive/{name}", content)


FOUR = {"data/0": struct.pack("<4f", 1, 2, 3, 4)}


def test_a_handmade_file_reads_as_described(tmp_path: Path) -> None:
    write(tmp_path / "w.pt", {"w": Claim(Stored(), 1, (2,), (2,))}, FOUR)
    assert read_torch(tmp_path / "w.pt")["w"].tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (Claim(Stored(), 0, (5,), (1,)), "exceeds its 4 stored values"),
        (Claim(Stored(), 1, (2, 2), (2, 1)), "exceeds its 4 stored values"),
        (Claim(Stored(), -1, (2,), (1,)), "exceeds its 4 stored values"),
        (Claim(Stored(), 3, (2,), (-1,)), "natural numbers"),
        (Claim(Stored(), 0, (10**12,), (0,)), "exceeds its 4 stored values"),
        (Claim(Stored(), 0, (2, 2), (1,)), "argument 2 is shorter"),
        (Claim(Stored(), 0, ("2",), (1,)), "natural numbers"),
        (Claim(Stored(), "0", (2,), (1,)), "does not say where its values are"),
        (Claim(7, 0, (2,), (1,)), "does not say where its values are"),
        (Claim(Stored(torch.ComplexFloatStorage), 0, (2,), (1,)), "ComplexFloatStorage, known"),
        (Claim(Stored(os.system), 0, (2,), (1,)), "system, known"),
        (Claim(7, by="_rebuild_sparse_tensor"), "expected a dense tensor"),
        (Claim(by="_rebuild_parameter"), "stored as"),
    ],
)
def test_a_tensor_that_lies_is_refused(claim: Claim, reason: str, tmp_path: Path) -> None:
    write(tmp_path / "w.pt", {"w": claim}, FOUR)
    with pytest.raises(WeightsError, match=reason):
        read_torch(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("members", "compress", "reason"),
    [
        ({}, zipfile.ZIP_STORED, "bytes of storage 0 are not in the file"),
        (FOUR, zipfile.ZIP_DEFLATED, "is compressed"),
        ({**FOUR, "byteorder": b"big"}, zipfile.ZIP_STORED, "big-endian"),
        ({**FOUR, "more/data.pkl": b""}, zipfile.ZIP_STORED, "2 members are called data.pkl"),
        ({"data/0": b"\x00" * 15}, zipfile.ZIP_STORED, "must be divisible by 4"),
    ],
)
def test_a_container_that_lies_is_refused(
    members: Mapping[str, bytes], compress: int, reason: str, tmp_path: Path
) -> None:
    write(tmp_path / "w.pt", {"w": Claim(Stored(), 0, (4,), (1,))}, members, compress)
    with pytest.raises(WeightsError, match=reason):
        read_torch(tmp_path / "w.pt")


def test_a_pickle_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beholder._published.torchfile.MAX_PICKLE_BYTES", 1000)
    write(tmp_path / "w.pt", {"w": b"\x00" * 10_000}, {}, zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="larger than 1000 bytes"):
        read_torch(tmp_path / "w.pt")


def test_buffers_listed_in_place_of_a_module_are_refused(tmp_path: Path) -> None:
    layer = nn.Linear(1, 1)
    layer._modules["child"] = types.SimpleNamespace()  # type: ignore[assignment]
    torch.save(layer, tmp_path / "odd.pt")
    with pytest.raises(WeightsError, match="child is neither a module nor a tensor"):
        read_torch(tmp_path / "odd.pt")


@pytest.mark.skipif(not LAION.is_dir(), reason="the published LAION heads are not at hand")
def test_the_published_aesthetic_heads_read_though_saved_from_cuda() -> None:
    v1 = read_torch(LAION / "sa_0_4_vit_l_14_linear.pth")
    assert {k: tuple(v.shape) for k, v in v1.items()} == {"weight": (1, 768), "bias": (1,)}
    v2 = read_torch(LAION / "sac+logos+ava1-l14-linearMSE.pth")
    sizes = {0: (1024, 768), 2: (128, 1024), 4: (64, 128), 6: (16, 64), 7: (1, 16)}
    assert {k: tuple(v.shape) for k, v in v2.items() if "weight" in k} == {
        f"layers.{k}.weight": shape for k, shape in sizes.items()
    }
    assert {v.device.type for v in v2.values()} == {"cpu"}


@pytest.mark.skipif(not LAION.is_dir(), reason="the published LAION heads are not at hand")
def test_the_published_head_rates_the_published_embeddings() -> None:
    import numpy as np

    state = read_torch(LAION / "sa_0_4_vit_l_14_linear.pth")
    folder = LAION / "rating_embeddings_vit_l_14"
    rows = [torch.from_numpy(np.load(folder / f"rating{k}.npy")).float() for k in range(10)]
    ratings = [float(row.flatten() @ state["weight"][0] + state["bias"]) for row in rows]
    expected = [-2.46, -0.14, 1.90, 3.58, 5.10, 6.47, 7.79, 9.05, 10.23, 11.30]
    assert ratings == pytest.approx(expected, abs=0.006)
