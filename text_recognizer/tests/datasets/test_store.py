import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from text_recognizer.datasets.storage import parallel, store
from text_recognizer.datasets.storage.file_states import files_below
from text_recognizer.datasets.storage.store import Store, find_store, make_store, store_folder
from text_recognizer.errors import DataError
from text_recognizer.tests.waiting import PATIENCE_S, wait_until

KEY = {"version": 1}
OTHERS = multiprocessing.get_context("forkserver")  # this process may have threads, which forks do not survive


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path))
    return tmp_path


def fill(writer):
    writer.add("a.images", np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    writer.add("b.labels", np.full(5, 7, np.int32))


def test_arrays_come_back_memory_mapped_and_read_only(data):
    store = make_store(store_folder("D", KEY), KEY, fill)
    assert store.array("a.images").tolist() == np.arange(24).reshape(2, 3, 4).tolist()
    assert store.array("b.labels").tolist() == [7] * 5
    with pytest.raises(ValueError, match="read-only"):
        store.array("a.images")[0] = 0
    assert isinstance(store.array("a.images").base, np.memmap)


@pytest.mark.parametrize(("most_read_ahead", "random"), [(0, True), (1 << 40, False)])
def test_only_an_array_larger_than_memory_is_read_without_its_neighbours(data, monkeypatch, most_read_ahead, random):
    monkeypatch.setattr(store, "MOST_READ_AHEAD", most_read_ahead)
    made = make_store(store_folder("some", {"a": 1}), {"a": 1}, lambda writer: writer.add("x", np.zeros(9999)))
    array = made.array("x")
    mapping = Path("/proc/self/smaps").read_text().partition(f"{made.folder / 'x.npy'}\n")[2]
    assert ("rr" in mapping.partition("VmFlags:")[2].partition("\n")[0].split()) == random
    assert not array.any()


def test_the_key_decides_the_place_and_the_content_the_hash(data):
    first = make_store(store_folder("D", KEY), KEY, fill)
    assert store_folder("D", {"version": 2}) != first.folder
    other = make_store(store_folder("E", KEY), KEY, fill)
    assert other.content_hash == first.content_hash


def test_a_conversion_that_fails_leaves_nothing_behind(data):
    def fail(writer):
        fill(writer)
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"):
        make_store(store_folder("D", KEY), KEY, fail)
    assert find_store(store_folder("D", KEY)) is None
    assert [path.name for path in (data / "processed").iterdir() if path.is_dir()] == []


def _dies(writer):
    writer.add("a", np.zeros(1000))
    os._exit(9)


def test_what_a_killed_process_left_goes_with_the_next_conversion(data):
    folder = store_folder("D", KEY)
    killed = OTHERS.Process(target=make_store, args=(folder, KEY, _dies))
    killed.start()
    killed.join()
    assert list(folder.parent.glob(".*")) == [folder.with_name(f".{folder.name}.new")]
    make_store(folder, KEY, fill)
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_a_store_that_lost_a_file_is_made_again(data):
    folder = store_folder("D", KEY)
    make_store(folder, KEY, fill)
    (folder / "a.images.npy").write_bytes(b"short")
    assert find_store(folder) is None
    assert make_store(folder, KEY, fill).array("b.labels").tolist() == [7] * 5


def test_changed_bytes_are_found_by_their_hash(data):
    store = make_store(store_folder("D", KEY), KEY, fill)
    assert store.problems() == []
    path = store.folder / "b.labels.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x08")
    assert store.problems() == [f"{path} has changed since it was written"]


def _convert_slowly(folder, calls):
    def convert(writer):
        with calls.get_lock():
            calls.value += 1
        fill(writer)

    make_store(folder, KEY, convert)


def test_many_processes_convert_once(data):
    calls = OTHERS.Value("i", 0)
    workers = [OTHERS.Process(target=_convert_slowly, args=(store_folder("D", KEY), calls)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE_S)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert calls.value == 1


def test_a_place_that_cannot_be_written_is_named_with_the_setting(data, monkeypatch):
    (data / "file").write_text("not a folder")
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(data / "file"))
    with pytest.raises(DataError, match="Not a directory.*TEXT_RECOGNIZER_DATA"):
        make_store(store_folder("D", KEY), KEY, fill)


