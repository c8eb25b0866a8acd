"""Valid inputs in the exact formats, made here: each function returns some, a file's content by its name."""

import contextlib
import gzip
import io
import json
import os
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from text_recognizer.datasets.formats.tfrecord import encode_example, write_record
from text_recognizer.experiment import assemble
from text_recognizer.images.read import png_bytes
from text_recognizer.promoted.manifest import FileFacts, Manifest, digest_of
from text_recognizer.spec import DEFAULT_SPEC, ExperimentSpec
from text_recognizer.tests import archive_pages, character_files
from text_recognizer.tests.line_files import picture, write_list
from training.tests.fuzzing.mutators import Files

SPEC: dict[str, Any] = {
    "dataset": "DigitsDataset",
    "dataset_args": {"subsample_fraction": 0.5},
    "model": "CharacterModel",
    "network": "mlp",
    "network_args": {"layer_size": 16, "num_layers": 1},
    "train_args": {"epochs": 2, "schedule": "cosine", "schedule_args": {"warmup_fraction": 0.1}},
    "experiment_group": "group",
    "seed": 3,
}
EXPERIMENTS = {"experiment_group": "g", "experiments": [SPEC, SPEC]}
GRID = """method: grid
metric: {name: val_loss, goal: minimize}
early_terminate: {type: hyperband, min_iter: 2}
parameters:
  dataset: {value: DigitsDataset}
  model: {value: CharacterModel}
  network: {value: mlp}
  network_args.layer_size: {values: [8, 16]}
"""
BAYES = """program: training/run_experiment.py
method: bayes
name: digits
metric: {name: val_accuracy, goal: maximize, target: 0.9}
run_cap: 5
command: ["${env}", python, "${program}", "${args}", --wandb=offline]
parameters:
  network: {value: mlp}
  network_args:
    parameters:
      layer_size: {min: 8, max: 64}
      dropout_amount: {distribution: q_normal, mu: 0.3, sigma: 0.02, q: 0.01}
  train_args.learning_rate: {distribution: log_uniform_values, min: 1.0e-4, max: 0.1}
  train_args.batch_size: {values: [16, 32], probabilities: [0.25, 0.75]}
  train_args.epochs: {distribution: q_uniform, min: 1, max: 4, q: 1}
"""
AGENT_VALUES = """wandb_version: 1
network_args:
  value: {layer_size: 8}
train_args.epochs:
  value: 3
seed:
  value: 1
"""
TOML = """[iris]
title = "Irises"
licence = "CC0"
homepage = "https://example.org"
endpoint_url = "http://127.0.0.1:9000"

[[iris.files]]
urls = ["https://example.org/a.zip", "s3://bucket/key", "file:///data/a.zip"]
filename = "a.zip"
sha256 = "{0}"
size_bytes = 12

[[iris.files]]
login = "https://example.org/register"
filename = "b.zip"
sha256 = "{0}"

[plain]
url = "https://example.org/c"
filename = "c"
sha256 = "{0}"
""".format("ab" * 32)


def written(*makers: Callable[[Path], object]) -> list[Files]:
    """What functions write into a folder of their own."""
    found = []
    for make in makers:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            found.append({str(path.relative_to(folder)): path.read_bytes() for path in paths})
    return found


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def specs() -> list[Files]:
    lines = {"dataset": "EmnistLinesDataset", "model": "LineModelCtc", "network": "line_lstm_ctc"}
    lines |= {"model_args": {"decoding": "beam", "language_model": 3}, "train_args": {"optimizer": "adamw"}}  # type: ignore[dict-item]
    own = {"dataset_args.subsample_fraction": 0.1, "train_args": {"augmentation": "affine"}}
    small = {**SPEC, **own, "network": "lenet", "network_args": {}}
    return as_files("spec.json", SPEC, lines, small, json.loads(DEFAULT_SPEC.read_text()))


def as_files(name: str, *values: Any) -> list[Files]:
    return [{name: as_json(value)} for value in values]


