"""The image of a request: a file, a data URL or a web address, and how to read it."""

import asyncio
import base64
import binascii
import encodings
import json
from dataclasses import dataclass
from encodings.aliases import aliases
from http import HTTPStatus
from typing import Any, cast

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.requests import Request

from text_recognizer.errors import reason
from text_recognizer.json_text import parse_json_text
from text_recognizer.predictors.load import Layout
from text_recognizer.serving.fetching import Fetcher
from text_recognizer.serving.reading import LAYOUTS
from text_recognizer.serving.refusals import RefusedError
from text_recognizer.wording import received, shortened

_LINE_BREAKS = b"\r\n"
MOST_VALUES = 1 << 19  # of a body in JSON: a fifth of a second


@dataclass(frozen=True)
class Asked:
    """The content of a request.

    Args:
        content: the bytes of an image file.
        model: name of the model; None for the first.
        layout: whether the image shows one line (or character) or a page; None decides by its shape.
    """

    content: bytes
    model: str | None = None
    layout: Layout | None = None


async def asked_by_address(request: Request, fetcher: Fetcher) -> Asked:
    """Parses `GET …?image_url=…`."""
    query = dict(request.query_params)
    url = query.pop("image_url", None)
    if not url:
        raise bad_request("the query must have image_url: the address of an image (?image_url=https://…).")
    options = _options(query)  # checked before another machine is contacted
    return Asked(await fetcher.fetch(url), **options)


async def asked_by_body(request: Request) -> Asked:
    """Parses a `POST`: JSON with a data URL, or a form with a file."""
    header = request.headers.get("content-type", "")
    kind = header.partition(";")[0].strip().lower()
    if kind == "application/json":
        return await asyncio.to_thread(_asked_in_json, await request.body(), dict(request.query_params))
    if kind == "multipart/form-data":
        charset = parse_options_header(header)[1].get(b"charset", b"utf-8").decode("latin-1")
        if not _is_utf_8(charset):  # some of Python's codecs raise other errors, or return lone surrogates
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a form must be in UTF-8. {received(charset)}")
        async with request.form(max_files=1, max_fields=8) as form:
            file = form.get("image")
            if not isinstance(file, UploadFile):
                raise bad_request("the form must have a file named 'image'.")
            fields = {name: value for name, value in form.items() if name != "image"}
            return Asked(await file.read(), **_options({**request.query_params, **fields}))
    raise RefusedError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be application/json or multipart/form-data. {received(kind)}"
    )


def object_in(body: bytes) -> dict[str, Any]:
    """A body as a JSON object; call it in a thread. The number of values is limited, as parsing blocks all threads."""
    lists_and_keys = sum(map(body.count, (b"[", b"{", b":")))
    if body.count(b",") + 8 * lists_and_keys > MOST_VALUES:  # each takes eight times as long to parse as a number
        message = f"at most {MOST_VALUES:,} JSON values are read. Send images as files, not as numbers."
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    try:
        value = parse_json_text(body.decode("utf-8"))
        if rb"\u" in body:  # may be a lone surrogate, which no response can contain
            json.dumps(value, ensure_ascii=False).encode()
    except ValueError as error:
        raise bad_request(f"the body is not JSON: {reason(error)}.") from None
    if not isinstance(value, dict):
        raise bad_request(f"the body must be a JSON object. {received(value)}")
    return value


def data_url_content(url: object) -> bytes:
    """The bytes in a data URL."""
    head, comma, text = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        raise bad_request(f"'image' must be text like data:image/png;base64,… {received(url)}")
    return base64_content(text)


def base64_content(text: str) -> bytes:
    """Decodes base64. Line breaks are allowed: MIME encoders add them. Spaces are not: they are decoded plus signs."""
    try:
        return base64.b64decode(text.encode("ascii").translate(None, _LINE_BREAKS), validate=True)
    except (ValueError, binascii.Error) as error:
        raise bad_request(f"the image is not valid base64: {reason(error)}.") from None


def bad_request(message: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, message)


def _asked_in_json(body: bytes, query: dict[str, str]) -> Asked:
    value = object_in(body)
    content = data_url_content(value.pop("image", None))
    return Asked(content, **_options({**query, **value}))


def _is_utf_8(charset: str) -> bool:
    name = encodings.normalize_encoding(charset).lower()
    return aliases.get(name, name) == "utf_8"  # codecs.lookup() caches unknown names without limit


def _options(given: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(given.keys() - {"model", "layout"})
    if unknown:
        raise bad_request(f"unknown option '{shortened(unknown[0])}'. Allowed: model, layout.")
    layout, model = given.get("layout"), given.get("model")
    if layout is not None and layout not in LAYOUTS:
        raise bad_request(f"layout must be one of {', '.join(LAYOUTS)}. {received(layout)}")
    if model is not None and not isinstance(model, str):
        raise bad_request(f"model must be the name of a model. {received(model)}")
    return {"layout": cast(Layout | None, layout), "model": model}
