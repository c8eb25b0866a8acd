"""tf.train.Example without TensorFlow: named lists of bytes, of floats or of whole numbers."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

Feature = Sequence[bytes] | Sequence[float] | Sequence[int]

# The published messages (tensorflow/core/example) under a name of their own: TensorFlow registers its own ones.
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
    """A serialised Example, always the same for the same features; an empty list is a feature without a kind."""
    example = _example_class()()
    entries = example.features.feature
    for key, values in features.items():
        feature = entries[key]
        if values:
            getattr(feature, _KINDS[type(values[0])]).value.extend(values)
    return bytes(example.SerializeToString(deterministic=True))


def decode_example(data: bytes) -> dict[str, list[Any]]:
    """The features of a serialised Example.

    Raises:
        ValueError: it is none.
    """
    from google.protobuf.message import DecodeError

    try:
        example = _example_class().FromString(data)
    except DecodeError:
        raise ValueError("it is no tf.train.Example") from None
    found = {}
    for key, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[key] = list(getattr(feature, kind).value) if kind else []
    return found


@functools.cache
def _example_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_MESSAGES, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("text_recognizer.Example"))
