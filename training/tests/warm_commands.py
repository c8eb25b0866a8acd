"""Commands of this project from a process that has imported TensorFlow once: each runs in a fork of it.

A test starts one by `Warm.start`. In `Warm.programs` lies a program by the name of every command, for what is run by a
shell: it hands its arguments, its surroundings and its standard streams over, passes signals on, waits, and exits as
the command did. There is a `python` as well: it does so for `-m training.run_sweep` and `training/run_sweep.py` and
their like, and is the real one for everything else.
"""

import atexit
import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

from text_recognizer.tests.garbage import collect_rarely

REPOSITORY = Path(__file__).resolve().parents[2]
_SCRIPTS: dict[str, str] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "scripts"
]
# `example` executes the text of a Python program; `cli` is how `python -m` names `text-recognizer`.
COMMANDS = {**_SCRIPTS, "cli": _SCRIPTS["text-recognizer"], "example": "training.tests.warm_commands:example"}
# TensorFlow's notes at its start are not the command's, and a GPU belongs to the run that leases it.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "CUDA_VISIBLE_DEVICES": "-1"}
LONGEST_MESSAGE = 1 << 17
# It imports next to nothing, so that it starts in a hundredth of a second.
CLIENT = """#!{python} -IS
import json, os, socket, sys, _signal
argv = sys.argv
if argv[0].endswith("/python"):
    module = argv[1:2] == ["-m"]
    name = (argv[2:3] if module else argv[1:2] or [""])[0]
    if name not in {started!r}:
        os.execv({python!r}, [{python!r}, *argv[1:]])
    argv = [os.path.join(os.getcwd(), name.rpartition(".")[2]), *argv[3:]] if module else argv[1:]
request = {{"argv": argv, "folder": os.getcwd(), "environ": dict(os.environ)}}
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as warm:
    warm.connect({address!r})
    socket.send_fds(warm, [json.dumps(request).encode()], (0, 1, 2))
    pid = int(warm.recv(16))
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGUSR1):
        _signal.signal(number, lambda number, _: os.kill(pid, number))
    code = int(warm.recv(16) or 1)
sys.exit(code if code >= 0 else f"the command was ended by signal {{-code}}")
"""
_STARTED = [
    name
    for script in ("run_experiment", "run_sweep", "cli")
    for name in (f"training.{script}", f"training/{script}.py")
]


class WarmProcess:
    """A command in a fork, in the words of subprocess.Popen. It is killed when this object is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.pid = int(connection.recv(16))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(TimeoutError, BlockingIOError):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._connection.settimeout(timeout)
            self.returncode = int(self._connection.recv(16))
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Warm:
    """The warm process, as seen by those that start commands.

    Args:
        folder: that was made for it.
    """

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"  # to be the first in PATH
        self._address = folder / "warm"

    def start(self, *argv: str, cwd: Path, env: Mapping[str, str], output: IO[Any]) -> WarmProcess:
        """One of COMMANDS with its arguments; what it prints goes to a file."""
        return WarmProcess(self.request(*argv, cwd=cwd, env=env, output=output))

    def request(self, *argv: str, cwd: Path, env: Mapping[str, str], output: IO[Any]) -> socket.socket:
        """The connection over which the warm process tells of it."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(str(self._address))
        request = {"argv": argv, "folder": str(cwd), "environ": dict(env)}
        with open(os.devnull, "rb") as nothing:
            streams = [nothing.fileno(), output.fileno(), output.fileno()]
            socket.send_fds(connection, [json.dumps(request).encode()], streams)
        return connection


def start_warm_process(folder: Path, owner: int) -> subprocess.Popen[bytes]:
    """
    Args:
        folder: to be made; the path of a socket in it must fit into 100 characters.
        owner: the process with which it ends, however that ends.
    """
    programs, address = folder / "bin", folder / "warm"
    programs.mkdir(parents=True)
    for name in (*COMMANDS, "python"):
        client = CLIENT.format(python=sys.executable, address=str(address), started=_STARTED)
        (programs / name).write_text(client)
        (programs / name).chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening, open(folder / "warm.log", "wb") as log:
        listening.bind(str(address))
        listening.listen()  # who comes before it is warm waits
        return subprocess.Popen(
            [sys.executable, "-m", "training.tests.warm_commands", str(listening.fileno()), str(owner)],
            env={**os.environ, **QUIET},
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )


class _Server:
    """Accepts requests, forks, tells how forks end, and kills those that nobody waits for any more."""

    def __init__(self, listening: socket.socket, owner: int) -> None:
        self._listening = listening
        self._owner = os.pidfd_open(owner)
        self._selector = selectors.DefaultSelector()
        self._forks: dict[socket.socket, tuple[int, int]] = {}  # by connection: process, and a descriptor of it

    def serve(self) -> NoReturn:
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(self._owner, selectors.EVENT_READ, sys.exit)
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._selector.get_map():  # else the fork and its client ended at once
                    key.data()

    def close(self) -> None:
        for pid, _ in self._forks.values():
            os.kill(pid, signal.SIGKILL)

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        try:
            text, streams, _, _ = socket.recv_fds(connection, LONGEST_MESSAGE, 3)
        except ConnectionError:
            text = b""
        if not text:  # its client was killed before it asked
            connection.close()
            return
        pid = os.fork()
        if pid == 0:
            self._selector.close()
            for other in (self._listening, connection, *self._forks):
                other.close()
            for descriptor in (self._owner, *(descriptor for _, descriptor in self._forks.values())):
                os.close(descriptor)
            _live(streams, **json.loads(text))
        for stream in streams:
            os.close(stream)
        descriptor = os.pidfd_open(pid)
        self._forks[connection] = pid, descriptor
        self._selector.register(descriptor, selectors.EVENT_READ, lambda: self._ended(connection))
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._ended(connection, unwanted=True))
        with contextlib.suppress(ConnectionError):  # its client was killed meanwhile, and so the fork is unwanted
            connection.send(str(pid).encode())

    def _ended(self, connection: socket.socket, unwanted: bool = False) -> None:
        pid, descriptor = self._forks.pop(connection)
        if unwanted:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        for file in (descriptor, connection):
            self._selector.unregister(file)
        with contextlib.suppress(ConnectionError):
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        os.close(descriptor)
        connection.close()


def serve(listening: socket.socket, owner: int) -> NoReturn:
    from training.executors.zygote.preloading import obstacle_to_forking, preload

    collect_rarely()
    preload([])
    sys.executable = str(Path(listening.getsockname()).with_name("bin") / "python")  # for what commands start
    assert obstacle_to_forking() is None
    server = _Server(listening, owner)
    try:
        server.serve()
    finally:
        server.close()


def _live(streams: list[int], **request: Any) -> NoReturn:
    """The life of a fork, which must not return into the loop of its parent."""
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        # Those of the warm process know whether its files can be rewound, which says nothing of these.
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        code = _run(**request)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as above
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        for output in (sys.stdout, sys.stderr):
            output.flush()
        os._exit(code)


def _run(argv: list[str], folder: str, environ: dict[str, str]) -> int:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv, sys.path[0] = argv, str(Path(argv[0]).parent)
    sys.path[1:1] = [place for place in environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    name = Path(argv[0]).stem
    if name == "run_sweep":
        from training.tests import warm_zygote

        warm_zygote.prepare()
    module, _, function = COMMANDS[name].partition(":")
    code: Any = getattr(importlib.import_module(module), function)()
    return int(code or 0)


def example() -> None:
    exec(compile(sys.argv[1], "example", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
