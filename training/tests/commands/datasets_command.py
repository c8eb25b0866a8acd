"""The command `text-recognizer datasets` in this process, and a registry for it."""

from training.commands.datasets import Datasets
from training.terminal.parser import Parser

CONTENT = b"letters " * 1000

REGISTRY = """\
# Our registry.

[first]   # a remark
url = "https://a.example/1.zip"
filename   =   "1.zip"
sha256 = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"

# About the second.
[second]
title = "Old"

[[second.files]]
urls = ["https://a.example/2.zip",   # the first
        "https://b.example/2.zip"]
filename = "2.zip"
sha256 = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"

# About the third.
[third]
filename = "3.zip"
sha256 = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"
login = "Register."
# The end.
"""


def run(*arguments: str) -> int:
    parser = Parser()
    Datasets().configure(parser)
    args = parser.parse_args(arguments)
    return int(args.run(args))
