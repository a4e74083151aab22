import numpy as np
import pytest

from beholder.annotation.sources._crc32c import crc32c
from tests.annotation.sources.published import bitwise_crc32c


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_sums_are_those_of_rfc_3720(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 1023, 1024, 1025, 4096, 70_001])
def test_every_length_equals_the_definition_bit_by_bit(length: int) -> None:
    data = np.random.default_rng(length).integers(0, 256, length, dtype=np.uint8).tobytes()
    assert crc32c(data) == bitwise_crc32c(data)


def test_one_flipped_bit_anywhere_changes_the_sum() -> None:
    data = bytearray(b"\x5a" * 2000)
    right = crc32c(bytes(data))
    for at in (0, 1, 975, 976, 1999):
        data[at] ^= 0x10
        assert crc32c(bytes(data)) != right
        data[at] ^= 0x10
