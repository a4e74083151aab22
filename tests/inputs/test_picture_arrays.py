"""Arrays of pictures are read row by row; statistics, features and damage are told apart."""

import resource
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from beholder._inputs.picture_arrays import ArrayPictures, _format, array_images, array_pictures
from beholder.errors import DataError, ImageError
from beholder.images import read_image

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)


def pixels(found: ArrayPictures) -> torch.Tensor:
    return torch.stack([read_image(member.image) for member in found])


EXPECTED = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)


def test_every_kind_of_file_gives_the_same_pictures(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    np.savez(tmp_path / "b.npz", IMAGES)
    np.savez_compressed(tmp_path / "c.npz", samples=IMAGES)
    for path in sorted(tmp_path.iterdir()):
        found = array_pictures(path)
        assert found.count == 3
        for _ in range(2):
            torch.testing.assert_close(pixels(found), EXPECTED, rtol=0, atol=0)
        assert [member.key for member in found] == ["row 0", "row 1", "row 2"]


def test_grey_floats_are_pictures_too(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES[..., :1] / np.float32(255))
    found = pixels(array_pictures(tmp_path / "a.npy"))
    torch.testing.assert_close(found, EXPECTED[:, :1].expand(3, 3, 6, 5) / 255)


def test_columns_stand_beside_the_pictures(tmp_path: Path) -> None:
    others = {"arr_1": np.array([4, 5, 6]), "seed": np.arange(3.0), "mu": np.zeros(7)}
    np.savez(tmp_path / "a.npz", arr_0=IMAGES, caption=np.array(["x", "y", "z"]), **others)  # type: ignore[arg-type]
    found = list(array_pictures(tmp_path / "a.npz"))
    assert [member.prompt for member in found] == ["x", "y", "z"]
    assert [member.extra for member in found][1] == {"label": 5, "seed": 1.0}


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"mu": np.zeros(8), "sigma": np.eye(8)}, "holds statistics.*beholder measure"),
        ({"features": np.zeros((9, 8))}, "holds features"),
        ({"x": np.zeros((2, 3, 8, 8))}, "channels last"),
        ({"x": IMAGES, "y": IMAGES}, "expected one array of pictures"),
        ({"x": np.zeros(3)}, "expected one array of pictures"),
        ({"x": np.asfortranarray(IMAGES)}, "Fortran order"),
        ({"x": np.full((1, 1, 1, 3), None)}, "never unpickled"),
    ],
)
def test_what_is_no_array_of_pictures_is_named(
    tmp_path: Path, arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]], says: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=says):
        array_pictures(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("kept", [0, 5, 100, 250])
def test_a_file_that_is_cut_off_says_so(tmp_path: Path, name: str, kept: int) -> None:
    path = tmp_path / name
    (np.save if name == "a.npy" else np.savez)(path, IMAGES)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="damaged, cut off or no NumPy file"):
        array_pictures(path)


def test_from_a_damaged_place_on_every_picture_is_a_row_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, GENERATOR.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8))
    with zipfile.ZipFile(path) as archive:
        size = archive.infolist()[0].compress_size
    data = bytearray(path.read_bytes())
    data[size // 2 : size // 2 + 20] = bytes(20)
    path.write_bytes(data)
    found = list(array_pictures(path))
    assert len(found) == 8
    read_image(found[0].image)
    with pytest.raises(ImageError, match="damaged here or before"):
        read_image(found[-1].image)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in kilobytes on Linux")
def test_memory_stays_flat(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file, file.open("arr_0.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (200, 512, 512, 3)}
        _format.write_array_header_1_0(member, header)
        for _ in range(200):
            member.write(bytes(512 * 512 * 3))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in array_pictures(tmp_path / "a.npz")) == 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


def test_pictures_over_the_limit_fail_before_a_byte_of_them_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", np.zeros((2, 1, 20_000, 1), np.uint8))
    for member in array_pictures(tmp_path / "bomb.npz"):
        assert isinstance(member.image, ImageError)
        assert member.image.code in {"too-large", "aspect"}
    with array_images(tmp_path / "bomb.npz") as find:
        assert isinstance(find("row 1"), ImageError)
