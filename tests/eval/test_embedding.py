from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError, DataError, ImageError
from beholder.eval import extractors
from beholder.eval.embedding import (
    Embeddings,
    aligned,
    default_threshold,
    embed,
    embedders,
    read_embeddings,
    write_embeddings,
)
from beholder.eval.extractors._base import Extractor
from beholder.eval.near_duplicates import near_duplicates
from beholder.images import ImageSource

NAN = float("nan")


def noise(seed: int) -> npt.NDArray[np.uint8]:
    values = np.random.default_rng(seed).integers(0, 256, (6, 8, 3))
    small = Image.fromarray(values.astype(np.uint8))
    return np.asarray(small.resize((80, 60), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(noise(0)).save(folder / "a.jpg", quality=60)
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    gone = ImageError("missing", "no such file")
    pictures: list[tuple[str, ImageSource]] = [
        ("jpeg", folder / "a.jpg"),
        ("gone", gone),
        ("same", noise(0)),
        ("bad", (folder / "bad.png").read_bytes()),
        ("other", noise(1)),
    ]
    return embed(pictures, batch_size=2)


def test_pictures_become_rows_in_order_and_bad_ones_errors_of_theirs(found: Embeddings) -> None:
    assert found.keys == ("jpeg", "gone", "same", "bad", "other")
    assert found.name == "thumbprint"
    assert found.errors.keys() == {1, 3}
    assert found.errors[1] == "missing: no such file"
    assert np.isnan(found.values).all(axis=1).tolist() == [False, True, False, True, False]
    lengths = np.linalg.norm(found.values[[0, 2, 4]].astype(np.float64), axis=1)
    assert np.allclose(lengths, 1, atol=1e-6)


def test_near_duplicates_are_found_from_pictures_to_pairs(found: Embeddings) -> None:
    near = near_duplicates(found.values, [0, 9, 1, 9, 0], default_threshold("thumbprint"))
    assert {row: pair.of for row, pair in near.items()} == {0: 2}


def test_the_same_pictures_are_read_from_the_cache(tmp_path: Path) -> None:
    counts: list[int] = []
    for _ in range(2):
        again = embed([("x", noise(2)), ("y", noise(3))], cache=tmp_path, progress=counts.append)
    assert sum(counts) == 4
    assert len(list(tmp_path.rglob("part-*"))) == 1
    assert np.array_equal(again.values, embed([("x", noise(2)), ("y", noise(3))]).values)


def test_what_is_written_is_read_again_with_its_errors(found: Embeddings, tmp_path: Path) -> None:
    back = read_embeddings(write_embeddings(found, tmp_path / "e.npz"))
    assert (back.keys, back.errors, back.name) == (found.keys, found.errors, found.name)
    assert np.allclose(back.values, found.values, atol=1e-7, equal_nan=True)


def test_rows_of_other_programs_get_length_1_and_bad_ones_an_error(tmp_path: Path) -> None:
    rows = [[3.0, 4.0], [0.0, 0.0], [NAN, 1.0], None, [float("inf"), 0.0]]
    lists = pa.array(rows, pa.list_(pa.float32()))
    pq.write_table(pa.table({"key": list("abcde"), "embedding": lists}), tmp_path / "e.parquet")
    read = read_embeddings(tmp_path / "e.parquet")
    assert read.values[0].tolist() == pytest.approx([0.6, 0.8])
    assert np.isnan(read.values[1:]).all()
    codes = {row: why.partition(":")[0] for row, why in read.errors.items()}
    assert codes == {1: "zero", 2: "non-finite", 3: "non-finite", 4: "non-finite"}


def test_rows_are_aligned_by_key_and_missing_ones_counted() -> None:
    two = Embeddings(("a", "b"), np.eye(2, dtype=np.float32))
    rows, missing = aligned(two, ["b", "x", "a", "b"])
    assert missing == 1
    assert rows[[0, 2, 3]].tolist() == [[0, 1], [1, 0], [0, 1]]
    assert np.isnan(rows[1]).all()


def test_a_key_has_one_embedding_and_a_row_one_key(tmp_path: Path) -> None:
    rows = np.eye(2, dtype=np.float32)
    with pytest.raises(DataError, match="'a' has more than one embedding"):
        Embeddings(("a", "a"), rows)
    with pytest.raises(DataError, match=r"1 keys but embeddings \(2, 2\)"):
        Embeddings(("a",), rows)
    np.savez(tmp_path / "e.npz", keys=np.array(["a", "b"]), values=np.array([1, 2]))
    with pytest.raises(DataError, match=r"must be \(n, d\) of floats, got int64"):
        read_embeddings(tmp_path / "e.npz")


def test_embedders_are_those_of_the_package_and_only_measured_thresholds_are_known() -> None:
    assert {"thumbprint", "clip", "dinov2", "inception"} <= set(embedders())
    assert default_threshold("thumbprint") == 0.95
    with pytest.raises(ConfigError, match="no threshold is known for 'clip'"):
        default_threshold("clip")
    with pytest.raises(ConfigError, match="unknown embedder 'clpi'"):
        embed([], "clpi")
    with pytest.raises(ConfigError, match="no weights"):
        embed([], weights="x.pth")


class Colours(Extractor):
    """Stands for a network: the mean colour, and another layer that is not asked for."""

    identity, resize, weights_id = "colours", "none", "0" * 16

    @property
    @override
    def layers(self) -> Mapping[str, int]:
        return {"mean": 3, "other": 1}

    @override
    def prepare(self, picture: Tensor) -> Tensor:
        return picture[:, :4, :4]

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return {layer: prepared.float().mean((2, 3)) for layer in layers}


def test_a_network_gives_its_first_layer_and_one_of_videos_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Colours()
    monkeypatch.setattr(extractors, "load", lambda name, weights: network)
    pictures = [np.full((4, 4, 3), colour, np.uint8) for colour in ((30, 40, 0), (0, 0, 0))]
    found = embed(zip("ab", pictures, strict=True), "clip")
    assert found.values[0].tolist() == pytest.approx([0.6, 0.8, 0])
    assert found.errors == {1: "zero: all its values are 0"}
    monkeypatch.setattr(network, "takes", "clips", raising=False)
    with pytest.raises(ConfigError, match="takes clips of videos"):
        embed([], "i3d")


def test_no_pictures_make_no_rows() -> None:
    assert embed([]).values.shape == (0, 384)


def test_rows_that_are_in_order_already_are_not_copied() -> None:
    two = Embeddings(("a", "b"), np.eye(2, dtype=np.float32))
    rows, missing = aligned(two, ["a", "b"])
    assert (rows is two.values, missing) == (True, 0)
