"""TFRecords without TensorFlow: frames and examples read and written; damage bounded."""

import random
import struct
from collections import Counter
from typing import Any

import numpy as np
import pytest

from text_recognizer.datasets.formats.tfrecord import (
    Damage,
    Frame,
    decode_example,
    encode_example,
    find_frames,
    write_record,
)
from text_recognizer.datasets.records.forms import RecordForm
from text_recognizer.datasets.records.reading import Record, Shard, pictures, records
from text_recognizer.datasets.storage.rejected import Rejected
from text_recognizer.images.grey import KINDS
from text_recognizer.tests.datasets.record_files import (
    as_bytes,
    first_example,
    own_data,  # noqa: F401
    write_digits,
    write_shard,
)

FEATURES: dict[str, Any] = {"a": [b"\0x", "é".encode()], "b": [-1, 0, 1 << 40], "c": [0.5, -2.0], "d": []}


def test_frames_and_examples_are_those_of_tensorflow(tmp_path):
    import tensorflow as tf

    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    kinds = {
        bytes: ("bytes_list", tf.train.BytesList),
        float: ("float_list", tf.train.FloatList),
        int: ("int64_list", tf.train.Int64List),
    }
    features = {
        key: tf.train.Feature(**{kinds[type(values[0])][0]: kinds[type(values[0])][1](value=values)})
        for key, values in FEATURES.items()
        if values
    }
    example = tf.train.Example(features=tf.train.Features(feature={**features, "d": tf.train.Feature()}))
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        writer.write(example.SerializeToString(deterministic=True))
        writer.write(b"")
    with open(ours, "wb") as file:
        write_record(file, encode_example(FEATURES))
        write_record(file, b"")
    assert ours.read_bytes() == theirs.read_bytes()
    assert first_example(theirs) == FEATURES
    key = next(iter(FEATURES))
    assert decode_example(example.SerializeToString(), [key, "absent"]) == {key: FEATURES[key]}
    read = [record.numpy() for record in tf.data.TFRecordDataset(str(ours))]
    assert tf.train.Example.FromString(read[0]) == example


def test_a_damaged_record_costs_that_record_and_a_damaged_length_what_follows(tmp_path):
    path = write_shard(tmp_path / "shard", [{"n": [number]} for number in range(5)])
    size = len(path.read_bytes()) // 5
    content = bytearray(path.read_bytes())
    content[size + 14] ^= 1  # the data of the second
    content[3 * size] ^= 1  # the length of the fourth
    found = list(find_frames(np.frombuffer(content, np.uint8)))
    lost = "the length of a record does not agree with its checksum, and what follows cannot be found"
    assert found == [
        Frame(0, size - 16),
        Frame(size, size - 16),
        Frame(2 * size, size - 16),
        Damage(3 * size, 2 * size, lost),
    ]
    path.write_bytes(content)
    read = list(records(Shard(path, RecordForm())))
    assert [type(one) for one in read] == [Record, Rejected, Record, Rejected]
    assert read[1] == Rejected(f"shard@{size}", "its data does not agree with its checksum")
    assert read[3] == Rejected(f"shard@{3 * size}", f"{lost}: {2 * size} bytes skipped")


@pytest.mark.parametrize("length", [1 << 20, 1 << 40, (1 << 64) - 1])
def test_a_length_beyond_the_file_is_refused_before_anything_is_allocated(length):
    import google_crc32c

    head = struct.pack("<Q", length)
    crc = google_crc32c.value(head)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    content = np.frombuffer(head + struct.pack("<I", masked) + b"data" * 4, np.uint8)
    assert list(find_frames(content)) == [Damage(0, 28, "the file is cut short")]


def test_a_file_that_ends_within_a_record_is_cut_short(tmp_path):
    path = write_shard(tmp_path / "shard", [{"n": [1]}, {"n": [2]}])
    for lost in (1, 10, 20):
        found = list(find_frames(as_bytes(path)[:-lost]))
        assert isinstance(found[0], Frame)
        assert found[1:] == [Damage(30, 30 - lost, "the file is cut short")]


def test_thousands_of_mutated_shards_end_in_records_and_reasons(tmp_path):
    write_digits(tmp_path / "raw")
    write_digits(tmp_path / "png", "png")
    seeds = [next((tmp_path / name).glob("train-*")).read_bytes()[:1500] for name in ("raw", "png")]
    chance, path, outcomes = random.Random(0), tmp_path / "shard", Counter[type]()
    texts = dict(enumerate("0123456789"))
    for number in range(3000):
        content = bytearray(seeds[number % 2])
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(content))
            change = chance.choice([b"", b"\0", b"\xff" * 8, content[:20], content[at : at + 40]])
            content[at : at + chance.choice([0, 1, 8, 200])] = change
        if number % 3 == 0:  # mended checksums let changes through to what is in the frame
            begin = chance.randrange(len(content) // 2)
            data = bytes(content[begin : begin + 300])
            with open(path, "wb") as file:
                write_record(file, data)
        else:
            path.write_bytes(content)
        outcomes.update(type(one) for one in pictures(Shard(path, RecordForm(), None, texts)))
    assert min(outcomes[Rejected], outcomes[tuple]) > 1000


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"height": [1 << 40]}, "its image of 8 x 1099511627776 pixels has 64 bytes"),
        ({"height": [-8], "width": [-8]}, "its image of -8 x -8 pixels has 64 bytes"),
        ({"height": [8, 8]}, "its 'height' is not one value of type int"),
        ({"image": [3]}, "its 'image' is not one value of type bytes"),
        ({"image": []}, "it has no image under the key 'image'"),
        ({"encoding": [b"png"]}, f"its image cannot be read: the file is not an image that can be read ({KINDS} can)"),
    ],
)
def test_a_picture_that_is_not_what_it_announces_is_named(tmp_path, changed, reason):
    features = {"image": [bytes(64)], "height": [8], "width": [8], "encoding": [b"raw"], "label": [0], "text": [b"0"]}
    path = write_shard(tmp_path / "shard", [features, {**features, **changed}])
    first, second = pictures(Shard(path, RecordForm()))
    assert isinstance(first, tuple)
    assert first[1].shape == (8, 8)
    assert isinstance(second, Rejected)
    assert second.reason == reason
