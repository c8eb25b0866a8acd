"""Tests that guard the house: imports point one way, packages are declared, names load, checks need no TensorFlow."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from text_recognizer.registry import BUILT_IN, resolve

REPOSITORY = Path(__file__).resolve().parents[2]

# Rooms from the lowest to the highest; a module may import from its own room, from lower ones, and from rooms beside it
# that do not import from its own. A room inside another that is not named here is a part of the room around it.
FLOORS = [
    {"text_recognizer.errors", "text_recognizer.wording"},
    {
        "text_recognizer.json_text",
        "text_recognizer.keras_import",
        "text_recognizer.settings",
        "text_recognizer.train_args",
        "text_recognizer.yaml_source",
        "text_recognizer.whole_files",
    },
    {"text_recognizer.strict_hdf5"},
    {"text_recognizer.registry", "text_recognizer.arguments", "text_recognizer.trust"},
    {"text_recognizer.spec", "text_recognizer.parts", "text_recognizer.charset"},
    {"text_recognizer.named_part"},
    {"text_recognizer.reading_order", "text_recognizer.datasets.base", "text_recognizer.networks"},
    {"text_recognizer.recipes"},
    {"text_recognizer.muon"},
    {"text_recognizer.optimizers", "text_recognizer.schedules"},
    {"text_recognizer.images", "text_recognizer.augmentation", "text_recognizer.decoding"},
    {"text_recognizer.datasets.line_source", "text_recognizer.layout"},
    {"text_recognizer.datasets.formats", "text_recognizer.datasets.remote", "text_recognizer.datasets.storage"},
    {"text_recognizer.datasets.stored"},
    {"text_recognizer.datasets.drawing", "text_recognizer.datasets.records"},
    {"text_recognizer.datasets.characters", "text_recognizer.datasets.transcribed"},
    {"text_recognizer.datasets.lines"},
    {"text_recognizer.datasets.pages", "text_recognizer.datasets.exports"},
    {"text_recognizer.datasets"},
    {"text_recognizer.promoted"},
    {"text_recognizer.models"},
    {"text_recognizer.experiment", "text_recognizer.predictors", "text_recognizer.exports"},
    {"text_recognizer.serving"},
    {"evaluation"},
    {"training.terminal"},
    {"training.files"},
    {"training.devices", "training.runs"},
    {"training.tracking.base"},
    {"training.tracking.wandb"},
    {"training.tracking"},
    {"training.attempts"},
    {"training.executors.base"},
    {"training.executors.zygote"},
    {"training.executors"},
    {"training.executors.cluster"},
    {"training.sweeps.numbers"},
    {"training.sweeps.stopping_rules"},
    {"training.sweeps.file"},
    {"training.sweeps.plan"},
    {"training.sweeps.search"},
    {"training.sweeps"},
    {"training.sweeps.results"},
    {"training.sweeps.wandb"},
    {"training.commands.table"},
    {"training.views"},
    {"training.run_experiment", "training.prepare_experiments"},
    {"training.run_sweep"},
    {"training.api"},
    {"training.ui"},
    {"training.mcp"},
    {"training.commands"},
    {"training.cli", "training.entry"},
    {"training.benchmarks"},  # measure everything from outside
]
# The tops of packages, which hold nothing.
FACES = ["text_recognizer", "training"]
OURS = ("text_recognizer", "evaluation", "training")
WHERE_IT_IS_THERE = {"pandas"}  # `to_pandas` says that it is missing


def _modules() -> list[tuple[str, Path]]:
    paths = [path for top in OURS for path in (REPOSITORY / top).rglob("*.py")]
    named = [(".".join(path.relative_to(REPOSITORY).with_suffix("").parts), path) for path in paths]
    return [(name.removesuffix(".__init__"), path) for name, path in named if ".tests" not in name]


HEIGHTS = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def _room(module: str) -> str | None:
    inside = [room for room in HEIGHTS if module == room or module.startswith(room + ".")]
    return max(inside, default=None)  # the longest name is the innermost room


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_imports_point_one_way():
    arrows = {
        (here, there): f"{module} imports {imported}"
        for module, path in _modules()
        for imported in _imported(path)
        if (here := _room(module)) is not None and (there := _room(imported)) is not None and there != here
    }
    upward = [text for (here, there), text in arrows.items() if HEIGHTS[there] > HEIGHTS[here]]
    circles = [text for (here, there), text in arrows.items() if (there, here) in arrows]
    assert (upward, circles) == ([], [])


def test_every_package_that_is_imported_is_declared():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in ("cpu", "gpu", "mcp", "ray") for line in extras[extra])]
    declared = {re.split(r"[^\w.-]", line)[0].lower() for line in lines}
    modules = [path for _, path in _modules() if not path.name.startswith(("test_", "conftest"))]
    imported = {name.split(".")[0] for path in modules for name in _imported(path)}
    others = imported - {*OURS, *sys.stdlib_module_names, *WHERE_IT_IS_THERE}
    known = packages_distributions()
    missing = {
        name
        for name in others
        if not declared & {distribution.lower().replace("_", "-") for distribution in known.get(name, ())}
    }
    assert missing == set()


def test_every_module_has_a_floor():
    assert sorted(module for module, _ in _modules() if _room(module) is None) == FACES


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in BUILT_IN.items() for name in table])
def test_every_registered_name_loads(kind, name):
    assert callable(resolve(kind, name))


def test_checking_a_spec_and_listing_import_no_heavy_library():
    code = """
import sys
from text_recognizer.registry import BUILT_IN, resolve
from text_recognizer.experiment import assemble, json_schema
from text_recognizer.spec import ExperimentSpec
import training.run_experiment, training.runs.run_table, training.commands.runs, training.commands.list
spec = ExperimentSpec("EmnistDataset", "CharacterModel", "lenet", train_args={"optimizer": "sgd"})
assemble(spec)
json_schema()
for kind, table in BUILT_IN.items():
    for name in table:
        resolve(kind, name)
heavy = {"tensorflow", "keras", "wandb", "boto3", "optuna", "ray", "scipy", "sklearn", "h5py", "plotext", "pynvml"}
heavy |= {"starlette", "uvicorn", "onnxruntime"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
