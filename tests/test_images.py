import io
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import jaxtyping
import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image, ImageFile
from torch import Tensor

from beholder import images
from beholder.errors import ConfigError, DataError, ImageError
from beholder.images import ImageSource, Limits, as_list, read_image, read_images
from tests.odd_pictures import OddPicture, encoded, photo, write_odd_pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


@pytest.fixture(scope="module")
def odd_pictures(folder: Path) -> list[OddPicture]:
    return write_odd_pictures(folder)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As users run it: no type checks before our own."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def fault(source: ImageSource, limits: Limits = images.LIMITS) -> ImageError:
    (result,) = read_images([source], limits=limits)
    assert isinstance(result, ImageError)
    return result


def pixels(source: ImageSource) -> Tensor:
    (result,) = read_images([source])
    assert isinstance(result, Tensor), result
    return result


def outcome(result: Tensor | ImageError) -> str:
    return "pixels" if isinstance(result, Tensor) else result.code


def test_every_odd_picture_scores_or_says_why_not(
    folder: Path, odd_pictures: list[OddPicture]
) -> None:
    results = read_images([folder / odd.name for odd in odd_pictures])
    got = {odd.name: outcome(r) for odd, r in zip(odd_pictures, results, strict=True)}
    due = {odd.name: odd.code or "pixels" for odd in odd_pictures}
    assert len(due) == len(odd_pictures) >= 30
    assert got == due


def test_an_odd_picture_has_the_pixels_of_its_plain_twin(
    folder: Path, odd_pictures: list[OddPicture]
) -> None:
    twins = [(odd.name, odd.twin) for odd in odd_pictures if odd.twin]
    assert len(twins) >= 30
    different = [
        name
        for name, twin in twins
        if not torch.equal(read_image(folder / name), read_image(folder / twin))
    ]
    assert different == []


def test_plain_files_hold_the_pixels_that_were_saved(
    folder: Path, odd_pictures: list[OddPicture]
) -> None:
    assert odd_pictures
    expected = torch.from_numpy(photo()).permute(2, 0, 1)
    assert torch.equal(read_image(folder / "plain.png"), expected)
    assert torch.equal(read_image(folder / "plain-grey.png"), expected[:1].expand(3, -1, -1))


def test_no_odd_picture_takes_long(folder: Path, odd_pictures: list[OddPicture]) -> None:
    for odd in odd_pictures:
        start = time.process_time()
        read_images([folder / odd.name])
        assert time.process_time() - start < 2, odd.name


