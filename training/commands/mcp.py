"""text-recognizer mcp: tools for agents over the Model Context Protocol."""

import argparse
import signal

from text_recognizer.errors import SpecError, TextRecognizerError
from text_recognizer.trust import TrustCode
from text_recognizer.wording import received
from training.commands.base import Command

EXAMPLES = """examples:
  text-recognizer mcp                           (an agent may look, and start nothing)
  text-recognizer mcp --runs 20 --minutes 120

A client of the protocol starts it, and talks to it over standard input and output.
"""
_MOST = {"runs": 10**6, "minutes": 10**7}


class Mcp(Command):
    """Tools for agents over the Model Context Protocol, within a budget."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        parser.add_argument("--runs", type=int, default=0, metavar="N", help="that it may start (default: none)")
        parser.add_argument(
            "--minutes", type=float, default=0.0, metavar="M", help="of all runs together (default: none)"
        )
        parser.add_argument("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    for name, most in _MOST.items():
        if not 0 <= (value := getattr(arguments, name)) <= most:
            raise SpecError(f"--{name} must be from 0 to {most:,}. {received(value)}")
    try:
        import anyio
        import mcp  # noqa: F401
    except ImportError:
        raise TextRecognizerError(
            "text-recognizer mcp needs the package 'mcp'. Install it with: pip install 'text-recognizer[mcp]'"
        ) from None
    from training.mcp.budget import Budget
    from training.mcp.server import serve
    from training.mcp.tools import Tools

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # else it would end only with the next line of its input
    anyio.run(serve, Tools(Budget(arguments.runs, arguments.minutes)))
    return 0
