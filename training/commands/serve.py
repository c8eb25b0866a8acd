"""text-recognizer serve: a trained bundle as a web service, with a page."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from text_recognizer.errors import SpecError
from text_recognizer.predictors.character import DEFAULT_BUNDLE as CHARACTER_READER
from text_recognizer.predictors.line import DEFAULT_BUNDLE as LINE_READER
from text_recognizer.promoted.store import ModelStore
from text_recognizer.trust import TrustCode
from training.commands.base import A_BUNDLE, Command
from training.runs.find import bundle_named
from training.terminal.command_line import say
from training.terminal.log_file import standard_error_off
from training.terminal.parser import PORT, number

if TYPE_CHECKING:
    from text_recognizer.models.bundle import Bundle
    from text_recognizer.serving.models import Shelf
    from text_recognizer.serving.reading import ServedModel


class Serve(Command):
    """Serve predictions over HTTP, with a page in the browser."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer serve\n"
            "  text-recognizer serve --bundle last --port 8080\n"
            "  text-recognizer serve --models ~/.local/share/text_recognizer/models\n"
            "  curl -F image=@line.png http://127.0.0.1:8000/v1/predict"
        )
        add = parser.add_argument
        add("--bundle", help=f"{A_BUNDLE} (default: the included ones)")
        add("--models", type=Path, metavar="DIR", help="serve all models promoted into this folder")
        add("--detector", metavar="BUNDLE", help="bundle that finds the lines of pages (default: untrained)")
        add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        add("--port", type=PORT, default=8000, help="port (default: 8000; 0: any free port)")
        add(
            "--allow-host",
            action="append",
            default=[],
            metavar="HOST",
            help="host or network that image_url may use although it is not public; may be repeated",
        )
        add("--batch", type=number(int, 1, 1024), default=32, metavar="N", help="maximum batch size (default: 32)")
        add(
            "--queue",
            type=number(int, 1, 4096),
            default=64,
            metavar="N",
            help="waiting predictions (default: 64)",
        )
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.models is not None and arguments.bundle is not None:
        raise SpecError("--models serves all promoted models, --bundle serves one: give one of the two.")

    from text_recognizer.serving.addresses import AllowList
    from text_recognizer.serving.fetching import Fetcher
    from text_recognizer.serving.metrics import Metrics
    from text_recognizer.serving.models import model_of
    from text_recognizer.serving.server import serve
    from text_recognizer.serving.service import Service

    fetcher = Fetcher(AllowList.of(arguments.allow_host))
    metrics = Metrics()
    detector = None if arguments.detector is None else bundle_named(arguments.detector)
    shelf = _shelf(arguments, partial(model_of, metrics=metrics, most_batch=arguments.batch, detector=detector))
    say(f"serving {', '.join(f'{one.name} ({one.version})' for one in shelf.models.values())}")
    serve(Service(shelf, metrics, fetcher, arguments.queue), arguments.host, arguments.port)
    return 0


def _shelf(arguments: argparse.Namespace, make: "Callable[[str, str, Bundle], ServedModel]") -> "Shelf":
    from text_recognizer.serving.models import PromotedShelf, Shelf

    with standard_error_off():  # TensorFlow's start-up notes
        if arguments.models is not None:
            return PromotedShelf(arguments.models, make)
        names = [LINE_READER, CHARACTER_READER] if arguments.bundle is None else [arguments.bundle]
        bundles = [(name, bundle_named(name)) for name in names]
        return Shelf(*(make(_name_of(name, bundle), bundle.run_id, bundle) for name, bundle in bundles))


def _name_of(asked: str, bundle: "Bundle") -> str:
    promoted = ModelStore().find(asked)
    if promoted is not None and promoted.folder == bundle.folder:
        return promoted.name
    folder = bundle.folder.resolve()
    return folder.parent.name if folder.name == "model" else folder.name  # "model" is a subfolder of a run