def test_threads_and_neighbours_change_nothing(
    folder: Path, odd_pictures: list[OddPicture]
) -> None:
    paths = [str(folder / odd.name) for odd in odd_pictures]
    alone = [read_images([path])[0] for path in paths]
    together = read_images(paths[::-1], threads=4)[::-1]
    for one, other in zip(alone, together, strict=True):
        assert type(one) is type(other)
        if isinstance(one, Tensor):
            assert isinstance(other, Tensor)
            assert torch.equal(one, other)
        else:
            assert (one.code, str(one)) == (other.code, str(other))  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_mutated_file_gives_pixels_or_an_image_error(kind: str) -> None:
    original = encoded(Image.fromarray(photo()), kind)
    generator = np.random.default_rng(20_25)
    mutants: list[ImageSource] = []
    for _ in range(150):
        mutant = bytearray(original)
        for _ in range(generator.integers(1, 5)):
            mutant[generator.integers(len(mutant))] = generator.integers(256)
        if generator.random() < 0.2:
            del mutant[generator.integers(len(mutant)) :]
        mutants.append(bytes(mutant))
    results = read_images(mutants)
    assert len(results) == len(mutants)
    assert {type(result) for result in results} <= {Tensor, ImageError}
    assert all(r.shape[0] == 3 for r in results if isinstance(r, Tensor))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_fast_jpeg_path_equals_pillow(subsampling: int, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    for progressive in (False, True):
        image = Image.fromarray(noise).convert(mode)
        options = {"subsampling": subsampling, "progressive": progressive}
        data = encoded(image, "JPEG", quality=85, **options)
        expected = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
        np.testing.assert_array_equal(pixels(data).permute(1, 2, 0), expected)


def test_a_jpeg_that_the_fast_decoder_has_no_name_for_goes_to_pillow() -> None:
    data = bytearray(encoded(Image.fromarray(photo()), "JPEG", subsampling=0))
    first_component = data.index(b"\xff\xc0") + 10
    data[first_component + 4] = 0x12
    with pytest.raises((ValueError, KeyError)):
        simplejpeg.decode_jpeg_header(bytes(data), strict=False)
    assert pixels(bytes(data)).shape == (3, 32, 48)


def test_orientation_is_found_behind_other_segments(
    folder: Path, odd_pictures: list[OddPicture]
) -> None:
    assert odd_pictures
    turned = (folder / "exif-6.jpg").read_bytes()
    behind = turned[:2] + b"\xff\xe2\0\x06\xff\xda\xff\xda" + b"\xff" + turned[2:]
    assert torch.equal(pixels(behind), read_image(folder / "exif-6-upright.png"))


def test_alpha_is_composited_as_worked_out_by_hand() -> None:
    image = np.full((2, 2, 4), 200, np.uint8)
    image[:, :, 3] = 128
    # 200 * 128/255 + 255 * 127/255 = 227.4
    assert read_image(image).unique().tolist() == [227]
    assert read_image(image, alpha="black").unique().tolist() == [100]
    assert read_image(image, alpha="drop").unique().tolist() == [200]
    halves = torch.full((4, 2, 2), 0.5)
    assert read_image(halves).unique().tolist() == [0.75]
    assert read_image(halves, alpha="black").unique().tolist() == [0.25]
    assert read_image(halves, alpha="drop").unique().tolist() == [0.5]


def test_files_arrays_and_pil_images_composite_alike(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (600, 9, 4), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    whole = read_image(values)
    assert torch.equal(read_image(tmp_path / "a.png"), whole)
    assert torch.equal(read_image(Image.fromarray(values)), whole)
    assert torch.equal(read_image(torch.from_numpy(values).permute(2, 0, 1)), whole)


def test_a_huge_picture_is_read_in_strips_with_the_same_pixels(
    folder: Path, odd_pictures: list[OddPicture], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [odd.name for odd in odd_pictures if odd.must_score]
    whole = [read_image(folder / name) for name in names]
    monkeypatch.setattr(images, "_STRIP_PIXELS", 100)
    for name, expected in zip(names, whole, strict=True):
        assert torch.equal(read_image(folder / name), expected), name


def test_values_are_scaled_not_clipped() -> None:
    deep = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    for values in (deep, deep.astype(">u2"), Image.fromarray(deep)):
        assert pixels(values)[:, 0].tolist() == [[0, 1, 128, 255]] * 3
    assert pixels(np.array([[True, False]]))[0].tolist() == [[255, 0]]
    wide = Image.fromarray(deep.astype(np.int32))
    assert wide.mode == "I"
    assert pixels(wide)[0].tolist() == [[0, 1, 128, 255]]


def test_float_values_stay_float_and_keep_their_gradient() -> None:
    leaf = torch.rand(3, 4, 5, requires_grad=True)
    read = pixels(leaf)
    assert torch.equal(read, leaf)
    read.sum().backward()
    assert leaf.grad is not None
    grey = pixels(np.full((4, 5), 0.25))
    assert grey.dtype == torch.float32
    assert torch.equal(grey, torch.full((3, 4, 5), 0.25))
    assert pixels(Image.fromarray(np.full((4, 5), 0.25, np.float32))).unique().tolist() == [0.25]
    assert pixels(torch.full((1, 2, 2), 1.0005, dtype=torch.float16)).max() == 1


@pytest.mark.parametrize(
    ("source", "code", "advice"),
    [
        (torch.full((3, 2, 2), float("nan")), "non-finite", "NaN"),
        (np.full((2, 2), np.inf, np.float32), "non-finite", "infinite"),
        (torch.full((3, 2, 2), 7.0), "range", "divide by 255"),
        (torch.full((3, 2, 2), -1.0), "range", r"\(x \+ 1\) / 2"),
        (Image.fromarray(np.full((2, 2), 70_000, np.int32)), "range", "scale them"),
        (torch.zeros(5, 5, 3), "shape", r"permute\(2, 0, 1\)"),
        (torch.zeros(5, 5), "shape", r"\(1 \| 3 \| 4, h, w\)"),
        (np.zeros((3, 5, 5)), "shape", r"transpose\(1, 2, 0\)"),
        (np.zeros((2, 5, 5, 3)), "shape", r"\(h, w\)"),
        (np.zeros((0, 5, 3)), "shape", "no pixels"),
        (np.zeros((5, 5), np.int64), "dtype", "uint8"),
        (np.zeros((5, 5), np.complex64), "dtype", "uint8"),
        (torch.zeros(3, 5, 5, dtype=torch.int32), "dtype", "uint8"),
        (torch.zeros(3, 1, 201), "aspect", "200:1"),
        (torch.zeros(1, 1).expand(3, 16_385, 100), "too-large", "a side"),
        ("https://example.org/cat.png", "missing", "download it first"),
        ("data:image/png;base64,c2VjcmV0", "missing", "a data: URI: .*decode it to bytes"),
        ("null\0byte.png", "unreadable", r"null\\x00byte"),
        (b"", "empty", "no bytes"),
    ],
)
def test_faults_of_values_carry_a_code_and_advice(
    source: ImageSource, code: str, advice: str
) -> None:
    with pytest.raises(ImageError, match=advice) as caught:
        read_image(source)
    assert caught.value.code == code
    assert isinstance(caught.value, DataError)


@pytest.mark.usefixtures("unchecked")
def test_something_else_than_a_picture_is_an_error_of_its_row() -> None:
    good = torch.zeros(3, 2, 2)
    results = read_images([good, None, 7, good])  # type: ignore[list-item]
    assert [outcome(result) for result in results] == ["pixels", "type", "type", "pixels"]


def test_limits_are_named_settings() -> None:
    data = encoded(Image.fromarray(photo()), "PNG")
    for limits, code in (
        (Limits(bytes=len(data) - 1), "too-large"),
        (Limits(pixels=48 * 32 - 1), "too-large"),
        (Limits(side=47), "too-large"),
        (Limits(aspect=1.4), "aspect"),
    ):
        assert fault(data, limits).code == code
    exact = Limits(bytes=len(data), pixels=48 * 32, side=48, aspect=1.5)
    assert read_image(data, limits=exact).shape == (3, 32, 48)


def test_a_fifo_in_the_list_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    reader = threading.Thread(target=lambda: fault(tmp_path / "pipe.png"), daemon=True)
    reader.start()
    reader.join(5)
    assert not reader.is_alive()


def test_contents_are_never_quoted_and_names_are_escaped(
    folder: Path, odd_pictures: list[OddPicture]
) -> None:
    assert odd_pictures
    assert "secret" not in str(fault(folder / "page.jpg"))
    assert "secret" not in str(fault("data:image/png;base64,secret"))
    message = str(fault("/nowhere/a\nb\x1b[31m\u202e.png"))
    assert message.isprintable()
    assert r"a\nb\x1b[31m\u202e.png" in message
    assert len(str(fault("/nowhere/" + "x" * 5000))) < 300


def test_a_name_that_is_not_unicode_is_read(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(name)).write_bytes(encoded(Image.fromarray(photo()), "PNG"))
    assert pixels(os.fsdecode(name)).shape == (3, 32, 48)
    assert str(fault(os.fsdecode(name) + "x")).isprintable()


def test_truncated_files_are_errors_even_if_someone_told_pillow_to_accept_them(
    folder: Path, odd_pictures: list[OddPicture], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert odd_pictures
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for name in ("cut.jpg", "no-end.jpg", "cut.png", "no-end.png", "no-end-cmyk.jpg"):
        assert fault(folder / name).code == "truncated"


def test_running_out_of_memory_is_an_error_of_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: object) -> NoReturn:
        raise MemoryError

    data = encoded(Image.fromarray(photo()), "JPEG")
    monkeypatch.setattr(simplejpeg, "decode_jpeg", hungry)
    results = read_images([data, encoded(Image.fromarray(photo()), "PNG")])
    assert [outcome(result) for result in results] == ["memory", "pixels"]


def test_pillows_warnings_do_not_leak_and_filters_come_back(
    folder: Path, odd_pictures: list[OddPicture]
) -> None:
    names = [odd.name for odd in odd_pictures if odd.name not in {"heavy.png", "device.png"}]
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(lambda name: read_images([folder / name]), names * 3):
                pass
    assert caught == []
    assert list(warnings.filters) == before
    with pytest.warns(Image.DecompressionBombWarning), Image.open(folder / "bomb.png"):
        pass


def test_one_picture_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(images, "ThreadPoolExecutor", forbidden)
    assert len(read_images([photo()])) == 1
    assert len(read_images([photo(), photo()], threads=1)) == 2
    assert read_images([]) == []


def test_one_lazily_opened_image_may_stand_in_many_rows(tmp_path: Path) -> None:
    big = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(big).save(tmp_path / "big.png")
    lazy = Image.open(tmp_path / "big.png")
    results = read_images([lazy] * 16, threads=4)
    assert [outcome(result) for result in results] == ["pixels"] * 16
    assert torch.equal(pixels(lazy), torch.from_numpy(big).permute(2, 0, 1))


def test_an_opened_image_reads_like_its_file(folder: Path, odd_pictures: list[OddPicture]) -> None:
    for odd in odd_pictures:
        if odd.must_score and odd.name != "broken-exif.jpg":  # opening it warns
            with Image.open(folder / odd.name) as image:
                assert torch.equal(pixels(image), pixels(folder / odd.name)), odd.name


def test_a_closed_or_cut_pil_image_is_an_error_of_its_row(
    folder: Path, odd_pictures: list[OddPicture]
) -> None:
    assert odd_pictures
    closed = Image.open(folder / "plain.png")
    closed.close()
    assert fault(closed).code == "corrupt"
    with Image.open(folder / "cut.bmp") as cut:
        assert fault(cut).code == "truncated"


def test_arrays_of_any_layout_are_read() -> None:
    upright = photo()
    assert torch.equal(pixels(upright[:, ::-1]), pixels(upright).flip(2))
    frozen = upright.copy()
    frozen.setflags(write=False)
    assert torch.equal(pixels(frozen), pixels(upright))
    assert torch.equal(pixels(upright[:, :, :1]), pixels(upright[:, :, 0]))


@pytest.mark.usefixtures("unchecked")
def test_one_picture_a_sequence_and_a_batch_become_a_list() -> None:
    batch = torch.zeros(2, 3, 4, 5)
    assert [tuple(item.shape) for item in as_list(batch)] == [(3, 4, 5)] * 2  # type: ignore[union-attr]
    assert len(as_list(np.zeros((6, 4, 5, 3)))) == 6
    singles: tuple[ImageSource, ...] = (batch[0], np.zeros((4, 5)), "a.png", Path("a.png"), b"x")
    for single in singles:
        assert as_list(single)[0] is single
        assert len(as_list(single)) == 1
    assert as_list(("a.png", b"x")) == ["a.png", b"x"]
    with pytest.raises(DataError, match="NoneType"):
        as_list(None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchecked")
def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="white, black, drop"):
        read_images([], alpha="grey")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="threads"):
        read_images([], threads=0)


def test_a_picture_that_is_known_to_be_unreadable_keeps_its_reason() -> None:
    lost = ImageError("truncated", "member 3 ends too early")
    with pytest.raises(ImageError, match=r"^member 3 ends too early$") as found:
        read_image(lost)
    assert (found.value.code, len(as_list(lost))) == ("truncated", 1)
