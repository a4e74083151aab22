"""CRC-32C (Castagnoli), the check sum of TFRecord, at the speed of numpy.

A CRC is linear over bits: what one byte adds depends on the byte and on how many bytes follow it.
So a block's sum is one look-up a byte and an exclusive or over all of them.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL: Final = np.uint32(0x82F63B78)  # 0x1EDC6F41 of RFC 3720, bits reversed
_BLOCK = 1024
_AT_ONCE = 64  # blocks: their terms fit the cache
_SHORT = 64


def crc32c(data: bytes) -> int:
    """The CRC-32C of RFC 3720, appendix B.4: 0xE3069283 for b"123456789"."""
    state = _short(data) if len(data) < _SHORT else _long(data)
    return state ^ 0xFFFFFFFF


def _short(data: bytes) -> int:
    table = _byte_table()
    state = 0xFFFFFFFF
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    return state


def _long(data: bytes) -> int:
    start = -len(data) % _BLOCK  # zeros in front change nothing while the state is zero
    padded = np.zeros(start + len(data), np.uint8)
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + 4] ^= 0xFF  # the state begins with all bits set
    blocks = padded.reshape(-1, _BLOCK)
    state = 0
    for first in range(0, len(blocks), _AT_ONCE):
        for added in _sums(blocks[first : first + _AT_ONCE]):
            state = _after_zeros(state) ^ added
    return state


def _sums(blocks: NDArray[np.uint8]) -> list[int]:
    """What each block adds to the state after it."""
    terms = _block_table().ravel().take(blocks + np.arange(_BLOCK) * 256)
    sums: list[int] = np.bitwise_xor.reduce(terms, axis=1).tolist()
    return sums


def _after_zeros(state: int) -> int:
    """The state after a block of zeros: as if it stood in the block's first four bytes."""
    a, b, c, d = _first_bytes()
    return a[state & 0xFF] ^ b[state >> 8 & 0xFF] ^ c[state >> 16 & 0xFF] ^ d[state >> 24]


@cache
def _first_bytes() -> list[list[int]]:
    values: list[list[int]] = _block_table()[:4].tolist()
    return values


@cache
def _byte_table() -> list[int]:
    values: list[int] = _last_byte().tolist()
    return values


@cache
def _block_table() -> NDArray[np.uint32]:
    """What each value of the i-th byte of a block adds to the state after the block."""
    last = _last_byte()
    table = np.empty((_BLOCK, 256), np.uint32)
    table[-1] = last
    for i in range(_BLOCK - 2, -1, -1):
        table[i] = table[i + 1] >> 8 ^ last[table[i + 1] & 0xFF]
    return table


def _last_byte() -> NDArray[np.uint32]:
    values: NDArray[np.uint32] = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> 1 ^ _POLYNOMIAL, values >> 1)
    return values