def test_a_full_disk_is_named_and_leaves_nothing_behind(data):
    code = """
import resource, signal, sys
import numpy as np
from text_recognizer.datasets.storage.store import make_store, store_folder
from text_recognizer.errors import DataError
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # the kernel refuses larger files, as a full disk would
try:
    make_store(store_folder("D", {}), {}, lambda writer: writer.add("a", np.zeros(100_000)))
except DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert "cannot write the dataset store" in done.stdout
    assert "TEXT_RECOGNIZER_DATA" in done.stdout
    assert [path for path in (data / "processed").iterdir() if path.is_dir()] == []


def test_an_error_of_reading_is_not_called_one_of_writing(data):
    def damaged(writer):
        writer.add("a", np.zeros(3))
        with writer.grow("b", "uint8") as append:
            append(np.zeros(3, np.uint8))
            raise OSError(5, "Input/output error", "lines.tgz")

    expected = r"cannot convert the data for the dataset store .*: .*Input/output error: 'lines\.tgz'"
    with pytest.raises(DataError, match=expected) as caught:
        make_store(store_folder("D", KEY), KEY, damaged)
    assert "space" not in str(caught.value)
    assert [path for path in (data / "processed").iterdir() if path.is_dir()] == []


def test_a_finished_store_is_opened_without_writing(data):
    folder = store_folder("D", KEY)
    make_store(folder, KEY, fill)
    lock = folder.with_name(f"{folder.name}.lock")
    lock.unlink(missing_ok=True)
    assert isinstance(make_store(folder, KEY, fill), Store)
    assert not lock.exists()


def test_work_without_a_terminal_is_told_every_ten_seconds_with_the_time_that_is_left(monkeypatch, capsys):
    seconds = iter([0, 4, 12, 13, 25, 50])
    monkeypatch.setattr(parallel, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    with parallel.progress("Letters", 2000, "line") as done:
        for lines in (100, 300, 100, 500, 1000):
            done(lines)
    assert capsys.readouterr().err.splitlines() == [
        "Letters: preparing 2,000 lines",
        "Letters: 400 of 2,000 lines, 0:00:48 left",
        "Letters: 1,000 of 2,000 lines, 0:00:25 left",
    ]


@pytest.mark.parametrize("pause_s", [0, 0.5])  # until it is given up: no result is ready then, or some are
def test_work_that_is_given_up_half_way_ends_without_a_warning(pause_s, recwarn):
    results = parallel.in_processes(time.sleep, [0.1] * 8, processes=2)
    next(results)
    time.sleep(pause_s)
    del results
    assert [str(one.message) for one in recwarn] == []


def test_workers_end_when_their_parent_is_killed_while_they_wait_to_hand_over_results():
    code = (
        "from text_recognizer.datasets.storage.parallel import in_processes\n"
        "from text_recognizer.tests.datasets.test_store import large_result\n"
        "results = in_processes(large_result, list(range(8)), processes=2)\n"
        "print(*{next(results)[0] for _ in range(4)}, flush=True)\n"
        "input()\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert workers
        os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in workers))


def large_result(_number):
    return os.getpid(), bytes(1 << 24)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_files_and_folders_of_the_system_are_not_looked_into(tmp_path, monkeypatch):
    for name in ("a/1.png", "a/._1.png", "lost+found/2.png", "a/__MACOSX/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    scan = os.scandir

    def scandir(folder):
        if "lost+found" in str(folder):  # as anyone but root is told
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert files_below(tmp_path) == [tmp_path / "a" / "1.png"]


def test_the_files_of_a_folder_are_those_of_linked_folders_too_each_once_and_none_is_left_out_in_silence(tmp_path):
    for name in ("scans/box/1.png", "elsewhere/2.png", "elsewhere/deep/3.png", "above.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    links = {
        "again": "box",
        "first": "../elsewhere/deep",
        "lent": "../elsewhere",
        "lost.png": "nowhere",
        "round": "..",
        "../elsewhere/back": "../scans",
        "../elsewhere/deep/up": "..",
    }
    for name, target in links.items():
        (tmp_path / "scans" / name).symlink_to(target)
    os.mkfifo(tmp_path / "scans" / "pipe.png")
    found = [path.relative_to(tmp_path / "scans").as_posix() for path in files_below(tmp_path / "scans")]
    assert found == ["box/1.png", "first/3.png", "lent/2.png", "lost.png"]
    with pytest.raises(DataError, match=r"the folder .*missing cannot be read: No such file or directory\."):
        files_below(tmp_path / "missing")
