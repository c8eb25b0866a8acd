"""MkDocs hook: the pages of the reference that the program itself writes, at every build."""

import html
import io
import json
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from text_recognizer.registry import resolve
from training import cli, run_experiment
from training.commands.table import SUMMARIES
from training.sweeps import options
from training.terminal.parser import Parser

WIDTH = "80"  # of help texts, whatever the terminal's


def on_files(files: Files, config: MkDocsConfig) -> Files:
    os.environ["COLUMNS"] = WIDTH
    for name, text in (("commands", commands()), ("parts", parts()), ("spec", spec())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def commands() -> str:
    """`--help` of every command."""
    parsers = [run_experiment.parser("run_experiment"), options.parser("run_sweep")]
    for name, what in SUMMARIES.items():  # those that are built in
        parser = Parser(prog=f"text-recognizer {name}", description=what)
        resolve("command", name)().configure(parser)
        parsers.append(parser)
    texts = ["# Commands\n\nWhat `--help` prints.\n"]
    texts += [f"## {one.prog}\n\n```text\n{one.format_help()}```\n" for top in parsers for one in _with_below(top)]
    return "\n".join(texts)


def _with_below(parser: Any) -> Iterator[Any]:
    yield parser
    for action in parser._actions:
        for below in (action.choices or {}).values() if action.nargs == "A..." else ():
            yield from _with_below(below)


def parts() -> str:
    """`text-recognizer list --json` as tables."""
    listing = json.loads(_printed(lambda: cli.main(["list", "--json"])))
    texts = ["# Parts and their arguments\n\nWhat `text-recognizer list` shows: every name that a spec can hold.\n"]
    for kind, entries in listing.items():
        texts.append(f"## {kind}\n")
        for name, entry in entries.items():
            texts.append((f"### {name}\n" if name != kind else "") + f"\n{entry['summary']}\n")
            more = entry["description"].removeprefix(entry["summary"]).strip()
            texts.append(f"{html.escape(more, quote=False)}\n" if more else "")
            rows = [_row(argument, described) for argument, described in entry["arguments"].items()]
            texts.append(
                "\n".join(["| argument | default | values | meaning |", "|---|---|---|---|", *rows]) + "\n"
                if rows
                else ""
            )
    return "\n".join(texts)


def _row(argument: str, described: dict[str, Any]) -> str:
    default = "required" if described["required"] else f"`{json.dumps(described['default'])}`"
    cells = (described["type"], html.escape(described["meaning"], quote=False))
    return " | ".join([f"| `{argument}`", default, *(cell.replace("|", chr(92) + "|") for cell in cells), ""]).rstrip()


def spec() -> str:
    """`run_experiment --schema`."""
    schema = _printed(lambda: run_experiment.main(["--schema"]))
    return f"# The spec\n\nWhat `run_experiment --schema` prints: a JSON Schema.\n\n```json\n{schema}```\n"


def _printed(function: Any) -> str:
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = function()
    if code:
        raise RuntimeError(f"it ended with exit code {code}: {printed.getvalue()}")
    return printed.getvalue()
