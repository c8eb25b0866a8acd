"""text-recognizer mcp: tools for agents over the Model Context Protocol."""

import argparse
import signal

from text_recognizer.errors import TextRecognizerError
from text_recognizer.trust import TrustCode
from training.commands.base import Command
from training.terminal.parser import number

EXAMPLES = """examples:
  text-recognizer mcp                           (an agent may look, and start nothing)
  text-recognizer mcp --runs 20 --minutes 120

A client of the protocol starts it, and talks to it over standard input and output.
"""


class Mcp(Command):
    """Tools for agents over the Model Context Protocol, within a budget."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        add, minutes = parser.add_argument, number(float, 0, 10**7)
        add("--runs", type=number(int, 0, 10**6), default=0, metavar="N", help="that it may start (default: none)")
        add("--minutes", type=minutes, default=0.0, metavar="M", help="of all runs together (default: none)")
        add("--trust-code", action=TrustCode)
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
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
