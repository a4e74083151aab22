import io
import logging
import pickle
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from beholder._published.weights import hub_errors, load_exact, read_state
from beholder.errors import WeightsError


def test_safetensors_and_torch_files_are_told_apart_by_their_content(tmp_path: Path) -> None:
    state = {"a.b": torch.randn(2, 3), "c": torch.arange(3)}
    save_file(state, tmp_path / "one.bin")
    torch.save(state, tmp_path / "two.safetensors")
    torch.save(state, tmp_path / "three", _use_new_zipfile_serialization=False)
    for name in ("one.bin", "two.safetensors", "three"):
        found = read_state(tmp_path / name)
        assert set(found) == set(state)
        assert all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>", "looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"GIF89a\x00\x00\x00", "neither a safetensors nor a torch file"),
        (b"\xff" * 7 + b"\x00{" + b"x" * 50, "not an intact safetensors file"),
        (pickle.dumps({"a": 1}, 2), "not an intact file of torch.save"),
        (b"PK\x03\x04" + b"\x00" * 60, "not an intact file of torch.save"),
    ],
)
def test_a_file_that_holds_no_weights_says_what_it_is(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=reason):
        read_state(tmp_path / "w.pt")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pt", tmp_path):
        with pytest.raises(WeightsError, match="there is no weights file"):
            read_state(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_that_are_not_finite_are_refused_by_name(
    value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    bad = torch.ones(3, 3, dtype=dtype)
    bad[1, 2] = value
    state = {"fine": torch.ones(2), "empty": torch.ones(0), "int": torch.arange(2), "bad.w": bad}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"NaN or infinite weights: bad\.w$"):
        read_state(tmp_path / "w.safetensors")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("kind", ["safetensors", "zip", "old", "checkpoint"])
def test_changed_bytes_give_weights_or_a_weights_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "w"
    layer = nn.Linear(2, 3)
    if kind == "safetensors":
        save_file(layer.state_dict(), path)
    else:
        saved = {"model": layer.state_dict(), "rest": {1, 2}} if kind == "checkpoint" else layer
        torch.save(saved, path, _use_new_zipfile_serialization=kind != "old")
    whole = path.read_bytes()
    chance = random.Random(kind)
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(chance.choice([1, 2, 5])):
            at = chance.randrange(len(changed))
            changed[at : at + chance.randint(0, 2)] = chance.randbytes(1)
        path.write_bytes(changed)
        try:
            assert read_state(path)
        except WeightsError as error:
            assert str(path) in str(error)


def test_large_finite_half_precision_weights_are_accepted(tmp_path: Path) -> None:
    save_file({"a": torch.full((100,), 60_000.0, dtype=torch.float16)}, tmp_path / "w")
    assert read_state(tmp_path / "w")["a"].sum(dtype=torch.float32) == 6_000_000


def test_weights_that_fit_are_copied_and_cast() -> None:
    layer = nn.Linear(2, 3)
    state = {"weight": torch.full((3, 2), 1.5, dtype=torch.float16), "bias": torch.zeros(3)}
    load_exact(layer, state, where="w.pt")
    assert layer.weight.dtype == torch.float32
    assert layer.weight.tolist() == [[1.5, 1.5]] * 3


def test_every_kind_of_misfit_is_named_and_nothing_is_copied() -> None:
    layer = nn.Linear(2, 3)
    before = layer.weight.clone()
    state = {"weight": torch.ones(3, 2), "bias": torch.ones(4), "extra": torch.ones(1)}
    with pytest.raises(WeightsError) as caught:
        load_exact(layer, state, where="w.pt")
    assert str(caught.value) == (
        "w.pt does not fit Linear: 1 unexpected: extra; 1 misshapen: bias (4,) instead of (3,)"
    )
    assert torch.equal(layer.weight, before)
    with pytest.raises(WeightsError, match=r"does not fit Linear: 2 missing: weight, bias$"):
        load_exact(layer, {}, where="w.pt")


def test_a_long_list_of_misfits_ends_in_a_count() -> None:
    state = {f"w{k}": torch.ones(1) for k in range(11)}
    expected = "11 unexpected: w0, w1, w2, w3, w4, w5, w6, w7 and 3 more"
    with pytest.raises(WeightsError, match=expected):
        load_exact(nn.Identity(), state, where="w.pt")


def test_ignored_names_may_be_on_either_side() -> None:
    layer = nn.Linear(2, 3)
    bias = layer.bias.detach().clone()
    state = {"weight": torch.ones(3, 2), "a.position_ids": torch.ones(1)}
    load_exact(layer, state, ignore=["*.position_ids", "bias"], where="w.pt")
    assert torch.equal(layer.bias, bias)
    assert layer.weight.sum() == 6


@pytest.mark.parametrize("client", ["httpx", "httpx2"])
def test_a_hub_that_cannot_be_reached_is_one_line_whatever_its_client(client: str) -> None:
    http = pytest.importorskip(client)
    with (
        pytest.raises(WeightsError, match="cannot push to a/b: "),
        hub_errors("cannot push to a/b"),
    ):
        raise http.ConnectError("no such host")


def test_all_retries_of_the_hubs_client_are_told_in_one_line() -> None:
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    client = logging.getLogger("huggingface_hub.utils._http")
    client.addHandler(handler)
    try:
        with hub_errors("cannot fetch a/b"):
            for pause in (1, 2):
                client.warning("'no such host' thrown while requesting HEAD https://hub.example")
                client.warning(f"Retrying in {pause}s [Retry {pause}/5].")
            client.warning("something else")
        client.warning("Retrying in 1s [Retry 1/5].")
    finally:
        client.removeHandler(handler)
    first, *others = told.getvalue().splitlines()
    assert first.startswith("the hub does not answer")
    assert others == ["something else", "Retrying in 1s [Retry 1/5]."]
