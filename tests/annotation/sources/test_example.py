import struct

import pytest
from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

from beholder.annotation.sources._example import read_example
from beholder.errors import DataError
from tests.annotation.sources.published import example, message

Field = descriptor_pb2.FieldDescriptorProto


def reference() -> type:
    """`tf.train.Example` as the protobuf library builds it from its published definition."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    for name, kind in (("Bytes", "TYPE_BYTES"), ("Floats", "TYPE_FLOAT"), ("Ints", "TYPE_INT64")):
        number = Field.Type.Value(kind)
        repeated = Field.Label.Value("LABEL_REPEATED")
        file.message_type.add(name=name).field.add(
            name="value", number=1, type=number, label=repeated
        )
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("Bytes", "Floats", "Ints"), 1):
        feature.field.add(
            name=name.lower(), number=number, type_name=f".t.{name}", oneof_index=0, **one()
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=Field.Type.Value("TYPE_STRING"), label=1)
    entry.field.add(name="value", number=2, type_name=".t.Feature", **one())
    features.field.add(
        name="feature", number=1, type_name=".t.Features.FeatureEntry", **{**one(), "label": 3}
    )
    top = file.message_type.add(name="Example")
    top.field.add(name="features", number=1, type_name=".t.Features", **one())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made: type = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))
    return made


def one() -> dict[str, int]:
    return {"type": Field.Type.Value("TYPE_MESSAGE"), "label": 1}


def test_messages_of_the_protobuf_library_are_read_as_it_wrote_them() -> None:
    written = reference()()
    features = written.features.feature
    features["names"].bytes.value.extend([b"", b"a\0b", b"c" * 300])
    features["scores"].floats.value.extend([0.5, -2.25, 1e20])
    features["counts"].ints.value.extend([0, 1, -1, 2**62, -(2**63)])
    features["empty"].bytes.SetInParent()
    features["nothing"].SetInParent()
    assert read_example(written.SerializeToString()) == {
        "names": [b"", b"a\0b", b"c" * 300],
        "scores": [0.5, -2.25, struct.unpack("<f", struct.pack("<f", 1e20))[0]],
        "counts": [0, 1, -1, 2**62, -(2**63)],
        "empty": [],
        "nothing": [],
    }


def test_numbers_that_are_not_packed_are_read_too() -> None:
    floats = b"".join(b"\x0d" + struct.pack("<f", value) for value in (1.5, 2.5))
    integers = b"\x08\x03\x08\x7f"
    entries = [
        message(1, b"f") + message(2, message(2, floats)),
        message(1, b"i") + message(2, message(3, integers)),
    ]
    data = message(1, b"".join(message(1, entry) for entry in entries))
    assert read_example(data) == {"f": [1.5, 2.5], "i": [3, 127]}


def test_unknown_fields_are_skipped() -> None:
    unknown = b"\x98\x06\x01" + b"\x99\x06" + bytes(8) + message(9, b"?")
    assert read_example(unknown + example({"x": b"y"}) + unknown) == {"x": [b"y"]}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (example({"x": b"y"})[:-1], "too late"),
        (b"\x0a", "ends inside a number"),
        (b"\xff" * 11, "more than ten bytes"),
        (b"\x0b\x00", "wire type 3"),
        (message(1, message(1, message(1, b"\xff") + message(2, b""))), "no text"),
        (message(1, message(1, message(2, message(2, message(1, b"abc"))))), "no list of 4-byte"),
    ],
)
def test_bytes_that_are_no_example_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_example(data)
