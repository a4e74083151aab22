"""Small files in the published formats, made with code that shares nothing with the readers."""

import io
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def bitwise_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def bitwise_masked(data: bytes) -> int:
    crc = bitwise_crc32c(data)
    return ((crc >> 15 | crc << 17) % 2**32 + 0xA282EAD8) % 2**32


def frame(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    sums = (struct.pack("<I", bitwise_masked(part)) for part in (length, data))
    return length + next(sums) + data + next(sums)


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(value: bytes | float) -> bytes:
    if isinstance(value, bytes):
        return message(1, message(1, value))
    return message(2, message(1, struct.pack("<f", value)))


def example(features: Mapping[str, bytes | float]) -> bytes:
    entries = (message(1, name.encode()) + message(2, feature(v)) for name, v in features.items())
    return message(1, b"".join(message(1, entry) for entry in entries))


def png(grey: int = 0, size: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (size, size), grey).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (grey, grey, grey)).save(buffer, "JPEG")
    return buffer.getvalue()


def rich(uid: str = "u", labels: str = "1 0", **changes: bytes | float) -> dict[str, bytes | float]:
    """The eight features of one record of RichHF-18K."""
    return {
        "filename": f"train/{uid}.png".encode(),
        "aesthetics_score": 0.25,
        "artifact_score": 0.5,
        "misalignment_score": 0.75,
        "overall_score": 1.0,
        "artifact_map": png(255),
        "misalignment_map": png(0),
        "prompt_misalignment_label": labels.encode(),
        **changes,
    }


def write_tfrecord(path: Path, records: Iterable[Mapping[str, bytes | float]]) -> Path:
    path.write_bytes(b"".join(frame(example(record)) for record in records))
    return path


def write_json(path: Path, rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], **types: pa.DataType) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows))
    for name, kind in types.items():
        column = table.column_names.index(name)
        table = table.set_column(column, name, table[name].cast(kind))
    pq.write_table(table, path)
    return path


def picked(first: float | None = 1.0, second: float | None = 0.0, **changes: Any) -> dict[str, Any]:
    """A row of Pick-a-Pic, with every column that its card lists."""
    return {
        "are_different": True,
        "best_image_uid": "a",
        "caption": "a fox",
        "created_at": None,
        "has_label": True,
        "image_0_uid": "a",
        "image_0_url": "",
        "image_1_uid": "b",
        "image_1_url": "",
        "jpg_0": jpeg(10),
        "jpg_1": jpeg(200),
        "label_0": first,
        "label_1": second,
        "model_0": "x",
        "model_1": "y",
        "ranking_id": 1,
        "user_id": 7,
        "num_example_per_prompt": 1,
        **changes,
    }


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png())
