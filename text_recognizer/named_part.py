"""A part by name, with arguments, in one text: "tensorboard", "wandb:online", "acme.search:Halton:base=3,skip=10"."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from text_recognizer.arguments import arguments_of, check_arguments
from text_recognizer.errors import SpecError
from text_recognizer.registry import GIVEN, names, resolve
from text_recognizer.spec import parse_value


@dataclass(frozen=True)
class NamedPart:
    """A checked part: a registered name or "package.module:Class", with arguments of its constructor or `open`."""

    kind: str
    name: str
    arguments: Mapping[str, Any]

    @classmethod
    def parse(cls, kind: str, text: str) -> "NamedPart":
        """From NAME, NAME:VALUE (the first argument), NAME:KEY=VALUE,…. Raises SpecError: no such part or argument."""
        name, _, rest = text.partition(":")
        if name not in names(kind) and rest.partition(":")[0].isidentifier():  # package.module:Name
            attribute, _, rest = rest.partition(":")
            name = f"{name}:{attribute}"
        own = [one for one in arguments_of(constructor_of(resolve(kind, name))) if one not in GIVEN[kind]]
        found = {}
        for argument in filter(None, rest.split(",")):
            key, equals, value = argument.partition("=")
            if not equals and not own:
                raise SpecError(f"{kind} '{name}' takes no arguments. Received: {argument!r}.")
            found[key if equals else own[0]] = parse_value(value if equals else argument)
        part = cls(kind, name, found)
        part._checked()
        return part

    def make(self, **given: Any) -> Any:
        """The part; `given` comes from the program (registry.GIVEN). Raises SpecError: an argument is wrong."""
        return constructor_of(resolve(self.kind, self.name))(**given, **self._checked())

    def __str__(self) -> str:
        arguments = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.name}:{arguments}" if arguments else self.name

    def _checked(self) -> dict[str, Any]:
        constructor, given = constructor_of(resolve(self.kind, self.name)), GIVEN[self.kind]
        arguments, problems = check_arguments(f"{self.kind} '{self.name}'", constructor, self.arguments, given)
        if problems:
            raise SpecError(problems)
        return arguments


def constructor_of(target: Any) -> Callable[..., Any]:
    """The constructor of a part: its classmethod `open`, or the class itself."""
    return getattr(target, "open", target)  # type: ignore[no-any-return]
