"""The table of targets: what reads an input, and where valid inputs come from."""

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import io
import json
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from text_recognizer import experiment
from text_recognizer.datasets.characters.files import read_character_files
from text_recognizer.datasets.characters.hwdb import HwdbDataset
from text_recognizer.datasets.characters.image_folder import ImageFolderDataset
from text_recognizer.datasets.drawing.fonts import Font
from text_recognizer.datasets.formats.char_dict import read_char_dict, write_char_dict
from text_recognizer.datasets.formats.emnist_mat import read_emnist_mat
from text_recognizer.datasets.formats.font_cmap import characters_of_font
from text_recognizer.datasets.formats.lexicon import read_lexicon
from text_recognizer.datasets.formats.page_xml import read_page
from text_recognizer.datasets.formats.tfrecord import write_record
from text_recognizer.datasets.lines.alto_lines import AltoLinesDataset
from text_recognizer.datasets.lines.charset_files import read_charset
from text_recognizer.datasets.lines.hdf5_lines import Hdf5LinesDataset
from text_recognizer.datasets.lines.iam import IamLinesDataset
from text_recognizer.datasets.lines.line_list import LineListDataset
from text_recognizer.datasets.lines.sentences import SentenceSource, words_of
from text_recognizer.datasets.pages.page_list import PageListDataset
from text_recognizer.datasets.records.checking import check_records
from text_recognizer.datasets.records.relabelling import relabel_records
from text_recognizer.datasets.records.shards import open_shards
from text_recognizer.datasets.remote import archives
from text_recognizer.datasets.remote.download import Download, DownloadError
from text_recognizer.datasets.remote.metadata import load_registry
from text_recognizer.decoding.line_decoder import LineDecoder
from text_recognizer.errors import DataError, TextRecognizerError
from text_recognizer.images.grey import read_grey
from text_recognizer.images.read import fit_to, read_image
from text_recognizer.models.bundle import Bundle, find_bundle
from text_recognizer.promoted.manifest import Manifest
from text_recognizer.promoted.store import ModelStore
from text_recognizer.tests import iam_files
from training import cli, run_experiment
from training.attempts.checkpoint import read_checkpoint
from training.devices.device import Device, Reading
from training.devices.gpu_manager import GPUManager
from training.devices.requests import DeviceRequest
from training.runs.environment import checkouts
from training.runs.find import find_run
from training.runs.given_spec import spec_from
from training.runs.run import Run
from training.sweeps.folder import SweepFolder
from training.sweeps.options import checked_plan
from training.sweeps.options import parser as options_parser
from training.sweeps.plan_file import read_plan
from training.sweeps.search.base import make_search
from training.sweeps.wandb.agent_trial import AgentTrial
from training.terminal.command_line import split_overrides
from training.tests.fuzzing import seeds
from training.tests.fuzzing.mutators import Files
from training.tracking.base import Facts, Tracker
from training.tracking.mirror import mirror
from training.tracking.wandb.sweep_link import swept_values


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Args:
        seeds: makes valid inputs.
        read: reads an input, written into a folder, as a command would.
        kept: files whose names begin so are never changed.
        mend: makes right, in a changed input, what would hide the change: hashes.
        together: inputs that are read at once, each with its own number in the name of its damaged folder.
        share: of the inputs asked for, where one takes long.
        tensorflow: `read` needs it, so workers inherit it and their address space is not limited.
    """

    name: str
    seeds: Callable[[], list[Files]]
    read: Callable[[Path], object]
    kept: str = "\0"
    mend: Callable[[Files], object] = lambda _: None
    together: int = 1
    share: float = 1.0
    tensorflow: bool = False

    def warm(self) -> None:
        """Imports what workers then inherit."""
        import h5py  # noqa: F401
        import optuna  # noqa: F401
        import requests  # noqa: F401
        from PIL import Image, ImageFont  # noqa: F401

        Image.init()
        checkouts()  # it asks git, which a worker must not
        if self.tensorflow:
            os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
            import keras  # noqa: F401


class StillWaitingError(TextRecognizerError):
    """What waits for another process would wait for ever here; that is no fault of its input."""


def _only(folder: Path, pattern: str = "*") -> Path:
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not found:
        raise DataError("the input was taken away")
    return found[0]


def assembled(spec: str | None = None, overrides: str | None = None) -> experiment.Experiment:
    return experiment.assemble(spec_from(spec, overrides, {}))


@functools.cache
def _digits() -> Any:
    return assembled().dataset


def _sweep_file(folder: Path) -> None:
    plan = read_plan(_only(folder))
    list(plan.warnings())
    plan.check()
    search = make_search(plan)
    for number in (1, 2, 3):
        search.ask(number)


def _prepared(kind: Callable[..., Any], name: str, folder: Path) -> None:
    dataset = kind(path=str(folder / name))
    dataset.processes = 1
    dataset.prepare()
    for name in ("train", "validation", "test"):
        split = dataset.split(name)
        if len(split):
            split.batch(np.arange(len(split)))


def _gnt(folder: Path) -> None:
    _prepared(HwdbDataset, next((path.name for path in folder.glob("*.zip")), "."), folder)


def _pages(folder: Path) -> None:
    for path in sorted(folder.glob("*.xml")):
        with contextlib.suppress(DataError):
            read_page(path)
    _prepared(AltoLinesDataset, ".", folder)


def _sentences(folder: Path) -> None:
    source = SentenceSource("abcdefghijklmnopqrstuvwxyz ", words_of(folder / "texts.txt"))
    list(source.sentences(20, 32, np.random.default_rng(0)))


def _image(folder: Path) -> None:
    path = _only(folder)
    with contextlib.suppress(DataError):
        read_grey(path)
    fit_to(read_image(path), _digits().data_spec)


def _archive(folder: Path) -> None:
    path = _only(folder, "files.*")
    for member in archives.members(path):
        if member.kind == "file":
            with contextlib.suppress(DataError), archives.open_member(path, member.name) as file:
                while file.read(1 << 20):
                    pass
    with contextlib.suppress(DataError):
        read_character_files({path.name: path})
    archives.extract(path, folder / "unpacked")


def _records(folder: Path) -> None:
    """All shards are read, with sound checksums too, so that changes reach what the frames hold."""
    shards = open_shards(folder)
    check_records(shards, samples=2)
    with contextlib.suppress(DataError):
        relabel_records(shards, folder / "new", processes=1)
    path = next(folder.glob("train*"))
    content = path.read_bytes()
    with open(path, "wb") as file:
        for begin in (12, 30):
            write_record(file, content[begin:-4])
    check_records(shards)


def _font(folder: Path) -> None:
    path = folder / "font.ttf"
    characters = characters_of_font(path)
    assert all(0 <= code <= 0x10FFFF for code in list(characters)[:1000])
    Font(str(path), 20).draw("Ab jÄ")


def _decoder(folder: Path) -> None:
    decoder = LineDecoder(("", *"abc "), 4, 3, True)
    decoder.load(folder)
    outputs = np.random.default_rng(0).normal(size=(2, 12, 5)).astype(np.float32)
    decoder.labels(outputs, np.array([12, 7]))


def _bundle(folder: Path) -> None:
    bundle = Bundle.read(find_bundle("name").folder)
    assert bundle.data_spec.input_shape
    with contextlib.suppress(TextRecognizerError):
        find_bundle("nothing of that name")


def _model_store(folder: Path) -> None:
    store = ModelStore(folder)
    for name in store.names():
        for version in [store.current(name), *store.versions(name)]:
            assert version.number < 10**9
            with contextlib.suppress(TextRecognizerError):
                store.manifest(version)


def _weights(folder: Path) -> None:
    import keras

    keras.backend.clear_session()
    Bundle.read(folder / "bundle").load()


def _right_hashes(files: Files) -> None:
    """Hashes of what was changed, as a forger would mend them."""
    with contextlib.suppress(Exception):
        described = json.loads(files["bundle/bundle.json"])
        described["weights_sha256"] = hashlib.sha256(files["bundle/model.weights.h5"]).hexdigest()
        for name in described.get("files_sha256", {}):
            described["files_sha256"][name] = hashlib.sha256(files[f"bundle/{name}"]).hexdigest()
        files["bundle/bundle.json"] = json.dumps(described).encode()


def _told(*argv: str) -> str:
    """What a command prints; errors are raised."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(TextRecognizerError):
        cli._main(list(argv))
    return printed.getvalue()


