"""Promoted models and run folders in an object store, against a real server of the protocol."""

import json
import shutil
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from text_recognizer.datasets.remote import download
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.promoted.object_store import ObjectStore
from text_recognizer.promoted.store import ModelStore
from text_recognizer.settings import weights_folder
from text_recognizer.spec import ExperimentSpec
from text_recognizer.tests.datasets.file_server import Fault, FileServer
from training.cli import main as text_recognizer
from training.runs.run import Run
from training.ui import run_views
from training.ui.bucket import RunCopies
from training.views.index import Index

HERE, BUCKET = "s3://models/ours", "models"


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def client(server, tmp_path, monkeypatch):
    """Of an empty bucket, which the settings of this test name and open."""
    for name, value in {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])


@pytest.fixture
def ours(tmp_path):
    """A store with a model that has two versions."""
    store = ModelStore(tmp_path / "ours")
    bundle = weights_folder() / "CharacterModel_DigitsDataset_lenet"
    for run in ("a", "b"):
        store.add("digits", bundle, {"run": run})
    return store


@pytest.fixture
def theirs(tmp_path):
    return ModelStore(tmp_path / "theirs")


def check(folder: Path) -> None:
    Bundle.read(folder).check_files()


@pytest.fixture
def there(client):
    return ObjectStore(HERE)


@pytest.fixture
def pull(there, theirs):
    return lambda name="digits", number=None: there.pull(theirs, name, number, check)


def test_what_is_pushed_is_pulled_elsewhere_with_all_that_is_known_of_it(client, there, pull, ours, theirs):
    first, second = ours.versions("digits")
    assert there.push(ours, second) == 1  # numbers are a store's own
    pulled = pull()
    assert (str(pulled), pulled.digest) == ("digits@1", second.digest)
    assert theirs.manifest(pulled) == ours.manifest(second)
    assert find_bundle(pulled.folder).run_id == find_bundle(second.folder).run_id
    assert there.push(ours, first) == 2
    assert pull().digest == first.digest  # what the name stands for there by now
    assert pull(number=1) == pulled == theirs.current("digits")
    assert there.push(ours, second) == 1  # pushed again, it keeps its number
    assert pull() == pulled


def test_a_pull_is_resumed_where_its_connection_broke_off(client, there, ours, theirs, monkeypatch):
    there.push(ours, ours.current("digits"))
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    files = {f"/{BUCKET}/{key}": client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
    weights = next(path for path in files if path.endswith("model.weights.h5"))
    monkeypatch.setattr(download, "BACKOFF_S", 0.001)
    with FileServer(files) as dropping:
        dropping.faults[weights].append(Fault(drop_after_bytes=1000))
        monkeypatch.setenv("AWS_ENDPOINT_URL", dropping.address)
        pulled = ObjectStore(HERE).pull(theirs, "digits", None, check)
    asked = [request.headers.get("Range") for request in dropping.requests if request.path == weights]
    assert asked == [None, "bytes=1000-"]
    assert theirs.has(ours.manifest(ours.current("digits")))
    assert pulled == theirs.current("digits")


def test_a_pull_that_was_killed_is_begun_again_and_leaves_nothing(there, pull, ours, theirs):
    there.push(ours, ours.current("digits"))
    killed = theirs.folder / "bundles" / ".new"  # with half of a file, and one of another bundle
    killed.mkdir(parents=True)
    (killed / "model.weights.h5.part").write_bytes(b"half")
    (killed / "other.json").write_text("{}")
    assert theirs.names() == []
    assert pull() == theirs.current("digits")
    assert theirs.has(ours.manifest(ours.current("digits")))
    assert not killed.exists()


def test_a_number_that_another_has_taken_meanwhile_is_not_overwritten(client, there, pull, ours, theirs, monkeypatch):
    first, second = ours.versions("digits")
    there.push(ours, first)
    looked, look = [], ObjectStore._versions

    def look_too_early(self, name):
        looked.append(name)
        return {} if len(looked) == 1 else look(self, name)

    monkeypatch.setattr(ObjectStore, "_versions", look_too_early)
    assert there.push(ours, second) == 2
    assert pull(number=1).digest == first.digest


def tamper(client, key, change):
    body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    client.put_object(Bucket=BUCKET, Key=key, Body=change(body))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.weights.h5", lambda body: body[:-1] + b"?", "model.weights.h5: sha256 is .*, its manifest says "),
        ("model.weights.h5", lambda body: body[:-1], "model.weights.h5: it offers .* bytes, expected "),
        ("bundle.json", lambda body: body + b" ", "bundle.json: it offers .* bytes, expected "),
        ("promoted.json", lambda body: body.replace(b"model.weights", b"../../weights"), "is not what was pushed"),
    ],
)
def test_what_was_changed_there_is_refused_and_leaves_nothing_here(
    client, there, pull, ours, theirs, name, change, message
):
    version = ours.current("digits")
    there.push(ours, version)
    tamper(client, f"ours/bundles/{version.digest}/{name}", change)
    with pytest.raises(DataError, match=message):
        pull()
    assert theirs.names() == []
    assert list(theirs.folder.glob("bundles/*")) == []