def as_text(name: str, *texts: str) -> list[Files]:
    return [{name: text.encode()} for text in texts]


def overrides() -> list[Files]:
    values = {"network_args": {"layer_size": 8}, "train_args.epochs": 3, "train_args.learning_rate": 1e-4}
    text = b"network: mlp\nnetwork_args.layer_size: 8\ntrain_args:\n  learning_rate: 1e-4\n  optimizer: adam\nseed: 1\n"
    return [*as_files("values.json", values), {"values.yaml": text}]


def pages(page_xml: bool) -> list[Files]:
    content = archive_pages.page_xml() if page_xml else archive_pages.alto()
    shape = archive_pages.polygon("10,10 110,12 110,30 10,28")
    lines = "".join(archive_pages.alto_line(n, *line, shape=shape) for n, line in enumerate(archive_pages.LINES))
    others = [content, content if page_xml else archive_pages.alto(lines)]
    files = {f"{name}.png": png_bytes(archive_pages.page_image()) for name in "abc"}
    files |= {f"{name}.xml": content.replace("page.png", f"{name}.png").encode() for name in "abc"}
    return [{**files, "b.xml": text.replace("page.png", "b.png").encode()} for text in others]


def line_lists() -> list[Files]:
    rows = [("a.png", "first", "train"), ("b.png", "second", "test"), ("c.png", "the third", "validation")]

    def sample(folder: Path) -> None:
        write_list(folder, rows).rename(folder / "sample.txt")
        (folder / "sample.txt").write_text("\n".join(f"{name} {text}" for name, text, _ in rows))

    def objects(folder: Path) -> None:
        write_list(folder, rows).unlink()
        listed = [{"file": name, "text": text, "split": split, "writer": 1} for name, text, split in rows]
        (folder / "lines.json").write_text(json.dumps(listed))

    return written(lambda folder: write_list(folder, rows, "file\ttext\tsplit"), sample, objects)


def csv_lists() -> list[Files]:
    text = b'file,text,split\r\na.png,"first, ""quoted""",train\r\nb.png,second,test\r\nc.png,x,validation\r\n'
    return [{"lines.csv": text, **{f"{name}.png": png_bytes(picture(20)) for name in "abc"}}]


def page_lists() -> list[Files]:
    lines = [{"x1": 10, "y1": 10, "x2": 110, "y2": 30, "text": "first"}, {"x1": 10, "y1": 40, "x2": 150, "y2": 60}]
    page = {"width": 200, "height": 120, "lines": lines, "writer": "a"}
    listed = {f"{split}1": {**page, "split": split, "writer": split} for split in ("train", "validation", "test")}
    image = png_bytes(archive_pages.page_image())
    return [{"pages.json": as_json(listed), **{f"{name}.png": image for name in listed}}]


def charsets() -> list[Files]:
    values: list[Any] = [["a", "b", " "], {"characters": ["a", "é", "ب"]}, {"data_spec": {"classes": ["", "a"]}}]
    return [*as_files("charset.json", *values), {"charset.txt": "a\nb\n \né\n".encode()}]


def texts() -> list[Files]:
    counted = "the quick\t12\nbrown fox\t3\n日本\t1\n".encode()
    return [{"texts.txt": counted}, {"texts.txt": b"jumps over\nthe lazy dog\n"}]


