"""The prediction service: what is asked and answered over HTTP."""

import asyncio
import base64
import contextlib
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from text_recognizer.images.read import png_bytes
from text_recognizer.json_text import parse_json_text
from text_recognizer.serving.addresses import AllowList
from text_recognizer.serving.batching import Batcher
from text_recognizer.serving.fetching import Fetcher
from text_recognizer.tests.datasets.file_server import FileServer
from text_recognizer.tests.serving.serving_support import GreyPredictor, grey_app, grey_service, on_a_port
from text_recognizer.tests.waiting import PATIENCE_S, wait_until

HALF = np.repeat(np.array([[40, 60]], np.uint8), 8, axis=0).repeat(8, axis=1)  # (8, 16), its mean is 50
PICTURE = png_bytes(HALF)
JSON = {"content-type": "application/json"}
BYTES = {"name": "image", "datatype": "BYTES", "shape": [1]}
DATA_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


@pytest.fixture
def client():
    with TestClient(grey_app(), raise_server_exceptions=False) as client:
        yield client


def test_a_picture_in_json_is_read_with_the_keys_of_older_clients(client):
    answer = client.post("/v1/predict", json={"image": DATA_URL})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["pred"], found["conf"]) == ("50", 0.75)
    assert found["model"] == {"name": "grey", "version": "1"}
    assert found["request_id"] == answer.headers["x-request-id"]
    assert 0 <= found["timing_ms"]["reading"] <= found["timing_ms"]["total"]


def test_base64_may_come_in_lines_as_mail_encoders_break_it(client):
    image = "data:image/png;base64,\r\n" + base64.encodebytes(PICTURE).decode()
    assert client.post("/v1/predict", json={"image": image}).json()["pred"] == "50"
    with_blanks = DATA_URL[:-8] + "    " + DATA_URL[-8:]  # as of plus signs in a form
    refused = client.post("/v1/predict", json={"image": with_blanks})
    assert (refused.status_code, "not valid base64" in refused.text) == (400, True)


def test_boxes_are_in_pixels_of_the_picture(client):
    # The predictor halves the picture: its 8 pixels are 16 of the picture.
    line = client.post("/v1/predict", json={"image": DATA_URL}).json()["lines"][0]
    assert line["box"] == [0, 0, 16, 8]
    assert line["characters"] == [{"text": "50", "confidence": 0.75, "box": [0, 0, 16, 8]}]
    assert line["words"] == line["characters"]
    assert line["expected_cer"] == 0.125


def test_a_picture_in_a_form_is_read(client):
    answer = client.post("/v1/predict", files={"image": ("x.png", PICTURE)}, data={"model": "grey"})
    assert answer.json()["pred"] == "50"


def test_the_address_of_older_clients_is_read_with_its_encoded_plus_signs():
    path = "/emnist_lines/or+if+used+the+results.png"
    with FileServer({path: PICTURE}) as server:
        app = grey_app(fetcher=Fetcher(AllowList.of(["127.0.0.1"])))
        with TestClient(app) as client:
            url = server.url(path.replace("+", "%2B"))
            assert client.get(f"/v1/predict?image_url={url}").json()["pred"] == "50"


def test_figures_are_logged_where_metric_filters_look_for_them(client, caplog):
    with caplog.at_level("INFO", "text_recognizer.serving"):
        client.post("/v1/predict", json={"image": DATA_URL}, headers={"x-request-id": "abc-1"})
    assert caplog.messages[:3] == ["METRIC confidence 0.75", "METRIC mean_intensity 50.0", "INFO pred 50"]
    assert caplog.messages[3].startswith("INFO request abc-1 POST /v1/predict 200 ")


def test_a_request_id_that_could_forge_a_line_of_the_log_is_replaced(client):
    answer = client.get("/v1/predict", headers={"x-request-id": "a METRIC confidence 1"})
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"method": "GET"}, 400, "image_url"),
        ({"method": "POST", "json": {}}, 400, "'image' must be text"),
        ({"method": "POST", "json": {"image": 5}}, 400, "'image' must be text"),
        ({"method": "POST", "json": {"image": "data:image/png,abc"}}, 400, "'image' must be text"),
        ({"method": "POST", "json": {"image": "data:image/png;base64,ab*d"}}, 400, "base64"),
        ({"method": "POST", "json": [1]}, 400, "JSON object"),
        ({"method": "POST", "json": {"image": DATA_URL, "lauout": "page"}}, 400, "unknown option 'lauout'"),
        ({"method": "POST", "json": {"image": DATA_URL, "layout": "book"}}, 400, "line, page"),
        ({"method": "POST", "json": {"image": DATA_URL, "model": "gray"}}, 404, "Did you mean 'grey'"),
        ({"method": "POST", "content": b"{", "headers": JSON}, 400, "not JSON"),
        ({"method": "POST", "content": b"[" * 9999, "headers": JSON}, 400, "nested"),
        ({"method": "POST", "content": b"[0" + b",0" * 999_999, "headers": JSON}, 413, "at most 524,288 JSON values"),
        ({"method": "POST", "content": b"\xff", "headers": JSON}, 400, "not JSON"),
        ({"method": "POST", "content": PICTURE, "headers": {"content-type": "image/png"}}, 415, "multipart/form-data"),
        ({"method": "POST", "data": {"image": "text"}, "files": {"other": b"x"}}, 400, "file named 'image'"),
        ({"method": "POST", "files": {"image": b"no picture"}}, 422, "not an image that can be read"),
        ({"method": "POST", "files": {"image": PICTURE[:45]}}, 422, "the image cannot be read"),
        ({"method": "POST", "files": {"image": png_bytes(np.zeros((9, 9), np.uint8))}}, 422, "blank"),
        ({"method": "PUT"}, 405, "Method Not Allowed"),
    ],
)
def test_a_mistake_is_answered_with_a_fitting_status_and_a_sentence(client, asked, status, says):
    answer = client.request(url="/v1/predict", **asked)
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("charset", ["undefined", "punycode", "UTF-7"])
def test_a_form_in_another_charset_than_utf_8_is_refused(client, charset):
    field = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n+2AA-\r\n'
    file = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + PICTURE + b"\r\n--x--\r\n"
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    answer = client.post("/v1/predict", content=field + file, headers={"Content-Type": kind})
    assert (answer.status_code, "UTF-8" in answer.json()["error"]) == (415, True)