def test_a_bundle_of_a_newer_version_is_not_taken_in(client, there, pull, ours, theirs, tmp_path):
    folder = Path(shutil.copytree(weights_folder() / "CharacterModel_DigitsDataset_lenet", tmp_path / "newer"))
    (folder / "bundle.json").write_text(json.dumps(json.loads((folder / "bundle.json").read_text()) | {"format": 9}))
    there.push(ours, ours.add("newer", folder, {}))
    with pytest.raises(DataError, match="has format 9, .*Upgrade to the version that wrote it"):
        pull("newer")
    assert theirs.names() == []


@pytest.mark.parametrize("record", [b"", b"[]", b'{"bundle": "../../x"}', b"{" * 100])
def test_a_damaged_record_there_is_a_sentence(client, there, pull, ours, theirs, record):
    there.push(ours, ours.current("digits"))
    tamper(client, "ours/names/digits/1.json", lambda body: record)
    with pytest.raises(DataError, match="names/digits/1.json names no bundle: it is damaged"):
        pull()


def test_a_number_of_thousands_of_digits_there_is_a_sentence(client, there, pull, ours, theirs):
    there.push(ours, ours.current("digits"))
    tamper(client, "ours/names/digits/current", lambda body: b"9" * 5000)
    with pytest.raises(DataError, match="s3://models/ours/names/digits/current names no bundle: it is damaged"):
        pull()


def test_what_is_not_there_is_a_sentence(client, there, pull, ours, theirs, monkeypatch):
    with pytest.raises(DataError, match="there is no s3://models/ours/names/digits/current. Push the model first"):
        pull()
    with pytest.raises(DataError, match=r"cannot push digits@2 to s3://nowhere: .*NoSuchBucket.*AWS_ENDPOINT_URL"):
        ObjectStore("s3://nowhere").push(ours, ours.current("digits"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(DataError, match=r"cannot pull digits from s3://models/ours: Invalid endpoint: nonsense"):
        ObjectStore(HERE).pull(theirs, "digits", None, check)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(DataError, match=r"cannot pull digits from s3://models/ours: Could not connect"):
        ObjectStore(HERE).pull(theirs, "digits", None, check)


@pytest.mark.parametrize("address", ["models", "https://models/ours", "s3://", "s3:///ours", "s3://a/b?c", "s3://[a"])
def test_another_kind_of_address_is_refused(address):
    with pytest.raises(SpecError, match="pushed to and pulled from s3://bucket"):
        ObjectStore(address)


def test_the_commands_push_and_pull(client, ours, theirs, monkeypatch, capfd):
    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(ours.folder))
    assert text_recognizer(["models", "push", "digits@2", HERE]) == 0
    assert f"digits@2, which is digits@1 in {HERE}" in capfd.readouterr().out
    monkeypatch.setenv("TEXT_RECOGNIZER_MODELS", str(theirs.folder))
    assert text_recognizer(["models", "pull", "digits", f"{HERE}/"]) == 0
    assert "pulled      digits@1" in capfd.readouterr().out
    assert find_bundle("digits").folder == theirs.current("digits").folder
    for version in ("x", "²", "0", "1" * 10):  # the last was once cut to nine digits
        assert text_recognizer(["models", "pull", f"digits@{version}", HERE]) == 2
        assert f"a version is a number, as in digits@2. Received: '{version}'" in capfd.readouterr().err


def test_the_page_shows_the_runs_in_a_bucket_and_what_comes_there_later(client, tmp_path):
    run = Run.create(ExperimentSpec("DigitsDataset", "CharacterModel", "mlp"), "one", tmp_path)
    run.log({"epoch": 1, "val_loss": 0.5})
    run.set_state("finished", summary={"test_accuracy": 0.75})

    def upload() -> None:
        for path in run.folder.iterdir():
            client.upload_file(str(path), BUCKET, f"runs/default/one/{path.name}")

    upload()
    for name in ("runs/../status.json", "runs/a/../../status.json", "runs//status.json", "runs/default/one/model.h5"):
        client.put_object(Bucket=BUCKET, Key=name, Body=b"{}")
    copies = RunCopies(f"s3://{BUCKET}/runs", tmp_path / "copies")
    copies.refresh()
    kept = {path.relative_to(copies.folder).as_posix() for path in copies.folder.rglob("*.*")}
    assert kept == {f"default/one/{name}.json" for name in ("spec", "launch", "status")} | {"default/one/metrics.jsonl"}
    index = Index(copies.folder, copies.place.address)
    index.refresh()
    assert [(key, row.value("test_accuracy")) for key, row in index.keyed()] == [("default/one", 0.75)]
    shown = run_views.one(index, "default/one")
    assert (shown["commands"], shown["reports"]["rows"]) == ([], [{"epoch": 1, "val_loss": 0.5}])

    metrics = copies.folder / "default" / "one" / "metrics.jsonl"
    seen = metrics.stat().st_ino
    run.log({"epoch": 2, "val_loss": 0.25})
    upload()
    copies.refresh()
    assert (metrics.read_bytes(), metrics.stat().st_ino) == ((run.folder / "metrics.jsonl").read_bytes(), seen)

    for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    copies.refresh()
    index.refresh()
    assert index.keyed() == []


def test_a_bucket_that_cannot_be_read_is_told_before_the_page_is_served(client, capsys):
    assert text_recognizer(["ui", "s3://missing/runs", "--no-browser"]) == 2
    assert "cannot read the runs in s3://missing/runs" in capsys.readouterr().err
    assert text_recognizer(["ui", "s3://?", "--no-browser"]) == 2
    assert "runs are read from s3://bucket" in capsys.readouterr().err