def _runs(_: Path) -> None:
    listed = json.loads(_told("runs", "list", "--format=json"))
    assert "healthy" in [run["id"] for run in listed], "a damaged run hides the others"
    _told("runs", "list")
    _told("runs", "list", "--format=csv", "--sort=-test_accuracy", "--filter=test_accuracy>=0")
    for name in ("damaged", "last"):
        _told("runs", "show", name)
        _told("runs", "show", name, "--json")
    _told("runs", "compare", "damaged", "healthy")
    swept_values(find_run("damaged"))


def _no_json(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


_HOSTILE_NAMES = ("<img src=x>", "a\nb", "a?b&run=#c%2e", "\udcff", "-f", "é\u0301\u202e", "x" * 240, "a@0-0")
_MET = ("status.json", "spec.json", "metrics.jsonl", "log.txt", "evaluation.json", "predictions.jsonl", "circle")
_TARGETS = (".", "..", "../..", "circle", "/etc", "/etc/passwd", "/dev/zero", "nowhere", "../healthy", "x" * 250)


def _twist(runs: Path) -> None:
    """Some folders get what no content of a file can be: hostile names, links in circles and out, pipes, folders."""
    draw = random.Random(sum(path.stat().st_size for path in runs.rglob("*.json")))
    for folder in runs.glob("*/damaged-*"):
        path = folder / draw.choice(_MET)
        chance = draw.random()
        with contextlib.suppress(OSError):  # a name that is there already
            if chance < 0.1:
                folder.rename(folder.with_name(f"damaged-{draw.choice(_HOSTILE_NAMES)}"))
            elif chance < 0.3:
                path.unlink(missing_ok=True)
                if chance < 0.22:
                    path.symlink_to(draw.choice(_TARGETS))
                elif chance < 0.26:
                    path.mkdir()
                else:
                    os.mkfifo(path)
            elif chance < 0.34:
                (folder.parent / f"link-{chance}").symlink_to(draw.choice(_TARGETS))


def _page(folder: Path) -> None:
    """Every view of the local page, as a browser asks for it: all are answered, with a reason where one is broken."""
    os.environ["TEXT_RECOGNIZER_DATA"] = _digits_prepared()
    _twist(folder / "runs")
    with patch("asyncio.to_thread", _here):  # on a busy machine, changing threads takes most of the time
        asyncio.run(_views(folder / "runs"))


async def _here(call: Callable[..., Any], *arguments: Any) -> Any:
    return call(*arguments)


async def _views(runs: Path) -> None:
    import httpx

    from training.ui.app import Page
    from training.ui.events import Feed, event
    from training.ui.index import Index
    from training.ui.poller import Poller
    from training.ui.safety import Guard
    from training.ui.tails import Cursor

    index = Index(runs)
    page = Page(index, Poller(index), Guard("127.0.0.1"))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(page.app()), base_url="http://127.0.0.1")

    async def asked(view: str, **params: Any) -> Any:
        answer = await client.get(f"/api/{view}", params=params)
        assert answer.status_code in (200, 400, 404), answer.text
        return json.loads(answer.text, parse_constant=_no_json)

    keys = [row[0] for row in (await asked("runs", first=5))["rows"]]
    keys = [row[0] for row in (await asked("runs"))["rows"]]
    assert any("healthy" in key for key in keys), "a damaged run hides the others"
    await asked("runs", by="network", sort="-test_accuracy")
    await asked("columns")
    for key in keys:
        await asked("run", run=key)
        await asked("samples", run=key, count=4)
        await asked("dataset", run=key)
        answer = await client.get("/api/picture", params={"run": key, "position": 0})
        assert answer.status_code in (200, 400)
    await asked("compare", run=keys[:20])
    await asked("data")
    for key in [row[0] for row in (await asked("sweeps"))["rows"]]:
        await asked("sweep", sweep=key)
        await asked("importance", sweep=key)
    feed = Feed(index, page.poller, 0, dict.fromkeys(keys, Cursor()), dict.fromkeys(keys[:1], Cursor()))
    page.poller.sizes = dict.fromkeys(feed._reports.values(), (1, 1))
    for name, value in feed._news():
        event(name, value)