@pytest.mark.parametrize("charset", ['"utf-8"', "utf8", "UTF_8"])
def test_a_form_that_says_utf_8_is_read(client, charset):
    file = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + PICTURE + b"\r\n--x--\r\n"
    kind = f"multipart/form-data; charset={charset}; boundary=x"
    assert client.post("/v1/predict", content=file, headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("given", [{"model": "x" * 10**6}, {"x" * 10**6: "page"}, {"layout": "x" * 10**6}])
def test_a_name_without_end_is_neither_compared_nor_repeated(client, given):
    answer = client.post("/v1/predict", json={"image": DATA_URL, **given})
    assert (answer.status_code, len(answer.json()["error"]) < 300) == (404 if "model" in given else 400, True)


def test_an_unknown_path_is_answered_in_json(client):
    assert client.get("/v3").status_code == 404
    assert client.get("/v3").json()["error"] == "Not Found."


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_limit_is_refused_before_it_is_kept(announced):
    with TestClient(grey_app(fetcher=Fetcher(most_bytes=1000))) as client:
        sent = []

        def pieces():
            for _ in range(100):
                sent.append(1000)
                yield bytes(1000)

        content = b"x" * 100_000 if announced else pieces()
        assert client.post("/v1/predict", content=content, headers=JSON).status_code == 413


def test_a_bug_is_answered_with_an_id_and_without_its_details(client, monkeypatch):
    monkeypatch.setattr(GreyPredictor, "predict_prepared", lambda *_: 1 / 0)
    answer = client.post("/v1/predict", json={"image": DATA_URL})
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    monkeypatch.undo()
    assert client.post("/v1/predict", json={"image": DATA_URL}).status_code == 200


def test_requests_beyond_the_bound_are_asked_to_come_again():
    service = grey_service(most_requests=1)
    held, go_on = threading.Event(), threading.Event()
    predictor = service.shelf.get(None).predictor
    read = predictor.predict_prepared

    def waiting(images):
        held.set()
        go_on.wait(PATIENCE_S)
        return read(images)

    predictor.predict_prepared = waiting
    from text_recognizer.serving.app import make_app

    with TestClient(make_app(service)) as client:
        answers = []
        first = threading.Thread(target=lambda: answers.append(client.post("/v1/predict", json={"image": DATA_URL})))
        first.start()
        assert held.wait(PATIENCE_S)
        refused = client.post("/v1/predict", json={"image": DATA_URL})
        go_on.set()
        first.join()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert answers[0].status_code == 200
        assert client.post("/v1/predict", json={"image": DATA_URL}).status_code == 200


def read_while_another_body_comes(app):
    """The answer to one request while the body of another has only begun, and then to that one."""
    body = json.dumps({"image": DATA_URL}).encode()

    async def both():
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow():
            yield body[:20]
            begun.set()
            await go_on.wait()
            yield body[20:]

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            first = asyncio.create_task(client.post("/v1/predict", content=slow(), headers=JSON))
            await begun.wait()
            second = await client.post("/v1/predict", content=body, headers=JSON)
            go_on.set()
            return second, await first

    return asyncio.run(both())


def test_a_slow_body_takes_no_place_from_those_that_have_come():
    second, first = read_while_another_body_comes(grey_app(most_requests=1))
    assert (second.status_code, first.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/predict", {"image": DATA_URL}), ("/v2/models/grey/infer", {"inputs": [BYTES | {"data": [DATA_URL]}]})],
)
def test_others_are_answered_while_a_body_is_parsed(client, monkeypatch, path, body):
    begun, go_on = threading.Event(), threading.Event()

    def slow(text):
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return parse_json_text(text)

    monkeypatch.setattr("text_recognizer.serving.pictures.parse_json_text", slow)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, path, json=body)
        assert begun.wait(PATIENCE_S)
        assert client.get("/v2/health/live").status_code == 200
        go_on.set()
        assert answer.result(PATIENCE_S).status_code == 200


