"""text-recognizer list: list what a spec or command line can name, with arguments."""

import argparse
import json

from training.commands.base import Command
from training.commands.parts import KINDS, entries


class ListNames(Command):
    """What can be named in a spec or on a command line, with its arguments."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer list\n  text-recognizer list networks\n"
            "  text-recognizer list train_args --json"
        )
        parser.add_argument("kind", nargs="?", choices=[*KINDS, "train_args"], help="default: all")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    wanted = [arguments.kind] if arguments.kind else [*KINDS, "train_args"]
    listing = {kind: entries(kind) for kind in wanted}
    if arguments.json:
        print(json.dumps(listing, indent=2))
        return 0
    for kind, parts in listing.items():
        print(kind)
        for name, entry in parts.items():
            print(f"  {name}" + (f": {entry['summary']}" if entry["summary"] else ""))
            for argument, described in entry["arguments"].items():
                default = "required" if described["required"] else f"= {json.dumps(described['default'])}"
                print(f"      {argument} {default}  ({described['type']})")
    return 0
