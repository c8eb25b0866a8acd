"""The Open Inference Protocol and the description of the service."""

import base64
import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from text_recognizer.images.read import png_bytes
from text_recognizer.tests.serving.serving_support import grey_app

PICTURE = png_bytes(np.repeat(np.array([[40, 60]], np.uint8), 8, axis=0).repeat(8, axis=1))
INFER = "/v2/models/grey/infer"


@pytest.fixture(scope="module")
def client():
    with TestClient(grey_app()) as client:
        yield client


def tensor(datatype="BYTES", shape=(1,), **more):
    return {"name": "image", "datatype": datatype, "shape": list(shape), **more}


def data_of(answer):
    assert answer.status_code == 200, answer.text
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/grey/ready", "/v2"])
def test_health_and_readiness_are_told(client, path):
    assert client.get(path).status_code == 200


def test_a_model_says_what_it_takes_and_gives(client):
    found = client.get("/v2/models/grey/versions/1").json()
    assert (found["name"], found["versions"]) == ("grey", ["1"])
    assert [one["name"] for one in found["inputs"]] == ["image"]
    assert [(one["name"], one["datatype"]) for one in found["outputs"]] == [("text", "BYTES"), ("confidence", "FP32")]


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/other/ready", "/v2/models/grey/versions/2"])
def test_a_model_that_is_not_served_is_not_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "grey (1)" in answer.json()["error"]


def test_image_files_are_read_in_one_request(client):
    encoded = base64.b64encode(PICTURE).decode()
    data = [encoded, f"data:image/png;base64,{encoded}"]
    answer = client.post(INFER, json={"id": "7", "inputs": [tensor(shape=[2], data=data)]})
    assert data_of(answer) == {"text": ["50", "50"], "confidence": [0.75, 0.75]}
    assert (answer.json()["id"], answer.json()["model_name"], answer.json()["model_version"]) == ("7", "grey", "1")


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 2, 2, 1)])
def test_pixels_are_read_flat_or_nested(client, shape):
    levels = np.array([[[0, 0], [4, 4]], [[200, 0], [0, 0]]])
    for data in (levels.ravel().tolist(), levels.reshape(shape).tolist()):
        answer = client.post(INFER, json={"inputs": [tensor("UINT8", shape, data=data)], "outputs": [{"name": "text"}]})
        assert data_of(answer) == {"text": ["0", "200"]}  # the predictor looks at every second pixel


def binary(head, content):
    text = json.dumps(head).encode()
    return {"content": text + content, "headers": {"Inference-Header-Content-Length": str(len(text))}}


def test_tensors_behind_the_json_are_read(client):
    content = len(PICTURE).to_bytes(4, "little") + PICTURE
    head = {"inputs": [tensor(parameters={"binary_data_size": len(content)})]}
    assert data_of(client.post(INFER, **binary(head, content)))["text"] == ["50"]
    levels = np.array([[[7, 7], [9, 9]]], np.uint8).tobytes()
    head = {"inputs": [tensor("UINT8", (1, 2, 2), parameters={"binary_data_size": 4})]}
    assert data_of(client.post(INFER, **binary(head, levels)))["text"] == ["7"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "inputs must be a list of one tensor"),
        ({"inputs": [tensor(data=["AAAA"]), tensor(data=["AAAA"])]}, "inputs must be a list of one tensor"),
        ({"inputs": [{**tensor(data=["AAAA"]), "name": "picture"}]}, "must be named 'image'"),
        ({"inputs": [tensor(shape=[], data=[])]}, "shape must be"),
        ({"inputs": [tensor(shape=[0], data=[])]}, "shape must be"),
        ({"inputs": [tensor(shape=[True], data=[])]}, "shape must be"),
        ({"inputs": [tensor(shape=[257], data=[])]}, "at most 256 images"),
        ({"inputs": [tensor(shape=[2], data=["AAAA"])]}, "must contain 2 image files"),
        ({"inputs": [tensor(data=[5])]}, "must contain 1 image files"),
        ({"inputs": [tensor(data=["*"])]}, "base64"),
        ({"inputs": [tensor("FP32", [1], data=[1])]}, "datatype and shape"),
        ({"inputs": [tensor("UINT8", [1, 2, 2], data=[1, 2, 3])]}, "must contain 4 whole numbers"),
        ({"inputs": [tensor("UINT8", [1, 1, 1], data=[256])]}, "must contain 1 whole numbers"),
        ({"inputs": [tensor("UINT8", [1, 1, 2], data=[[1], [1, 2]])]}, "must contain 2 whole numbers"),
        ({"inputs": [tensor("UINT8", [1, 99999, 99999], data=[])]}, "whole numbers"),
        ({"inputs": [tensor(parameters={"binary_data_size": 4})]}, "binary_data_size"),
        ({"inputs": [tensor(data=["AAAA"])], "id": 5}, "id must be text"),
        ({"inputs": [tensor("UINT8", [1, 1, 1], data=[1])], "outputs": [{"name": "logits"}]}, "outputs must name"),
        ({"inputs": [tensor("UINT8", [1, 1, 1], data=[1])], "outputs": "text"}, "outputs must name"),
        ({"inputs": [tensor("UINT8", [1, 1, 1], data=[1])], "outputs": [{"name": "text"}] * 3}, "outputs must name"),
        ({"inputs": [tensor("UINT8", [1, 10**4000, 10**4000], data=[1])]}, "shape must be"),
        ({"inputs": [tensor(data=["AAAA"])], "id": "\ud800"}, "the body is not JSON"),
    ],
)
def test_a_request_that_is_none_of_the_protocol_is_refused(client, body, says):
    answer = client.post(INFER, content=json.dumps(body))
    assert (answer.status_code, says in answer.json()["error"]) == (400, True), answer.text


