"""Archives give what their unpacked folder would, and damage is told, never hidden."""

import io
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from beholder._inputs.archives import (
    Member,
    PackedPictures,
    expanded,
    packed_images,
    packed_pictures,
)
from beholder.errors import DataError, ImageError
from beholder.images import LIMITS, read_image, read_images
from tests.archives import encoded, write_archive, write_tar, write_zip

KINDS = [".zip", ".tar"]


def members(path: Path) -> list[Member]:
    return list(packed_pictures(path))


@pytest.mark.parametrize("kind", KINDS)
def test_members_come_as_files_of_a_folder_do(tmp_path: Path, kind: str) -> None:
    names = ["sub/a.png", "b.png", "a.jpg", "sub/deep/z.webp", "./c.png", "B/x.png"]
    left_out = [".hidden.png", ".git/x.png", "__MACOSX/a.png", "sub/.DS_Store", "notes.md"]
    files = {name: encoded() for name in names + left_out[:-1]} | {"notes.md": b"BM is none"}
    path = write_archive(tmp_path / f"a{kind}", files | {"no-suffix": encoded(), "broken.png": b""})
    found = packed_pictures(path)
    keys = ["a.jpg", "b.png", "broken.png", "c.png", "no-suffix", "B/x.png", "sub/a.png"]
    assert [m.key for m in found] == [*keys, "sub/deep/z.webp"]
    assert [m.key for m in found] == [*keys, "sub/deep/z.webp"], "it can be read again"
    assert found.count == 8
    assert found == PackedPictures(path, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_and_objects_stand_beside_pictures(tmp_path: Path, kind: str) -> None:
    files = {
        "0.jpg": encoded(10),
        "0.txt": "\ufeff a fox \n".encode(),
        "0.json": b'{"seed": 3, "caption": "kept", "key": "0", "size": [4, 4]}',
        "1.left.jpg": encoded(20),
        "1.right.jpg": encoded(30),
        "1.json": b'{"Caption": "two", "seed": 4}',
        "1.right.txt": b"\xff own",
        "2.jpg": encoded(40),
        "2.cls": b"17\n",
        "other.txt": b"of nothing",
    }
    found = members(write_archive(tmp_path / f"a{kind}", files))
    assert [m.prompt for m in found] == ["a fox", "two", "\udcff own", None]
    assert [m.image for m in found] == [files[m.key] for m in found]
    assert [m.extra for m in found] == [
        {"seed": 3, "caption": "kept", "json.key": "0", "size": [4, 4]},
        {"seed": 4},
        {"Caption": "two", "seed": 4},
        {"label": "17"},
    ]


def test_columns_of_an_object_that_would_hide_others_are_named_after_it(tmp_path: Path) -> None:
    said = (
        b'{"image": "x.jpg", "prompt": "two", "label": 3, "\\ud800": 1, "n": ' + b"7" * 5000 + b"}"
    )
    files = {"0.jpg": encoded(1), "0.json": said, "0.txt": b"one", "0.cls": b"4"}
    (found,) = members(write_archive(tmp_path / "a.tar", files))
    assert found.prompt == "one"
    assert found.extra == {
        **{"json.image": "x.jpg", "json.prompt": "two", "json.label": 3, "label": "4"},
        **{"\\ud800": 1, "n": "7" * 5000},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_object_is_an_error_of_its_picture(tmp_path: Path, kind: str) -> None:
    files = {"a.png": encoded(), "a.json": b"{", "b.png": encoded(), "b.json": b"[1]"}
    found = members(write_archive(tmp_path / f"a{kind}", files))
    assert ["beside it is no" in str(why_of(m)) for m in found] == [True, True]


def why_of(member: Member) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(member.image)
    return caught.value


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_of_a_zip_fails_alone(tmp_path: Path, packing: int) -> None:
    files = {f"{k}.png": encoded(k) for k in range(3)}
    path = write_zip(tmp_path / "a.zip", files, packing)
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("1.png").header_offset
    data = bytearray(path.read_bytes())
    data[at + 60] ^= 0xFF
    path.write_bytes(data)
    first, second, third = members(path)
    assert [first.image, third.image] == [files["0.png"], files["2.png"]]
    assert why_of(second).code == "corrupt"
    assert "damaged in its archive" in str(why_of(second))


def test_a_bad_checksum_fails_even_if_the_picture_would_decode(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.bmp": encoded(kind="BMP")})
    data = bytearray(path.read_bytes())
    data[data.index(b"BM") + 60] ^= 1
    path.write_bytes(data)
    assert "CRC" in str(why_of(members(path)[0]))


def test_a_member_over_the_limit_is_never_held_whole(tmp_path: Path) -> None:
    files = {"bomb.png": bytes(LIMITS.bytes + 2**20)}
    (bomb,) = members(write_zip(tmp_path / "a.zip", files, zipfile.ZIP_DEFLATED))
    assert why_of(bomb).code == "too-large"
    assert isinstance(bomb.image, bytes)
    assert len(bomb.image) == LIMITS.bytes + 1


def test_members_of_one_name_are_all_rows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for level in (10, 20):
            archive.writestr("a.png", encoded(level))
    write_tar(tmp_path / "a.tar", {"a.png": encoded(10), "./a.png": encoded(20)})
    for kind in KINDS:
        found = members(tmp_path / f"a{kind}")
        assert [m.key for m in found] == ["a.png", "a.png#2"]
        assert [m.image for m in found] == [encoded(10), encoded(20)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_cannot_lead_out_of_the_archive(tmp_path: Path, kind: str) -> None:
    names = ["../../up.png", "/etc/root.png", "x/../y.png"]
    found = members(write_archive(tmp_path / f"a{kind}", {n: encoded() for n in names}))
    assert [m.key for m in found] == ["up.png", "etc/root.png", "x/y.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a{kind}"]


def test_an_archive_that_vanishes_or_cannot_be_opened_says_so(tmp_path: Path) -> None:
    for kind in KINDS:
        path = write_archive(tmp_path / f"a{kind}", {"a.png": encoded()})
        found = packed_pictures(path)
        path.unlink()
        with pytest.raises(DataError, match=rf"a\{kind}"):
            list(found)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_a_link_or_device_in_a_tar_is_a_row_that_fails(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("a.png", "a"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    (found,) = members(tmp_path / "a.tar")
    assert why_of(found).code == "not-a-file"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0, 1, 100, 700, 1024, 1400, 2200])
def test_an_archive_that_is_cut_off_says_so(tmp_path: Path, kind: str, kept: int) -> None:
    path = write_archive(tmp_path / f"a{kind}", {f"{k}.bmp": encoded(k, "BMP") for k in range(10)})
    path.write_bytes(path.read_bytes()[: min(kept, path.stat().st_size - 30)])
    with pytest.raises(DataError, match=rf"a\{kind} is damaged"):
        packed_pictures(path)


def test_a_tar_with_a_damaged_header_or_a_second_archive_says_so(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {f"{k}.png": encoded(k) for k in range(3)})
    whole = path.read_bytes()
    path.write_bytes(whole[:1024] + b"?" + whole[1025:])
    with pytest.raises(DataError, match="damaged or cut off at byte 1024"):
        packed_pictures(path)
    path.write_bytes(whole + whole)
    with pytest.raises(DataError, match="damaged or cut off at byte 3072"):
        packed_pictures(path)


def test_compressed_and_encrypted_archives_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:gz"):
        pass
    with pytest.raises(DataError, match="compressed as a whole"):
        packed_pictures(tmp_path / "a.tar")
    path = write_zip(tmp_path / "a.zip", {"a.png": encoded()})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted"):
        packed_pictures(path)


@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_byte_loses_a_row_or_aborts(tmp_path: Path, kind: str) -> None:
    """Either the archive is refused, or every picture is a row that decodes or says why."""
    path = write_archive(tmp_path / f"a{kind}", {f"{k}.png": encoded(k) for k in range(3)})
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    outcomes = set()
    for at in generator.integers(len(whole), size=150):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            found = members(path)
        except DataError:
            outcomes.add("refused")
            continue
        assert len(found) == 3
        read = read_images([m.image for m in found])
        outcomes |= {"read" if isinstance(r, Tensor) else "row fails" for r in read}
    assert outcomes == {"refused", "read", "row fails"}


def test_braces_and_stars_are_expanded(tmp_path: Path) -> None:
    for name in ["s-008.tar", "s-009.tar", "s-010.tar", "a.zip", "b.zip"]:
        (tmp_path / name).touch()

    def names(pattern: str) -> list[str]:
        return [path.name for path in expanded(f"{tmp_path}/{pattern}")]

    assert names("s-{008..010}.tar") == ["s-008.tar", "s-009.tar", "s-010.tar"]
    assert names("s-0{10,08}.tar") == ["s-010.tar", "s-008.tar"]
    assert names("{a,b}.zip") == ["a.zip", "b.zip"]
    assert names("s-00?.tar") == ["s-008.tar", "s-009.tar"]
    with pytest.raises(DataError, match=r"there is no .*s-011\.tar, of .*\{010\.\.011\}"):
        expanded(f"{tmp_path}/s-{{010..011}}.tar")


def test_a_sparse_member_of_a_tar_fails_rather_than_lose_its_holes(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        sparse = tarfile.TarInfo("a.png")
        sparse.pax_headers = {"GNU.sparse.map": "0,4", "GNU.sparse.size": "100"}
        sparse.size = 4
        archive.addfile(sparse, io.BytesIO(b"data"))
    assert why_of(members(tmp_path / "a.tar")[0]).code == "not-a-file"


def test_small_members_come_many_by_one_reading_and_far_ones_as_they_are(tmp_path: Path) -> None:
    files = {f"{k:03}.png": encoded(k) for k in range(200)}
    files |= {f"{k:03}.txt": f"prompt {k}".encode() for k in range(200)}
    files["100.png"] = bytes(2**19)  # larger than a window, in the middle
    path = write_tar(tmp_path / "a.tar", files)
    found = members(path)
    assert [m.image for m in found] == [files[f"{k:03}.png"] for k in range(200)]
    assert [m.prompt for m in found] == [f"prompt {k}" for k in range(200)]
    with packed_images(path) as image:
        for k in (199, 0, 100, 7, 101, 198):
            assert image(f"{k:03}.png") == files[f"{k:03}.png"]
