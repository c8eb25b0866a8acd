"""TFRecord files without TensorFlow: tf.train.Examples, each in a frame of length and checksums.

Each record is: length (u64, little-endian), masked CRC-32C of the length (u32), the data, masked CRC-32C of the data
(u32). There is no header and no index.
"""

import functools
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 30  # per record; protocol buffers are limited to twice that
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEAD_BYTES, _TAIL_BYTES = _LENGTH.size + _CRC.size, _CRC.size


class Frame(NamedTuple):
    """The position of a record in its file, in bytes: its frame begins at offset, its data of `size` 12 bytes later."""

    offset: int
    size: int


class Damage(NamedTuple):
    """Bytes of a file that are not a record."""

    offset: int
    size: int
    reason: str


def write_record(file: BinaryIO, data: bytes) -> None:
    length = _LENGTH.pack(len(data))
    file.write(b"".join((length, _CRC.pack(_masked_crc(length)), data, _CRC.pack(_masked_crc(data)))))


def find_frames(content: NDArray[np.uint8]) -> Iterator[Frame | Damage]:
    """The records of a file in order, found by their lengths; their data is not read.

    After a damaged length, the next record cannot be found: the rest is one damage.

    Args:
        content: (n,) all bytes of the file.
    """
    view, at = content.data, 0
    while at < len(view):
        size = _size_at(view, at)
        if size is None:
            is_cut = len(view) - at < _HEAD_BYTES or _length_at(view, at) is not None
            wrong = "the length of a record does not agree with its checksum, and what follows cannot be found"
            yield Damage(at, len(view) - at, "the file is cut short" if is_cut else wrong)
            return
        yield Frame(at, size)
        at += _HEAD_BYTES + size + _TAIL_BYTES


def data_of(content: NDArray[np.uint8], frame: Frame) -> bytes:
    """The data of a record. Raises ValueError: its checksum is wrong."""
    begin, end = frame.offset + _HEAD_BYTES, frame.offset + _HEAD_BYTES + frame.size
    data = content[begin:end].tobytes()
    if end + _TAIL_BYTES > len(content):
        raise ValueError("the file is cut short")
    if _masked_crc(data) != _CRC.unpack_from(content.data, end)[0]:
        raise ValueError("its data does not agree with its checksum")
    return data


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _length_at(view: memoryview, at: int) -> int | None:
    """The length in a frame's header, if its checksum is right."""
    length = bytes(view[at : at + _LENGTH.size])
    if at + _HEAD_BYTES > len(view) or _CRC.unpack_from(view, at + _LENGTH.size)[0] != _masked_crc(length):
        return None
    return int(_LENGTH.unpack(length)[0])


def _size_at(view: memoryview, at: int) -> int | None:
    size = _length_at(view, at)
    fits = size is not None and size <= min(MOST_BYTES, len(view) - at - _HEAD_BYTES - _TAIL_BYTES)
    return size if fits else None


Feature = Sequence[bytes] | Sequence[float] | Sequence[int]

# The published messages (tensorflow/core/example) under another name: TensorFlow registers its own.
_MESSAGES = """
name: "text_recognizer/example.proto" package: "text_recognizer" syntax: "proto3"
message_type { name: "BytesList" field { name: "value" number: 1 type: TYPE_BYTES label: LABEL_REPEATED } }
message_type { name: "FloatList" field { name: "value" number: 1 type: TYPE_FLOAT label: LABEL_REPEATED } }
message_type { name: "Int64List" field { name: "value" number: 1 type: TYPE_INT64 label: LABEL_REPEATED } }
message_type {
  name: "Feature"
  oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: "BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: "FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: "Int64List" oneof_index: 0 }
}
message_type {
  name: "Features"
  field { name: "feature" number: 1 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: "FeatureEntry" }
  nested_type {
    name: "FeatureEntry"
    options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: "Feature" }
  }
}
message_type {
  name: "Example"
  field { name: "features" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: "Features" }
}
"""

_KINDS = {bytes: "bytes_list", float: "float_list", int: "int64_list"}


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """A serialised Example, deterministic; an empty list is a feature without a kind."""
    example = _example_class()()
    entries = example.features.feature
    for key, values in features.items():
        feature = entries[key]
        if values:
            getattr(feature, _KINDS[type(values[0])]).value.extend(values)
    return bytes(example.SerializeToString(deterministic=True))


def decode_example(data: bytes, keys: Collection[str] | None = None) -> dict[str, list[Any]]:
    """The features of a serialised Example, all or those of some keys. Raises ValueError: it is not an Example."""
    from google.protobuf.message import DecodeError

    try:
        example = _example_class().FromString(data)
    except DecodeError:
        raise ValueError("it is not a tf.train.Example") from None
    features, found = example.features.feature, {}
    for key in features if keys is None else keys:
        if key in features:
            feature = features[key]
            kind = feature.WhichOneof("kind")
            found[key] = list(getattr(feature, kind).value) if kind else []
    return found


@functools.cache
def _example_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_MESSAGES, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("text_recognizer.Example"))
