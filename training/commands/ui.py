"""text-recognizer ui: runs, sweeps, devices and data in a browser."""

import argparse
import tempfile
import threading
from pathlib import Path

from training.commands.base import Command
from training.runs.places import runs_folder
from training.terminal.parser import PORT

EXAMPLES = """examples:
  text-recognizer ui
  text-recognizer ui copied-from-the-cluster/runs --port 8020
  text-recognizer ui s3://bucket/runs
  text-recognizer ui --host 0.0.0.0 --no-browser      (for other machines; prints a token)
"""


class Ui(Command):
    """Show runs, sweeps, devices and data in the browser, live."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        help_of_folder = "folder with run folders (default: your runs), or s3://bucket/prefix"
        add = parser.add_argument
        add("folder", nargs="?", metavar="FOLDER", help=help_of_folder)
        add("--port", type=PORT, default=8017, metavar="N", help="(default: %(default)s; 0: any)")
        add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to bind (default: %(default)s)")
        add("--no-browser", action="store_true", help="only print the address")
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from training.ui.server import serve

    how = (arguments.host, arguments.port, not arguments.no_browser)
    if arguments.folder is not None and arguments.folder.startswith("s3://"):
        from training.ui.bucket import RunCopies

        with tempfile.TemporaryDirectory(prefix="text-recognizer-runs-", ignore_cleanup_errors=True) as copied:
            copies = RunCopies(arguments.folder, Path(copied))
            print(f"copying the runs in {copies.place.address} ...", flush=True)
            copies.refresh()
            threading.Thread(target=copies.keep_fresh, daemon=True).start()
            return serve(copies.folder, *how, source=copies.place.address)
    return serve(runs_folder(arguments.folder), *how)
