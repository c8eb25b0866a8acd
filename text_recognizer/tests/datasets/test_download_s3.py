"""s3:// addresses, against a real server of the protocol and against one that drops connections."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from text_recognizer.datasets.remote import download
from text_recognizer.datasets.remote.fetch import fetch
from text_recognizer.datasets.remote.metadata import find_table
from text_recognizer.errors import DataError
from text_recognizer.tests.datasets.file_server import Fault, FileServer, file_entry, write_registry

CONTENT = bytes(range(256)) * 4096  # 1 MiB
HALF = len(CONTENT) // 2


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials and no server but those that a test sets."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TEXT_RECOGNIZER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TEXT_RECOGNIZER_METADATA", str(tmp_path / "metadata.toml"))
    monkeypatch.setattr(download, "BACKOFF_S", 0.001)


def owner(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="me",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of an object store with s3://letters/2020/x.bin for everyone and private.bin for key holders."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = owner(endpoint)
    client.create_bucket(Bucket="letters")
    client.put_object(Bucket="letters", Key="2020/x.bin", Body=CONTENT, ACL="public-read")
    client.put_object(Bucket="letters", Key="private.bin", Body=CONTENT)
    yield endpoint
    server.stop()


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A web server that answers the one request of the protocol that is needed: GET /bucket/key."""
    with FileServer({"/letters/2020/x.bin": CONTENT}) as running:
        yield running


def register(tmp_path: Path, *urls: str, endpoint_url: str | None = None) -> None:
    path = write_registry(tmp_path / "metadata.toml", {"letters": [file_entry("x.bin", CONTENT, *urls)]})
    if endpoint_url:
        path.write_text(f'[letters]\nendpoint_url = "{endpoint_url}"\n' + path.read_text().removeprefix("[letters]\n"))


def fetch_letters() -> bytes:
    return fetch(find_table("letters"))["x.bin"].read_bytes()


def use(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_object_is_fetched_from_the_server_in_the_environment(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    use(monkeypatch, **{variable: store})
    register(tmp_path, "s3://letters/2020/x.bin")
    assert fetch_letters() == CONTENT


def test_an_object_is_fetched_from_the_server_in_the_table(store: str, tmp_path: Path) -> None:
    register(tmp_path, "s3://letters/2020/x.bin", endpoint_url=store)
    assert fetch_letters() == CONTENT


def test_a_private_object_is_refused_without_credentials_and_fetched_with_them(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(tmp_path, "s3://letters/private.bin", endpoint_url=store)
    with pytest.raises(DataError, match="403"):
        fetch_letters()
    use(monkeypatch, AWS_ACCESS_KEY_ID="me", AWS_SECRET_ACCESS_KEY="secret")
    assert fetch_letters() == CONTENT


@pytest.mark.parametrize(
    ("url", "reason"),
    [("s3://letters/none.bin", "NoSuchKey"), ("s3://nowhere/x.bin", "NoSuchBucket")],
)
def test_what_the_store_refuses_is_said_in_its_words(store: str, tmp_path: Path, url: str, reason: str) -> None:
    register(tmp_path, url, endpoint_url=store)
    with pytest.raises(DataError, match=rf"cannot fetch 'x\.bin' of letters from {url}: .*{reason}"):
        fetch_letters()


def test_a_mirror_on_the_web_stands_in_for_a_store_that_has_nothing(
    store: str, server: FileServer, tmp_path: Path
) -> None:
    register(tmp_path, "s3://letters/none.bin", server.url("/letters/2020/x.bin"), endpoint_url=store)
    assert fetch_letters() == CONTENT


def test_a_store_that_cannot_be_reached_is_a_data_error(tmp_path: Path) -> None:
    register(tmp_path, "s3://letters/x.bin", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(DataError, match="Could not connect to the endpoint URL"):
        fetch_letters()


def test_an_address_of_a_store_that_is_none_is_a_data_error(tmp_path: Path) -> None:
    register(tmp_path, "s3://letters/x.bin", endpoint_url="nonsense")
    with pytest.raises(DataError, match="Invalid endpoint: nonsense"):
        fetch_letters()


def test_without_credentials_a_request_is_anonymous_and_with_them_signed(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(tmp_path, "s3://letters/2020/x.bin", endpoint_url=server.address)
    path = tmp_path / "data" / "raw" / "letters" / "x.bin"
    assert fetch_letters() == CONTENT
    path.unlink()
    use(monkeypatch, AWS_ACCESS_KEY_ID="me", AWS_SECRET_ACCESS_KEY="secret")
    assert fetch_letters() == CONTENT
    anonymous, signed = server.requests
    assert "Authorization" not in anonymous.headers
    assert "Credential=me/" in signed.headers["Authorization"]


def test_keys_that_a_store_refuses_do_not_keep_anyone_from_a_public_object(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, AWS_ACCESS_KEY_ID="old", AWS_SECRET_ACCESS_KEY="secret")
    register(tmp_path, "s3://letters/2020/x.bin", endpoint_url=server.address)
    server.faults["/letters/2020/x.bin"].append(Fault(status=403))
    assert fetch_letters() == CONTENT
    assert ["Authorization" in request.headers for request in server.requests] == [True, False]


def test_an_object_whose_connection_drops_is_resumed(server: FileServer, tmp_path: Path) -> None:
    register(tmp_path, "s3://letters/2020/x.bin", endpoint_url=server.address)
    server.faults["/letters/2020/x.bin"].append(Fault(drop_after_bytes=HALF))
    assert fetch_letters() == CONTENT
    second = server.requests[-1].headers
    assert second["Range"] == f"bytes={HALF}-"
    assert second["If-Match"].startswith('"')


def test_an_object_that_changed_between_two_halves_is_fetched_from_its_beginning(
    server: FileServer, tmp_path: Path
) -> None:
    register(tmp_path, "s3://letters/2020/x.bin", endpoint_url=server.address)
    server.files["/letters/2020/x.bin"] = bytes(len(CONTENT))
    server.faults["/letters/2020/x.bin"].extend([Fault(drop_after_bytes=HALF), Fault(status=404)])
    with pytest.raises(DataError):
        fetch_letters()
    server.files["/letters/2020/x.bin"] = CONTENT
    assert fetch_letters() == CONTENT
    assert [request.headers.get("Range") for request in server.requests[-2:]] == [f"bytes={HALF}-", None]


def test_boto_is_not_imported_for_other_addresses(tmp_path: Path, server: FileServer) -> None:
    import subprocess
    import sys

    register(tmp_path, server.url("/letters/2020/x.bin"))
    code = (
        "import sys; from text_recognizer.datasets.remote.metadata import find_table; "
        "from text_recognizer.datasets.remote.fetch import fetch; fetch(find_table('letters')); "
        "sys.exit('boto3' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_keys_are_taken_as_they_are(store: str, tmp_path: Path) -> None:
    owner(store).put_object(Bucket="letters", Key="a b/50%#1.bin", Body=CONTENT, ACL="public-read")
    register(tmp_path, "s3://letters/a b/50%#1.bin", endpoint_url=store)
    assert fetch_letters() == CONTENT
