"""The Open Inference Protocol, version 2, for clients of KServe and Triton.

A model takes one tensor "image": BYTES with image files (n), or UINT8 with grey images of one size (n, h, w). It
returns "text", BYTES (n), and "confidence", FP32 (n). Requests may be binary, as Triton's clients send them; answers
are JSON.
Source: https://github.com/kserve/open-inference-protocol and Triton's extension "binary tensor data".
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from text_recognizer import __version__
from text_recognizer.errors import DataError
from text_recognizer.images.read import ImageSource
from text_recognizer.serving.pictures import bad_request, base64_content, data_url_content, object_in
from text_recognizer.serving.reading import ServedModel
from text_recognizer.serving.refusals import RefusedError
from text_recognizer.serving.service import service_of
from text_recognizer.wording import received

MOST_IMAGES = 256
MOST_SIZE = 1 << 31  # of an axis
JSON_LENGTH = "inference-header-content-length"
INPUT, OUTPUTS = "image", {"text": "BYTES", "confidence": "FP32"}


def fixed(answer: Mapping[str, Any]) -> Callable[[Request], Awaitable[Response]]:
    """A handler that always gives the same answer."""

    async def handler(_: Request) -> Response:
        return JSONResponse(answer)

    return handler


async def model_ready(request: Request) -> Response:
    return JSONResponse({"name": _model(request).name, "ready": True})


async def model(request: Request) -> Response:
    found = _model(request)
    return JSONResponse(
        {
            "name": found.name,
            "versions": [found.version],
            "platform": "text-recognizer",
            "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in OUTPUTS.items()],
        }
    )


async def infer(request: Request) -> Response:
    body, length = await request.body(), request.headers.get(JSON_LENGTH)
    with service_of(request).predictions.one():
        value, images = await asyncio.to_thread(_asked, body, length)
        found = _model(request)  # as late as possible: it may be replaced meanwhile
        outputs = _outputs_asked(value)
        identity = value.get("id", request.state.request_id)
        if not isinstance(identity, str):
            raise bad_request(f"id must be text. {received(identity)}")
        readings = await asyncio.gather(*(found.read(image) for image in images), return_exceptions=True)
    data: dict[str, list[Any]] = {name: [] for name in OUTPUTS}
    for place, reading in enumerate(readings):
        if isinstance(reading, DataError):
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"image {place} of {len(images)}: {reading}")
        if isinstance(reading, BaseException):
            raise reading
        for name, values in data.items():
            values.append(getattr(reading, name))
    return JSONResponse(
        {
            "model_name": found.name,
            "model_version": found.version,
            "id": identity,
            "outputs": [
                {"name": name, "datatype": OUTPUTS[name], "shape": [len(images)], "data": data[name]}
                for name in outputs
            ],
        }
    )


ROUTES = [
    Route("/v2", fixed({"name": "text-recognizer", "version": __version__, "extensions": ["binary_tensor_data"]})),
    Route("/v2/health/live", fixed({"live": True})),
    Route("/v2/health/ready", fixed({"ready": True})),  # models are loaded before the port is open
    *(
        route
        for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
        for route in (
            Route(path, model),
            Route(f"{path}/ready", model_ready),
            Route(f"{path}/infer", infer, methods=["POST"]),
        )
    ),
]


def _model(request: Request) -> ServedModel:
    names = request.path_params
    return service_of(request).shelf.get(names["name"], names.get("version"))


def _asked(body: bytes, json_length: str | None) -> tuple[dict[str, Any], list[ImageSource]]:
    """The JSON of a request, and its images, which may follow the JSON."""
    if json_length is None:
        value = object_in(body)
        return value, _images(value, b"")
    if not json_length.isdecimal() or len(json_length) > 9 or int(json_length) > len(body):
        raise bad_request(f"{JSON_LENGTH} must be a number of bytes of the body. {received(json_length)}")
    length = int(json_length)
    value = object_in(body[:length])
    return value, _images(value, body[length:])


def _images(value: Mapping[str, Any], binary: bytes) -> list[ImageSource]:
    """The images of the one input."""
    inputs = value.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise bad_request(f"inputs must be a list of one tensor, '{INPUT}'. {received(inputs)}")
    tensor = inputs[0]
    name, shape = tensor.get("name"), tensor.get("shape")
    if name != INPUT:
        raise bad_request(f"the input must be named '{INPUT}'. {received(name)}")
    if (
        not isinstance(shape, list)
        or not all(type(size) is int and 0 < size < MOST_SIZE for size in shape)
        or not shape
    ):
        raise bad_request(f"shape must be a list of positive numbers. {received(shape)}")
    if shape[0] > MOST_IMAGES:
        raise bad_request(f"at most {MOST_IMAGES} images are read at once. {received(shape[0])}")
    parameters = tensor.get("parameters")
    if isinstance(parameters, dict) and "binary_data_size" in parameters:
        if parameters["binary_data_size"] != len(binary):
            raise bad_request(f"binary_data_size must be the {len(binary)} bytes that follow the JSON.")
        data: Any = binary
    else:
        data = tensor.get("data")
    kind = tensor.get("datatype")
    if kind == "BYTES" and len(shape) == 1:
        return _files(data, shape[0])
    if kind == "UINT8" and len(shape) in (3, 4) and shape[3:] in ([], [1]):
        return list(_pixels(data, shape))
    raise bad_request(f"datatype and shape must be BYTES [n] or UINT8 [n, height, width]. {received((kind, shape))}")


def _files(data: object, count: int) -> list[ImageSource]:
    """Image files: strings of base64 or data URLs; or, in binary, each preceded by its length."""
    found: list[ImageSource] = []
    if isinstance(data, bytes):
        start = 0
        while start < len(data) and len(found) <= count:
            first = start + 4
            start = first + int.from_bytes(data[start:first], "little")
            found.append(data[first:start])
        found = found if start == len(data) else []
    elif isinstance(data, list) and all(isinstance(one, str) for one in data):
        found = [data_url_content(one) if one.startswith("data:") else base64_content(one) for one in data]
    if len(found) != count:
        raise bad_request(f"data must contain {count} image files, as base64 or as data URLs.")
    return found


def _pixels(data: object, shape: list[int]) -> Any:
    """Grey images (n, h, w)."""
    try:
        values = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.asarray(data)
        is_level = values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 255
        if not is_level or values.size != math.prod(shape):
            raise ValueError
        return values.astype(np.uint8).reshape(*shape[:3])
    except ValueError:
        raise bad_request(f"data must contain {math.prod(shape):,} whole numbers from 0 to 255.") from None


def _outputs_asked(value: Mapping[str, Any]) -> list[str]:
    asked = value.get("outputs")
    if asked is None or asked == []:
        return list(OUTPUTS)
    given = asked if isinstance(asked, list) else [None]
    names = [str(one.get("name")) if isinstance(one, dict) else "" for one in given]
    if not all(name in OUTPUTS for name in names) or len(names) > len(OUTPUTS):
        raise bad_request(f"outputs must name some of {', '.join(OUTPUTS)}. {received(asked)}")
    return names
