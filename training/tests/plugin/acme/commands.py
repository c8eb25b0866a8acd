"""A command from outside."""

from training.commands.base import Command


class Hello(Command):
    """Greets."""

    def configure(self, parser):
        parser.add_argument("name", metavar="NAME")
        parser.set_defaults(run=self.greet)

    def greet(self, arguments):
        print(f"hello {arguments.name}")
        return 0
