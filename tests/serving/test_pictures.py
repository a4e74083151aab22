"""Base64 and bare pixels: exactly what the standards say, checked before memory is taken."""

import base64
import tracemalloc
from typing import Literal

import numpy as np
import pytest

from beholder.images import Limits
from beholder.serving.items import Fault, Picture
from beholder.serving.pictures import decoded, decoded_pixels, pixels

LIMITS = Limits(pixels=1_000_000, side=2_000, aspect=10)
STRETCH = 2**20
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 3 * STRETCH // 4, 3 * STRETCH // 4 + 1, 2_000_000])
def test_base64_gives_the_bytes_that_were_written(size: int) -> None:
    data = RANDOM.bytes(size)
    assert decoded(base64.b64encode(data).decode()) == Picture(data=data)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("AAA", "padded with ="),
        ("AAAAA", "padded with ="),
        ("AA AA", "no blanks"),
        ("AAAA\n", "no line breaks"),
        ("AA==AAAA", "padding before its end"),
        ("AAAA====", "padded with ="),
        ("=AAA", "padding before its end"),
        ("A=AA", "padding before its end"),
        ("AA-_", "URL alphabet"),
        ("data:image/png;charset=utf-8;base64,AAAA", "leave out what stands before the comma"),
        ("data:image/png;base64,AAAA", "leave out what stands before the comma"),
        ("ä" * 4, "alphabet with"),
        ("\ud800AAA", "alphabet with"),
        ("\x00" * 4, "alphabet with"),
    ],
)
def test_what_is_not_base64_is_a_fault_that_quotes_nothing(text: str, why: str) -> None:
    fault = decoded(text)
    assert isinstance(fault, Fault)
    assert fault.code == "base64"
    assert why in fault.message
    assert len(text) < 4 or text not in fault.message


def test_padding_hidden_at_the_seam_of_two_stretches_is_found() -> None:
    fault = decoded("A" * (STRETCH - 2) + "==" + "AAAA")
    assert fault == decoded("AA==AAAA")


@pytest.mark.parametrize(("dtype", "itemsize"), [("uint8", 1), ("float32", 4)])
def test_pixels_are_taken_when_there_are_as_many_as_their_size_says(
    dtype: Literal["uint8", "float32"], itemsize: int
) -> None:
    data = bytes(2 * 5 * 3 * itemsize)
    expected = Picture(data=data, encoding=dtype, height=2, width=5)
    assert pixels(data, dtype, (2, 5), LIMITS) == expected
    assert decoded_pixels(base64.b64encode(data).decode(), dtype, (2, 5), LIMITS) == expected
    for wrong in (data[:-1], data + b"\0", data[: len(data) // 3], b""):
        for fault in (
            pixels(wrong, dtype, (2, 5), LIMITS),
            decoded_pixels(base64.b64encode(wrong).decode(), dtype, (2, 5), LIMITS),
        ):
            assert isinstance(fault, Fault)
            assert fault.code == "shape"
            assert f"2 x 5 RGB pixels of {dtype} are {30 * itemsize}" in fault.message


@pytest.mark.parametrize(
    ("size", "code"),
    [((2_001, 2_000), "too-large"), ((1_001, 1_000), "too-large"), ((11, 1), "aspect")],
)
def test_sizes_over_the_limits_are_refused_whatever_came(size: tuple[int, int], code: str) -> None:
    for fault in (pixels(b"", "uint8", size, LIMITS), decoded_pixels("", "uint8", size, LIMITS)):
        assert isinstance(fault, Fault)
        assert fault.code == code


def test_nothing_is_decoded_of_pixels_whose_length_is_wrong() -> None:
    text = "A" * (8 * 2**20)
    tracemalloc.start()
    fault = decoded_pixels(text, "uint8", (1_000, 1_000), LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(fault, Fault)
    assert peak < 2**16


def test_text_that_is_as_long_as_pixels_and_no_base64_is_told_so() -> None:
    fault = decoded_pixels("****", "uint8", (1, 1), LIMITS)
    assert isinstance(fault, Fault)
    assert fault.code == "base64"