_MODES = {"pnm": ("L", "RGB", "1"), "jpeg": ("L", "RGB", "CMYK"), "gif": ("L", "P"), "webp": ("L", "RGBA")}
_COMPRESSIONS = {"tiff": ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4")}


def picture_files(kind: str) -> list[Files]:
    """Grey, with a palette, coloured, transparent; as the format allows."""
    from PIL import Image

    grey = Image.fromarray(picture(40, 24))
    found = []
    for compression in _COMPRESSIONS.get(kind, (None,)):
        for mode in _MODES.get(kind, ("L", "RGB", "P", "1", "I;16")):
            file = io.BytesIO()
            with contextlib.suppress(OSError, ValueError):  # not every format has every mode
                grey.convert(mode).save(file, {"pnm": "ppm"}.get(kind, kind), compression=compression)
                found.append({f"image.{kind}": file.getvalue()})
    return found


def hdf5() -> list[Files]:
    import h5py

    def made(compression: str | None, texts: Any, **more: Any) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            with h5py.File(folder / "lines.hdf5", "w") as file:
                for part in ("train", "valid", "test"):
                    group = file.create_group(part)
                    images = np.stack([np.full((60, 24), 255, np.uint8)] * 3)
                    images[:, 5:40, 4:20] = 9
                    group.create_dataset("dt", data=images, chunks=(1, 60, 24), compression=compression, **more)
                    group.create_dataset("gt", data=texts)

        return make

    def elsewhere(folder: Path) -> None:
        made(None, ["a"] * 3)(folder)
        with h5py.File(folder / "lines.hdf5", "r+") as file:
            file["train/away"] = h5py.ExternalLink("/etc/hostname", "/x")
            del file["valid/dt"]
            file.create_dataset("valid/dt", (3, 60, 24), "u1", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])

    def fsdl(folder: Path) -> None:
        with h5py.File(folder / "lines.hdf5", "w") as file:
            for part in ("train", "test"):
                images = np.zeros((4, 24, 60), np.uint8)
                images[:, 4:20, 5:40] = np.arange(4)[:, None, None] + 200
                file.create_dataset(f"x_{part}", data=images, compression="lzf")
                file.create_dataset(f"y_{part}", data=np.eye(80, dtype="u1")[np.full((4, 6), 79)], compression="lzf")

    plain = np.array([b"one", b"two", b"three"], "S5")
    return written(
        made("gzip", plain), made(None, plain), made("lzf", ["one", "two", "x"], shuffle=True), elsewhere, fsdl
    )


def matlab() -> list[Files]:
    one = character_files.part([0, 1, 2])
    return [{"emnist.mat": character_files.mat_bytes(one, one, do_compression=packed)} for packed in (True, False)]


def idx() -> list[Files]:
    one = character_files.part([0, 1, 2, 3])
    packed = character_files.idx_files(one, one)
    return [packed, {name.removesuffix(".gz"): gzip.decompress(content) for name, content in packed.items()}]


def shards() -> list[Files]:
    """One shard of each form; records of characters."""
    shown = {"label": [1], "text": [b"b"], "height": [4], "width": [3], "encoding": [b"raw"], "image": [bytes(12)]}
    forms: list[dict[str, Any]] = [
        shown,
        {"label": [0], "text": [b"a"], "encoded": [png_bytes(picture(12))]},
        {"labels": [0, 1], "images": [bytes(2 * 32 * 3)], "imagenames": [b"1.jpg"]},
    ]
    made = []
    for features in forms:
        content = io.BytesIO()
        for _ in range(2):
            write_record(content, encode_example(features))
        made.append({"train-00000-of-00001": content.getvalue(), "labels.json": b'["a", "b"]'})
    return made


def gnt() -> list[Files]:
    """Two writers' files: two-byte and one-byte codes; the same in a zip archive."""
    from text_recognizer.datasets.formats.gnt import write_gnt

    def files(folder: Path) -> None:
        for writer in (1, 2, 3):
            write_gnt(folder / f"{writer}-c.gnt", [(text, picture(12)[:9, writer:12]) for text in "一丁a"])

    plain = written(files)[0]
    return [plain, {"files.zip": character_files.zip_bytes(plain)}]


def tables_of_characters() -> list[Files]:
    """Pictures of two characters in each split."""
    splits = ("train", "validation", "test")
    names = [f"{number}{text}" for number in range(len(splits)) for text in "ab"]
    rows = [f"{name}.png,{name[1]},{splits[int(name[0])]},writer {name[0]}\r\n" for name in names]
    pictures = {f"{name}.png": png_bytes(picture(12 + number)) for number, name in enumerate(names)}
    return [{"table.csv": ("path,label,split,writer\r\n" + "".join(rows)).encode(), **pictures}]