def test_millions_of_empty_files_behind_the_json_take_no_time(client):
    head = {"inputs": [tensor(parameters={"binary_data_size": 8_000_000})]}
    answer = client.post(INFER, **binary(head, bytes(8_000_000)))  # copying what is left for each would take for ever
    assert answer.status_code == 400


@pytest.mark.parametrize("content", [b"\x09\0\0\0" + bytes(8), bytes(6), bytes(3)])
def test_files_behind_the_json_that_are_not_whole_are_refused(client, content):
    head = {"inputs": [tensor(parameters={"binary_data_size": len(content)})]}
    answer = client.post(INFER, **binary(head, content))
    assert (answer.status_code, "must contain 1 image files" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("length", ["x", "-1", "99999", "9" * 5000])
def test_a_wrong_length_of_the_json_is_refused(client, length):
    answer = client.post(INFER, content=b"{}", headers={"Inference-Header-Content-Length": length})
    assert answer.status_code == 400


def test_an_image_that_cannot_be_read_is_named_by_its_place(client):
    data = [base64.b64encode(one).decode() for one in (PICTURE, b"no picture")]
    answer = client.post(INFER, json={"inputs": [tensor(shape=[2], data=data)]})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("image 1 of 2: ")


def test_the_description_names_every_route_and_only_those(client):
    described = client.get("/openapi.json").json()
    described_routes = [route for route in client.app.app.routes if route.include_in_schema]
    routes = {(route.path, method) for route in described_routes for method in route.methods - {"HEAD"}}
    listed = {
        (path, method.upper()) for path, item in described["paths"].items() for method in item if method != "parameters"
    }
    assert listed == routes


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (tensor(data=[base64.b64encode(PICTURE).decode()]), 200),
        (tensor("UINT8", (1, 2, 2), data=[[[1, 1], [2, 2]]]), 200),
        (tensor(), 400),
        (tensor(shape=[1, 2, 2], data=["AAAA"]), 400),
        (tensor(data=[1]), 400),
        (tensor("UINT8", data=[1]), 400),
        (tensor("FP32", data=[1]), 400),
    ],
)
def test_the_description_takes_the_tensors_that_the_server_takes(client, given, status):
    from jsonschema import Draft202012Validator

    components = client.get("/openapi.json").json()["components"]
    schema = {"$ref": "#/components/schemas/InferRequest", "components": components}
    assert Draft202012Validator(schema).is_valid({"inputs": [given]}) == (status == 200)
    assert client.post(INFER, json={"inputs": [given]}).status_code == status


def test_answers_are_as_the_description_says(client):
    from jsonschema import Draft202012Validator

    components = client.get("/openapi.json").json()["components"]
    encoded = base64.b64encode(PICTURE).decode()
    asked = {"image": f"data:image/png;base64,{encoded}"}
    for name, answer in {
        "Prediction": client.post("/v1/predict", json=asked),
        "Error": client.post("/v1/predict", json={}),
        "InferAnswer": client.post(INFER, json={"inputs": [tensor(data=[encoded])]}),
    }.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        Draft202012Validator(schema).validate(answer.json())
