import io
import struct

import pytest

from beholder.annotation.sources._tfrecord import Frame, masked, read_frames
from beholder.errors import AnnotationError
from tests.annotation.sources.published import bitwise_masked, frame


def frames(data: bytes) -> list[Frame]:
    return list(read_frames(io.BytesIO(data), "x.tfrecord"))


def test_the_mask_turns_the_sum_by_15_bits_and_adds_the_constant() -> None:
    crc = 0xE3069283  # of "123456789": 1110 0011 0000 0110 1001 0010 1000 0011
    turned = int(f"{crc:032b}"[-15:] + f"{crc:032b}"[:-15], 2)
    assert masked(b"123456789") == (turned + 0xA282EAD8) % 2**32


def test_a_frame_made_by_hand_is_length_sum_data_sum() -> None:
    by_hand = bytes.fromhex("0900000000000000") + struct.pack(
        "<I", bitwise_masked(b"\x09\0\0\0\0\0\0\0")
    )
    by_hand += b"123456789" + struct.pack("<I", 0xC78AB0E5)
    assert frames(by_hand) == [Frame(0, b"123456789", intact=True)]


def test_frames_come_with_their_offsets_and_may_be_empty_or_long() -> None:
    long = bytes(range(256)) * 40
    found = frames(frame(b"") + frame(long) + frame(b"z"))
    assert found == [
        Frame(0, b"", intact=True),
        Frame(16, long, intact=True),
        Frame(32 + len(long), b"z", intact=True),
    ]
    assert frames(b"") == []


def test_damaged_data_is_told_and_the_next_record_is_still_read() -> None:
    data = bytearray(frame(b"first") + frame(b"second"))
    data[13] ^= 1
    assert [f.intact for f in frames(bytes(data))] == [False, True]


def test_a_damaged_length_ends_with_name_and_offset() -> None:
    data = bytearray(frame(b"first") + frame(b"second"))
    data[21] ^= 1  # the first frame has 12 + 5 + 4 bytes
    with pytest.raises(AnnotationError, match=r"x\.tfrecord, byte 21: the check sum of the rec"):
        frames(bytes(data))


@pytest.mark.parametrize("kept", [24, 33, 35, 41])
def test_a_file_cut_anywhere_in_a_frame_says_where(kept: int) -> None:
    data = frame(b"first") + frame(b"second")
    with pytest.raises(AnnotationError, match="byte 21: the file ends inside a record"):
        frames(data[:kept])


def test_an_enormous_length_with_a_right_sum_asks_for_no_such_memory() -> None:
    length = struct.pack("<Q", 1 << 60)
    with pytest.raises(AnnotationError, match="ends inside a record"):
        frames(length + struct.pack("<I", bitwise_masked(length)) + b"short")