def _foreign(folder: Path) -> None:
    from training.runs.imports import import_runs

    found = [path for path in folder.glob("*.csv") if path.is_file()]
    made, _ = import_runs(found[0] if found else folder, "group", folder / "runs")
    for run in made:
        run.rows()
    _told("runs", "list")


def _agent_tools(folder: Path) -> None:
    """Every view of an agent; none but `test_figures` shows a figure of the test split."""
    from training.mcp.budget import Budget
    from training.mcp.tools import Tools
    from training.ui.events import json_of
    from training.ui.index import Index

    _twist(folder / "runs")
    tools = Tools(Budget(), Index(folder / "runs"))

    def asked(tool: str, **arguments: Any) -> dict[str, Any]:
        with contextlib.suppress(TextRecognizerError):
            answer = tools.call(tool, arguments)
            text = json_of(answer)
            json.loads(text, parse_constant=_no_json)
            assert tool == "test_figures" or '"test_accuracy"' not in text
            return answer
        return {}

    names = [row["id"] for row in asked("list_runs", limit=5)["runs"]]
    for name in names:
        asked("show_run", run=name, log_lines=9)
        asked("test_figures", run=name, why="to see")
    asked("compare_runs", runs=names)
    for row in asked("list_sweeps")["sweeps"]:
        asked("show_sweep", sweep=row["name"])