def zips() -> list[Files]:
    members = {"a/lines.txt": b"x" * 200, "b.txt": b"", "a/c/d.bin": bytes(range(256))}
    one = character_files.part([0, 1])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        link = zipfile.ZipInfo("a/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "lines.txt")
        archive.writestr("a/lines.txt", b"y" * 999)
    archives = (character_files.zip_bytes(members), character_files.zip_bytes(character_files.idx_files(one, one)))
    return [{"files.zip": content} for content in (*archives, file.getvalue())]


def tars() -> list[Files]:
    def made(mode: str) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
            plain, links = tarfile.REGTYPE, [("a/c", tarfile.SYMTYPE, "b"), ("a/d", tarfile.LNKTYPE, "a/b")]
            for name, kind, link in [("a", tarfile.DIRTYPE, ""), ("a/b", plain, ""), ("l" * 120, plain, ""), *links]:
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.size = kind, link, 600 if kind == plain else 0
                archive.addfile(info, io.BytesIO(bytes(info.size)))
        return file.getvalue()

    return [{f"files.tar{ending}": made(f"w:{ending[1:]}")} for ending in ("", ".gz", ".xz")]


def fonts() -> list[Files]:
    from text_recognizer.datasets.drawing.fonts import _default_content

    def font(kind: int, body: bytes) -> bytes:
        cmap = struct.pack(">HHHHI", 0, 1, 3, 10 if kind == 12 else 1, 12) + body
        return b"\0\1\0\0" + struct.pack(">HHHH", 1, 0, 0, 0) + struct.pack(">4sIII", b"cmap", 0, 28, len(cmap)) + cmap

    groups = struct.pack(">HHIII", 12, 0, 40, 0, 2) + struct.pack(">IIIIII", 65, 90, 1, 0x1F600, 0x1F640, 30)
    segments = struct.pack(">HHHHHHH", 4, 40, 0, 4, 0, 0, 0) + struct.pack(
        ">HHHHHHHHH", 90, 0xFFFF, 0, 65, 0xFFFF, 1, 1, 0, 0
    )
    return [{"font.ttf": content} for content in (font(12, groups), font(4, segments), _default_content())]


def completed() -> dict[str, Any]:
    return assemble(ExperimentSpec.parse(SPEC)).spec.to_json()


def run_files(spec: Mapping[str, Any], fingerprint: str) -> Files:
    """A finished run.

    Args:
        fingerprint: of its data.
    """
    rows = [{"epoch": n, "loss": 1 / n, "val_loss": 1.5 / n, "val_accuracy": 0.3 * n, "time": 1.7e9} for n in (1, 2)]
    read = [{"position": n, "label": str(n), "predicted": "1", "loss": 0.5 * n, "confidence": 0.5} for n in range(4)]
    attempt = {"time": 1.7e9, "process": 1, "host": "h", "command": ["run_experiment"], "folder": "/"}
    summary = {"test_accuracy": 0.5, "val_loss": 0.75}
    status = {"format": 1, "state": "finished", "error": None, "summary": summary, "epoch": 2, "epochs": 2}
    environment = {"text_recognizer": "0.1.0", "code": {}, "devices": ["cpu"], "packages": {"numpy": "2"}}
    values = {
        "spec.json": spec,
        "status.json": status | {"times": {"created": 1.7e9, "started": 1.7e9 + 1, "ended": 1.7e9 + 9}},
        "launch.json": {"attempts": [{**attempt, "wandb": "offline", "devices": ["cpu"]}]},
        "environment.json": environment | {"dataset_fingerprint": fingerprint},
        "evaluation.json": {"metrics": summary, "samples": 4},
        "wandb/mirror.json": {"process": 999_999_999, "state": "done", "mode": "offline"},
        "wandb/synced.json": {"state": "finished", "reports": 2, "url": "http://x", "entity": "e", "project": "p"},
        "wandb/sweep.json": {"id": "s", "project": "p", "entity": "e", "values": {"seed": 1}},
    }
    checkpoint = io.BytesIO()
    np.savez(checkpoint, allow_pickle=False, state=np.frombuffer(b'{"epoch": 2, "step": 4}', np.uint8))
    return {
        **{name: as_json(value) for name, value in values.items()},
        "metrics.jsonl": b"".join(as_json(row) + b"\n" for row in rows),
        "predictions.jsonl": b"".join(as_json(row) + b"\n" for row in read),
        "log.txt": b"epoch 1\nepoch 2\n",
        "test_looks.jsonl": as_json({"time": 1.7e9, "by": "mcp", "why": "the best"}) + b"\n",
        "checkpoints/last.npz": checkpoint.getvalue(),
    }


def runs() -> list[Files]:
    """Two runs of a group, one of which stays as it is."""
    spec = completed()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TEXT_RECOGNIZER_DATA"] = folder
        dataset = assemble(ExperimentSpec.parse(spec)).dataset
        dataset.prepare()
    files: Files = {}
    for run, seed in (("damaged", 3), ("healthy", 4)):
        made = run_files({**spec, "seed": seed}, dataset.fingerprint)
        files |= {f"runs/group/{run}/{name}": content for name, content in made.items()}
    at_work = json.loads(files["runs/group/damaged/status.json"]) | {"state": "running"}
    return [files, {**files, "runs/group/damaged/status.json": as_json(at_work)}]


# A line an argument; the first line is the command.
ARGUMENTS = (
    "runs list\n--filter=network=mlp\n--sort=-val_loss\n--columns=id,train_args.epochs\n--limit=3\n--json",
    "runs list\n--filter\nid~heal.*\n--state=finished\n--group=group\n--format=csv",
    "runs show\nhealthy\n--json",
    "runs compare\nhealthy\ndamaged\n--curve=val_loss",
    "runs tail\nhealthy\n--lines=3",
    "sweeps list\n--json",
    "sweeps show\nhealthy",
    "sweeps explain\nhealthy\n--trial=1\n--json",
    "list\nnetworks\n--json",
    "datasets list\n--json",
    "models show\nline-reader@2",
    "gpus\n--json",
    "watch\n--once\n--ended=3\n--every=2\n--filter=state=finished",
    "run_sweep\nruns/sweep.yaml\n--name=widths\n--run-cap=3\n--jobs=2\n--set=train_args.epochs=3\n--gpus-per-trial=0.5",
    "run_experiment\n--network=mlp\n--train_args.epochs=3\nnetwork_args.layer_size=8\n--gpu=none\n--id=one",
)
CALLS = (
    ("list_runs", {"filters": ["val_loss<0.8", "id~heal"], "sort": "-val_loss", "limit": 3}),
    ("show_run", {"run": "healthy", "reports": 3, "log_lines": 5}),
    ("compare_runs", {"runs": ["healthy", "damaged"]}),
    ("show_sweep", {"sweep": "healthy", "trials": 2}),
    ("list_parts", {"kind": "networks"}),
    ("stop", {"why": "it diverges", "run": "damaged"}),
    ("test_figures", {"run": "healthy", "why": "at the end"}),
    ("run_experiment", {"spec": {**SPEC, "experiment_group": "g", "seed": 3}, "minutes": 2.5}),
    (
        "run_sweep",
        {
            "sweep": {
                "method": "random",
                "metric": {"name": "val_loss", "goal": "minimize"},
                "parameters": {"network_args.layer_size": {"min": 4, "max": 8}, "network": {"value": "mlp"}},
            },
            "name": "widths",
            "runs": 2,
            "minutes": 3,
        },
    ),
)


def arguments() -> list[Files]:
    """Command lines, beside two runs, a sweep and a sweep file."""
    places = runs()[0] | sweeps()[0] | {"runs/sweep.yaml": GRID.encode()}
    return [{**places, "arguments": text.encode()} for text in ARGUMENTS]


def calls() -> list[Files]:
    """What an agent asks for, beside two runs and a sweep."""
    places = runs()[1] | sweeps()[0]
    return [{**places, "call.json": as_json({"tool": tool, "arguments": values})} for tool, values in CALLS]


def checkpoints() -> list[Files]:
    from training.attempts.checkpoint import write_checkpoint

    groups = {"model": [np.zeros((3, 4), np.float32), np.ones(4, np.float32)], "optimizer": [np.array(7)]}
    return written(lambda folder: write_checkpoint(folder / "last.npz", groups, {"epoch": 2, "best": None}))


def sweeps(healthy: bool = True) -> list[Files]:
    """A finished sweep of two trials, and another one that stays as it is."""
    from training.tests.sweep_support import by_layer_size, run_sweep

    def make(folder: Path) -> None:
        run_sweep(GRID, folder / "runs", by_layer_size, name="damaged")
        if healthy:
            run_sweep(GRID, folder / "runs", by_layer_size, name="healthy")
        (folder / "runs" / "damaged" / "control").write_text("run\n")

    return written(make)


def foreign() -> list[Files]:
    """Runs of MLflow, TensorBoard and W&B, and of a CSV file."""
    from tensorboardX import SummaryWriter
    from wandb.proto import wandb_internal_pb2 as wandb

    def events(folder: Path) -> None:
        with SummaryWriter(str(folder / "first")) as writer:
            writer.add_scalar("loss", 0.5, 1, walltime=1.7e9)

    config = wandb.ConfigRecord(update=[wandb.ConfigItem(key="lr", value_json="0.5")])
    history = wandb.HistoryRecord(item=[wandb.HistoryItem(nested_key=["loss"], value_json="0.25")])
    summary = wandb.SummaryRecord(update=[wandb.SummaryItem(key="best", value_json='{"cer": 0.25}')])
    records = [
        wandb.Record(config=config),
        wandb.Record(history=history),
        wandb.Record(summary=summary),
        wandb.Record(exit=wandb.RunExitRecord()),
    ]
    packed = [one.SerializeToString() for one in records]
    log = b":W&B\xe1\xbe\x00" + b"".join(struct.pack("<IHB", 0, len(one), 1) + one for one in packed)
    about = b"run_name: quick\nstatus: 3\nstart_time: 1700000000000\nend_time: 1700000060500\n"
    mlflow = {"meta.yaml": about, "metrics/loss": b"1700000001000 0.5 0\n1700000002000 0.25 1\n", "params/lr": b"0.1"}
    table = b"run,epoch,loss,optimizer\na,1,0.5,adam\nb,1,0.25,sgd\n"
    return [
        *written(events),
        {"run-abc.wandb": log},
        {f"0/ab/{name}": one for name, one in mlflow.items()},
        {"x.csv": table},
    ]


def leases() -> list[Files]:
    record = {"format": 1, "pid": 1, "started": 5, "namespace": "pid:[1]", "user": "u", "label": "x", "asked": 1.7e9}
    wish = {"count": 1, "candidates": {"GPU-0": None}, "force": False, "text": "1 GPU"}
    held = {**record, "wish": wish, "holds": {"GPU-0": 1000}, "since": 1.7e9}
    waits = {**record, "wish": wish, "holds": None, "since": None}
    quarantine = {"uuid": "GPU-1", "reason": "ECC errors", "since": 1.7e9, "user": "u"}
    values = {"000000000001.lease": held, "000000000002.waiting": waits, "GPU-1.quarantine": quarantine}
    return [{f"locks/{name}": as_json(value) for name, value in values.items()} | {"locks/mutex": b""}]


def answers() -> list[Files]:
    body = b"x" * 70
    lines = {
        200: b'ETag: "v1"\r\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 70',
        206: b"Content-Range: bytes 10-69/70\r\nContent-Length: 60",
        416: b"Content-Range: bytes */10\r\nContent-Length: 0",
        429: b"Retry-After: 3\r\nContent-Length: 0",
        503: b"Retry-After: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 0",
        302: b"Location: /other\r\nContent-Length: 0",
    }
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    answered = [b"HTTP/1.1 %d Said\r\n%s\r\n\r\n%s" % (code, head, body) for code, head in lines.items()] + [chunked]
    note = as_json({"url": "the address", "validator": '"v1"'})
    return [{"answer.http": content, "part.json": note, "part": b"y" * 10} for content in answered]


def decoders() -> list[Files]:
    """What a reader of lines has learnt besides its weights."""
    from text_recognizer.decoding.line_decoder import LineDecoder

    def make(folder: Path) -> None:
        decoder = LineDecoder(("", *"abc "), 4, 3, True)
        decoder.learn([np.array(ids, np.int32) for ids in ([1, 2, 3], [2, 2, 4, 1])], ["abc", "bb a"])
        decoder.save(folder)

    return written(make)


def bundles() -> list[Files]:
    spec = completed()
    data = {"input_shape": [8, 8, 1], "classes": list("0123456789"), "target": "character", "margin_px": 1}
    described = {"format": 1, "written_by": "0.1.0", "run_id": "r", "spec": spec, "data_spec": {**data, "ink": "dark"}}
    described |= {"dataset_fingerprint": "ab", "metrics": {"val_loss": 0.5}}
    described |= {"weights_sha256": "00" * 32, "files_sha256": {"decoding.json": "00" * 32}}
    return [{"weights/name/bundle.json": as_json(described), "weights/name/model.weights.h5": b"x"}]


def manifests() -> list[Files]:
    facts = FileFacts("0" * 64, 5)
    earlier: dict[str, Any] = {"run": "a", "dataset": "DigitsDataset", "dataset_args": {}, "initial_weights": None}
    lineage = {**earlier, "run": "b", "code": {"text_recognizer": {"commit": "c0"}}, "initial_weights": earlier}
    return [{"promoted.json": Manifest({"bundle.json": facts, "model.weights.h5": facts}, lineage).to_bytes()}]


def model_stores() -> list[Files]:
    (files,) = manifests()
    place = f"bundles/{digest_of(files['promoted.json'])}"
    records = {"names/n/1.json": as_json({"bundle": place[8:], "promoted": 1.5}), "names/n/current": b"1\n"}
    return [{**records, f"{place}/promoted.json": files["promoted.json"], f"{place}/bundle.json": b"{}"}]


def weights() -> list[Files]:
    """Whole bundles, of characters and of lines; needs TensorFlow."""
    import keras

    from text_recognizer.datasets.base import DataSpec
    from text_recognizer.models.bundle import build_model, write_bundle

    keras.utils.set_random_seed(0)
    characters = DataSpec((8, 8, 1), tuple("0123456789"))
    lines = DataSpec((28, None, 1), ("", *"abc "), "line")
    beam = {"decoding": "beam", "beam_width": 4, "language_model": 2, "lexicon": True}
    reader = {"dataset": "EmnistLinesDataset", "model": "LineModelCtc", "network": "line_reader", "model_args": beam}
    reader |= {"network_args": {"filters": 4, "units": 4}}

    def made(value: Mapping[str, Any], data: DataSpec) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            spec = ExperimentSpec.parse(value)
            model = build_model(spec, data)
            if hasattr(model, "decoder"):
                model.decoder.learn([np.array([1, 2, 3], np.int32)], ["abc"])
            write_bundle(folder / "bundle", model, spec, "r", {"val_loss": 0.5}, "ab")

        return make

    return written(made(SPEC, characters), made(reader, lines))
