import io

import numpy as np
import pytest

from text_recognizer.errors import RunError
from training.attempts.checkpoint import read_checkpoint, write_checkpoint

STATE = {"step": 3}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def text(content):
    return np.frombuffer(content.encode(), np.uint8)


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "checkpoints" / "last.npz"
    write_checkpoint(path, {"model": [np.arange(3), np.ones((2, 2))]}, STATE)
    groups, state = read_checkpoint(path, STATE)
    assert state == STATE
    assert [array.tolist() for array in groups["model"]] == [[0, 1, 2], [[1, 1], [1, 1]]]
    assert [file.name for file in path.parent.iterdir()] == ["last.npz"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "No data left in file"),
        (b"\0" * 100, "pickled"),
        (npz(state=text("{}"))[:50], "File is not a zip file"),
        (npy(np.arange(3)), ""),
        (npz(step=np.zeros(1)), "state"),
        (npz(state=text("not json")), ""),
        (npz(state=text("[" * 100_000)), ""),
        (npz(state=text("5")), ""),
        (npz(state=text("{}")), "its state has no step"),
        (npz(state=text('{"step": -1}')), "its state has an impossible 'step'. Received: -1"),
        (npz(state=text('{"step": 1e300}')), "an impossible 'step'"),
        (npz(state=text('{"step": 3, "epochs": {"done": 1, "first_step": "2", "began_s": 0}}')), "impossible 'epochs'"),
        (npz(state=text('{"step": 3, "best": {"epoch": 10000000000, "value": 1}}')), "an impossible 'best'"),
        (npz(state=text('{"step": 3, "seconds_trained": NaN}')), "an impossible 'seconds_trained'"),
        (npz(state=text('{"step": 3, "early_stop": {"best": null}}')), "an impossible 'early_stop'"),
    ],
)
def test_what_is_no_checkpoint_is_an_error_in_words_with_what_to_do(content, reason, tmp_path):
    path = tmp_path / "checkpoints" / "last.npz"
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=rf"last.npz cannot be read: .*{reason}.*remove the folder .*checkpoints\.$"):
        read_checkpoint(path, STATE)


def test_a_checkpoint_with_a_changed_byte_is_never_taken_for_whole(tmp_path):
    path = tmp_path / "last.npz"
    write_checkpoint(path, {"model": [np.arange(100)]}, STATE)
    content = path.read_bytes()
    place = content.index(np.arange(100).tobytes()) + 8
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    with pytest.raises(RunError, match="cannot be read: Bad CRC-32"):
        read_checkpoint(path, STATE)