def _arguments(folder: Path) -> None:
    """The command lines of what only looks, and of a run and a sweep until they would begin."""
    command, *words = os.fsdecode((folder / "arguments").read_bytes().replace(b"\0", b"")).split("\n")
    nothing = patch.object(sys, "stdin", io.StringIO())  # which "-" reads
    with nothing, contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):  # --help
        if command == "run_sweep":
            checked_plan(options_parser("run_sweep").parse_args(words)).check()
        elif command == "run_experiment":
            rest, overrides = split_overrides(words)
            arguments = run_experiment.parser("run_experiment").parse_args(rest)
            experiment.assemble(spec_from(arguments.spec, arguments.overrides, overrides))
        elif f"{command}\n" in "".join(text.partition("\n")[0] + "\n" for text in seeds.ARGUMENTS):
            cli._main([*command.split(), *words])


def _call(folder: Path) -> None:
    """One call of an agent, with a budget; what it would start is not started."""
    from training.mcp.budget import Budget
    from training.mcp.tools import Tools

    try:
        asked = json.loads((folder / "call.json").read_bytes())
        tool, arguments = str(asked["tool"]), dict(asked["arguments"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError("the client's own library refuses it") from None
    with patch.object(Budget, "start"):
        Tools(Budget(5, 60)).call(tool, arguments)


def _resume(folder: Path) -> None:
    """A run goes on as far as it gets without TensorFlow."""

    def execute(_: object, run: Run, *__: object) -> int:
        run.release()
        read_checkpoint(run.folder / "checkpoints" / "last.npz")
        return 0

    os.environ["TEXT_RECOGNIZER_DATA"] = _digits_prepared()
    sys.modules["training.attempts.train_and_evaluate"] = heavy = ModuleType("heavy")
    heavy.train_and_evaluate = execute  # type: ignore[attr-defined]
    run_experiment.run(["--resume", "damaged", "--gpu=none", "--nowandb"])


def _sweeps(_: Path) -> None:
    assert '"healthy"' in _told("sweeps", "list", "--json"), "a damaged sweep hides the others"
    for action in (("list",), ("show", "damaged"), ("show", "damaged", "--json"), ("explain", "damaged")):
        _told("sweeps", *action)
    assert "healthy" in _told("sweeps", "list")


def _sweep_again(folder: Path) -> None:
    """The same sweep goes on from what is left of its folder."""
    from training.sweeps.results.leaderboard import write_leaderboard
    from training.tests.sweep_support import MadeUpExecutor, by_layer_size, sweep_of

    executor = MadeUpExecutor(by_layer_size)
    sweep, _ = sweep_of(seeds.GRID, folder / "runs", executor, name="damaged")
    sweep.run()
    executor.close()
    write_leaderboard(sweep.plan, sweep.folder, sweep.history)
    SweepFolder(folder / "runs" / "damaged").facts()


class _ThreeGpus:
    """NVML of a machine with three idle GPUs."""

    absence = ""

    def devices(self) -> list[Device]:
        return [Device(f"GPU-{number}", "a GPU", number, 80_000) for number in range(3)]

    def readings(self) -> list[Reading]:
        return [Reading(device, 0, 0, {}) for device in self.devices()]


def _leases(folder: Path) -> None:
    from training.commands.gpus import as_json, as_table

    manager = GPUManager()
    manager._nvml = _ThreeGpus()  # type: ignore[assignment]
    with contextlib.ExitStack() as stack:
        for path in (folder / "locks").glob("*.[lw]*"):  # locked, as if the processes that wrote them were alive
            file = stack.enter_context(open(path, "rb"))
            fcntl.flock(file, fcntl.LOCK_EX if path.suffix == ".waiting" else fcntl.LOCK_SH)
        status = manager.status()
        json.dumps(as_json(status))
        from rich.console import Console

        Console(file=io.StringIO(), width=100).print(as_table(status))
        with manager.lease(DeviceRequest.parse("any"), timeout_s=0):
            pass


class _Answering:
    """A web server whose only answer is a file."""

    def __init__(self) -> None:
        self.content = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/file"
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65_536)
                connection.sendall(self.content)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65_536)