def test_headers_that_trickle_in_close_the_connection_and_a_slow_body_does_not():
    from text_recognizer.serving.server import Connection

    made = []

    class Watched(Connection):
        def connection_made(self, transport):
            made.append(self)
            super().connection_made(transport)

    app, body = grey_app(), json.dumps({"image": DATA_URL}).encode()
    head = b"POST /v1/predict HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: "
    head += b"%d\r\n\r\n" % len(body)
    with on_a_port(app, http=Watched) as port, contextlib.ExitStack() as connections:

        def connected():
            return connections.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))

        slow_body = connected()
        slow_body.sendall(head + body[:20])
        wait_until(lambda: app._held_bytes)
        assert made[0]._limit is None  # its headers have come: no time can be over
        Watched.head_timeout_s = 0.05
        silent, slow_head = connected(), connected()
        slow_head.sendall(head[:30])
        assert (silent.recv(1), slow_head.recv(1)) == (b"", b"")
        slow_body.sendall(body[20:])
        assert slow_body.recv(1000).startswith(b"HTTP/1.1 200")
        slow_body.sendall(head[:30])  # the next request of a connection that is kept
        while slow_body.recv(1000):
            pass


@pytest.mark.parametrize("path", ["/v1/predict", "/v2/models/grey/infer"])
def test_a_client_that_leaves_before_its_body_is_whole_is_no_bug(path):
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    came = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    statuses = []

    async def receive():
        return next(came)

    async def send(message):
        statuses.append(message.get("status"))

    asyncio.run(grey_app()(scope, receive, send))
    assert statuses[0] == 499


def test_bodies_together_take_no_more_than_their_room():
    app = grey_app(most_requests=1)
    app.most_held_bytes = 15 + len(json.dumps({"image": DATA_URL}))
    second, first = read_while_another_body_comes(app)
    assert (second.status_code, second.headers["retry-after"], first.status_code) == (503, "1", 200)
    assert app._held_bytes == 0


def test_what_gathers_while_a_batch_is_read_is_the_next_batch():
    begun, go_on = threading.Event(), threading.Event()
    batches = []

    def read(items):
        batches.append(list(items))
        begun.set()
        go_on.wait(PATIENCE_S)
        return [2 * item for item in items]

    batcher = Batcher(read, most=3)
    first = batcher.submit(1)
    assert begun.wait(PATIENCE_S)
    others = [batcher.submit(item) for item in (2, 3, 4, 5)]
    go_on.set()
    assert [future.result(PATIENCE_S) for future in (first, *others)] == [2, 4, 6, 8, 10]
    assert batches == [[1], [2, 3, 4], [5]]
    batcher.close()


def test_a_batch_holds_what_has_waited_longest_and_those_of_like_size():
    begun, go_on = threading.Event(), threading.Event()
    batches = []

    def read(items):
        batches.append(sorted(items))
        begun.set()
        go_on.wait(PATIENCE_S)
        return items

    batcher = Batcher(read, most=2)
    batcher.submit(0)
    assert begun.wait(PATIENCE_S)
    for size in (500, 90, 480, 100):
        batcher.submit(size, size)
    go_on.set()
    batcher.close()
    assert batches == [[0], [480, 500], [90, 100]]


def test_a_thread_leaves_the_others_their_share_of_what_waits():
    both, batches = threading.Barrier(2), []

    def read(items):
        batches.append(len(items))
        if len(batches) <= 2:
            both.wait(PATIENCE_S)  # passed only where two threads read at once
        return items

    batcher = Batcher(read, most=8, threads=2)
    futures = [batcher.submit(item) for item in range(6)]
    assert [future.result(PATIENCE_S) for future in futures] == list(range(6))
    batcher.close()
    assert max(batches) <= 3


def test_a_batcher_that_is_closed_reads_what_waits_first():
    batcher: Batcher[int, int] = Batcher(lambda items: items, most=2)
    futures = [batcher.submit(item) for item in range(5)]
    batcher.close()
    assert [future.result(0) for future in futures] == list(range(5))


def test_metrics_count_requests_by_route_and_pictures_by_model(client):
    client.post("/v1/predict", json={"image": DATA_URL})
    client.get("/v1/predict")
    client.get("/a/path/of/which/there/is/no/end")
    client.request("BREW", "/v1/predict")
    lines = client.get("/metrics").text.splitlines()
    name = "text_recognizer_requests_total"
    assert f'{name}{{route="/v1/predict",method="POST",status="200"}} 1' in lines
    assert f'{name}{{route="/v1/predict",method="GET",status="400"}} 1' in lines
    assert f'{name}{{route="none",method="GET",status="404"}} 1' in lines
    assert f'{name}{{route="/v1/predict",method="other",status="405"}} 1' in lines
    assert 'text_recognizer_request_seconds_bucket{route="/v1/predict",le="+Inf"} 3' in lines
    assert 'text_recognizer_images_total{model="grey"} 1' in lines
    assert "text_recognizer_requests_in_flight 0" in lines
