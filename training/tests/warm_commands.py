"""Commands of this project from a process that has imported TensorFlow once: each runs in a fork of it.

In `bin` lies a program by the name of every command. It hands its arguments, its surroundings and its standard streams
to the warm process, waits, and exits as the command did.
"""

import atexit
import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

REPOSITORY = Path(__file__).resolve().parents[2]
_SCRIPTS: dict[str, str] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "scripts"
]
# `example` executes the text of a Python program.
COMMANDS = {**_SCRIPTS, "example": "training.tests.warm_commands:example"}
# TensorFlow's notes at its start are not the command's, and a GPU belongs to the run that leases it.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "CUDA_VISIBLE_DEVICES": "-1"}
LONGEST_MESSAGE = 1 << 17
# It imports next to nothing, so that it starts in a hundredth of a second.
CLIENT = """#!{python} -IS
import json, os, socket, sys
request = {{"argv": sys.argv, "folder": os.getcwd(), "environ": dict(os.environ)}}
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as warm:
    warm.connect({address!r})
    socket.send_fds(warm, [json.dumps(request).encode()], (0, 1, 2))
    code = warm.recv(8)
sys.exit(int(code) if code else "the command died without an exit code")
"""


@contextlib.contextmanager
def warm_commands(folder: Path) -> Iterator[Path]:
    """The folder of the programs, to be the first in PATH.

    Args:
        folder: empty; the path of a socket in it must fit into 100 characters.
    """
    programs, address = folder / "bin", folder / "warm"
    programs.mkdir()
    for name in COMMANDS:
        (programs / name).write_text(CLIENT.format(python=sys.executable, address=str(address)))
        (programs / name).chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening, open(folder / "warm.log", "wb") as log:
        listening.bind(str(address))
        listening.listen()  # who comes before it is warm waits
        process = subprocess.Popen(
            [sys.executable, "-m", "training.tests.warm_commands", str(listening.fileno())],
            env={**os.environ, **QUIET},
            cwd=REPOSITORY,
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
    try:
        yield programs
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def serve(listening: socket.socket) -> NoReturn:
    from training.executors.zygote.preloading import obstacle_to_forking, preload

    preload([])
    assert obstacle_to_forking() is None
    while True:
        connection, _ = listening.accept()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if os.fork() == 0:
            listening.close()
            _answer(connection)
        connection.close()


def _answer(connection: socket.socket) -> NoReturn:
    code = 1
    try:
        text, streams, _, _ = socket.recv_fds(connection, LONGEST_MESSAGE, 3)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        # Those of the warm process know whether its files can be rewound, which says nothing of these.
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        code = _run(**json.loads(text))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - a fork must not return into the loop of its parent
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        for output in (sys.stdout, sys.stderr):
            output.flush()
        connection.send(str(code).encode())
        os._exit(code)


def _run(argv: list[str], folder: str, environ: dict[str, str]) -> int:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv, sys.path[0] = argv, str(Path(argv[0]).parent)
    module, _, function = COMMANDS[Path(argv[0]).name].partition(":")
    code: Any = getattr(importlib.import_module(module), function)()
    return int(code or 0)


def example() -> None:
    exec(compile(sys.argv[1], "example", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