_server = functools.cache(_Answering)


def _answer(folder: Path) -> None:
    time.sleep = lambda _: None
    server = _server()
    server.content = (folder / "answer.http").read_bytes() if (folder / "answer.http").exists() else b""
    if (folder / "part").exists():
        (folder / "part").rename(folder / "whole.part")
    if (folder / "part.json").exists():
        note = (folder / "part.json").read_bytes().replace(b"the address", server.url.encode())
        (folder / "whole.part.json").write_bytes(note)
    try:
        Download(folder / "whole", size_bytes=70).run(server.url)
    except DownloadError as error:
        raise DataError(str(error)) from None


class _Deaf(Tracker):
    """A tracker that takes everything as JSON, as W&B does."""

    def start(self, run: Run) -> None:
        experiment.assemble(run.spec)
        swept_values(run)

    def log(self, epoch: int, row: Any) -> None:
        json.dumps([epoch, dict(row)])

    def log_predictions(self, epoch: int, rows: Any) -> None:
        for row in rows:
            assert row["image"].ndim == 3

    def finish(self, state: str, summary: Any) -> Facts:
        json.dumps([state, dict(summary)])
        return Facts()


def _mirror(folder: Path) -> None:
    def wait(_: object) -> None:
        raise StillWaitingError("the run is at work")

    time.sleep = wait
    os.environ["TEXT_RECOGNIZER_DATA"] = _digits_prepared()
    mirror(Run.open(folder / "runs" / "group" / "damaged"), _Deaf())


@functools.cache
def _digits_prepared() -> str:
    """A data folder with the digits, made once by each worker."""
    folder = str(Path("digits").absolute())
    os.environ["TEXT_RECOGNIZER_DATA"] = folder
    assembled().dataset.prepare()
    return folder


def _agent(folder: Path) -> None:
    environ = {"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r", "WANDB_SWEEP_PARAM_PATH": str(folder / "values.yaml")}
    trial = AgentTrial.from_environ(environ)
    assert trial is not None
    experiment.assemble(spec_from(None, None, trial.overrides({})))


def _images() -> Iterator[Target]:
    for kind in ("png", "jpeg", "tiff", "bmp", "gif", "webp", "pnm"):
        yield Target(kind, partial(seeds.picture_files, kind), _image)


