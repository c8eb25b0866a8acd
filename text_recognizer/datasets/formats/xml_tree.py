"""Parses XML files into trees, without the dangerous features of XML."""

from html.entities import html5
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from text_recognizer.errors import DataError, reason

_MOST_NESTED = 32  # twice the depth of ALTO, PAGE and IAM; nested elements are read once per level


class _RefusedError(Exception):
    pass


def read_xml(path: Path) -> Element:
    """The root element, with names without namespaces. Raises DataError: about what the file describes.

    Entity declarations and deep nesting are refused; nothing outside the file is ever read.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    depth = 0

    def start(name: str, attributes: dict[str, Any]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MOST_NESTED:
            raise _RefusedError(f"its elements are nested more than {_MOST_NESTED} deep")
        builder.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    def refuse(*_: Any) -> None:
        raise _RefusedError("it declares entities")

    def named_character(name: str, _: bool) -> None:
        """Of a document type in another file, which is not read: that of XHTML has the named characters of HTML."""
        if f"{name};" not in html5:
            raise _RefusedError(f"the entity &{name}; is unknown")
        builder.data(html5[f"{name};"])

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse
    parser.SkippedEntityHandler = named_character
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except FileNotFoundError:
        raise DataError(f"its XML file is missing: {path}.") from None
    except OSError as error:
        raise DataError(f"its XML file cannot be read: {path}: {error.strerror or error}.") from None
    except (expat.ExpatError, _RefusedError, LookupError, ValueError) as error:
        raise DataError(f"its XML file is damaged: {path}: {reason(error)}.", common=reason(error)) from None


def _local(name: str) -> str:
    return name.rpartition("}")[2]
