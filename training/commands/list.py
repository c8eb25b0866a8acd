"""text-recognizer list: lists the parts of specs and command lines, with their arguments."""

import argparse
import json
import textwrap

from text_recognizer.errors import SpecError
from text_recognizer.wording import did_you_mean
from training.commands.base import Command
from training.views.parts import KINDS, entries, own_entry


class ListNames(Command):
    """List what a spec or command line can name, with arguments."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = (
            "examples:\n  text-recognizer list\n  text-recognizer list networks\n"
            "  text-recognizer list datasets HwdbDataset\n  text-recognizer list train_args --json"
        )
        parser.add_argument("kind", nargs="?", choices=[*KINDS, "train_args"], help="default: all")
        parser.add_argument("names", nargs="*", metavar="NAME", help="only these, in full; also package.module:Name")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    wanted = [arguments.kind] if arguments.kind else [*KINDS, "train_args"]
    listing = {kind: entries(kind) for kind in wanted}
    if arguments.names:
        parts = listing[arguments.kind]
        if arguments.kind in KINDS:
            parts |= {name: own_entry(arguments.kind, name) for name in arguments.names if ":" in name}
        if unknown := next((name for name in arguments.names if name not in parts), None):
            guess = did_you_mean(unknown, parts)
            raise SpecError(
                f"there is nothing called '{unknown}' among the {arguments.kind}.{guess} There are: {', '.join(parts)}."
            )
        listing = {arguments.kind: {name: parts[name] for name in arguments.names}}
    if arguments.json:
        print(json.dumps(listing, indent=2))
        return 0
    for kind, parts in listing.items():
        print(kind)
        for name, entry in parts.items():
            text = entry["description" if arguments.names else "summary"]
            print(textwrap.indent(f"{name}: {text}" if text else name, "  "))
            for argument, described in entry["arguments"].items():
                default = "required" if described["required"] else f"= {json.dumps(described['default'])}"
                print(f"      {argument} {default}  ({described['type']})")
                if arguments.names and described["meaning"]:
                    print(textwrap.fill(described["meaning"], 100, initial_indent=" " * 10, subsequent_indent=" " * 10))
    return 0
