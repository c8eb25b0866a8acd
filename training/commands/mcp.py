"""text-recognizer mcp: tools for agents over the Model Context Protocol."""

import argparse
import signal

from text_recognizer.errors import TextRecognizerError
from text_recognizer.trust import TrustCode
from training.commands.base import Command
from training.terminal.parser import number

EXAMPLES = """examples:
  text-recognizer mcp                           (agents can look, but start nothing)
  text-recognizer mcp --runs 20 --minutes 120

An MCP client starts this command and talks to it over standard input and output.
"""


class Mcp(Command):
    """Offer tools to agents over the Model Context Protocol, within a budget."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        add, minutes = parser.add_argument, number(float, 0, 10**7)
        add("--runs", type=number(int, 0, 10**6), default=0, metavar="N", help="number of runs allowed (default: 0)")
        add("--minutes", type=minutes, default=0.0, metavar="M", help="total minutes of runs allowed (default: 0)")
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

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # otherwise it would exit only at the next line of input
    anyio.run(serve, Tools(Budget(arguments.runs, arguments.minutes)))
    return 0