_CHAR_DICTS = (partial(write_char_dict, characters="ab é"), partial(write_char_dict, characters="xyz", form="ord_map"))
_TABLE = (
    Target("spec", seeds.specs, lambda folder: assembled(f"{folder}/spec.json")),
    Target("overrides", seeds.overrides, lambda folder: assembled(overrides=str(_only(folder))), share=0.5),
    Target("sweep_yaml", partial(seeds.as_text, "sweep.yaml", seeds.GRID, seeds.BAYES), _sweep_file, share=0.2),
    Target("experiments", partial(seeds.as_files, "experiments.json", seeds.EXPERIMENTS), _sweep_file),
    Target("agent_values", partial(seeds.as_text, "values.yaml", seeds.AGENT_VALUES), _agent),
    Target(
        "registry",
        partial(seeds.as_text, "metadata.toml", seeds.TOML),
        lambda folder: load_registry(folder / "metadata.toml"),
    ),
    Target("page_xml", partial(seeds.pages, True), _pages, share=0.3),
    Target("alto_xml", partial(seeds.pages, False), _pages, share=0.3),
    Target("page_list", seeds.page_lists, partial(_prepared, PageListDataset, "pages.json"), share=0.3),
    Target("iam", partial(seeds.written, iam_files.write_iam), partial(_prepared, IamLinesDataset, "."), share=0.3),
    Target("line_list", seeds.line_lists, partial(_prepared, LineListDataset, "."), share=0.3),
    Target("csv", seeds.csv_lists, partial(_prepared, LineListDataset, "lines.csv"), share=0.3),
    Target("character_table", seeds.tables_of_characters, partial(_prepared, ImageFolderDataset, "table.csv")),
    Target("gnt", seeds.gnt, _gnt),
    Target("char_dict", partial(seeds.written, *_CHAR_DICTS), read_char_dict),
    Target("charset", seeds.charsets, lambda folder: read_charset(str(_only(folder)), "NFC", "dataset")),
    Target("lexicon", seeds.texts, lambda folder: read_lexicon(folder / "texts.txt")),
    Target("sentences", seeds.texts, _sentences),
    *_images(),
    Target("hdf5", seeds.hdf5, partial(_prepared, Hdf5LinesDataset, "lines.hdf5")),
    Target("matlab", seeds.matlab, lambda folder: read_emnist_mat((folder / "emnist.mat").read_bytes(), ""), share=0.2),
    Target("idx", seeds.idx, lambda folder: read_character_files({path.name: path for path in folder.iterdir()})),
    Target("records", seeds.shards, _records),
    Target("zip", seeds.zips, _archive),
    Target("tar", seeds.tars, _archive),
    Target("font", seeds.fonts, _font),
    Target("checkpoint", seeds.checkpoints, lambda folder: read_checkpoint(folder / "last.npz")),
    Target("decoder", seeds.decoders, _decoder),
    Target("bundle", seeds.bundles, _bundle),
    Target("manifest", seeds.manifests, lambda folder: Manifest.parse(_only(folder).read_bytes(), "it")),
    Target("model_store", seeds.model_stores, _model_store),
    Target("runs", seeds.runs, _runs, kept="runs/group/healthy/", share=0.2),
    Target("page", seeds.runs, _page, kept="runs/group/healthy/", share=0.2, together=25),
    Target("page_of_sweeps", seeds.sweeps, _page, kept="runs/healthy/", share=0.1),
    Target("agent_tools", seeds.runs, _agent_tools, kept="runs/group/healthy/", share=0.2),
    Target("agent_sweeps", seeds.sweeps, _agent_tools, kept="runs/healthy/", share=0.2),
    Target("arguments", seeds.arguments, _arguments, kept="runs/"),
    Target("agent_call", seeds.calls, _call, kept="runs/"),
    Target("foreign", seeds.foreign, _foreign, share=0.5),
    Target("resume", seeds.runs, _resume, kept="runs/group/healthy/", share=0.5),
    Target("sweeps", seeds.sweeps, _sweeps, kept="runs/healthy/", share=0.3),
    Target("sweep_again", partial(seeds.sweeps, False), _sweep_again),
    Target("leases", seeds.leases, _leases),
    Target("http", seeds.answers, _answer, share=0.5),
    Target("mirror", seeds.runs, _mirror, kept="runs/group/healthy/", share=0.3),
    Target("weights", seeds.weights, _weights, mend=_right_hashes, share=0.05, tensorflow=True),
)
TARGETS = {target.name: target for target in _TABLE}
