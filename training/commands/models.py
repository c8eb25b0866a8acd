"""text-recognizer models: shows promoted models, and changes the current version of a name."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from text_recognizer.errors import SpecError
from text_recognizer.models.bundle import Bundle
from text_recognizer.promoted.object_store import ObjectStore
from text_recognizer.promoted.store import ModelStore, version_number
from text_recognizer.wording import counted, received
from training.commands.base import Command, add_action
from training.terminal.tables import print_table, shown
from training.views.models import promoted_models

EXAMPLES = """examples:
  text-recognizer models list
  text-recognizer models show line-reader@2
  text-recognizer models rollback line-reader          the version before the current one
  text-recognizer models push line-reader s3://models/ours
  text-recognizer models pull line-reader s3://models/ours

For a store other than Amazon's, set AWS_ENDPOINT_URL.
"""
COLUMNS = ("name", "current", "versions", "network", "dataset", "run", "promoted")


class Models(Command):
    """Look at promoted models and choose their versions: list, show, rollback, push, pull."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(metavar="ACTION", required=True)
        listing = add_action(actions, "list", _list, "all names and their current versions")
        show = add_action(actions, "show", _show, "everything about one version")
        rollback = add_action(actions, "rollback", _rollback, "make an earlier version current")
        for action in (show, rollback):
            action.add_argument("name", metavar="NAME", help="NAME, or NAME@VERSION" if action is show else None)
        for action in (listing, show):
            action.add_argument("--json", action="store_true", help="print JSON")
        push = add_action(actions, "push", _push, "copy a version into an object store")
        pull = add_action(actions, "pull", _pull, "copy a version from an object store")
        for copy in (push, pull):
            copy.add_argument("name", metavar="NAME", help="NAME, or NAME@VERSION")
            copy.add_argument("address", metavar="ADDRESS", help="s3://bucket or s3://bucket/prefix")
        rollback.add_argument("--to", type=int, metavar="VERSION", help="default: the one before the current one")


def _list(arguments: argparse.Namespace) -> int:
    rows = promoted_models()
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    columns = [*COLUMNS, *(["damage"] if any("damage" in row for row in rows) else [])]
    kinds = ["created" if column == "promoted" else column for column in columns]
    print_table(columns, [list(map(shown, kinds, map(row.get, columns))) for row in rows])
    if not rows:
        print(f"no model in {ModelStore().folder} yet: text-recognizer promote RUN --as NAME")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    store = ModelStore()
    version = store.find(arguments.name) or store.current(arguments.name)
    manifest, bundle = store.manifest(version), Bundle.read(version.folder)
    bundle.check_files()
    versions, current = store.versions(version.name), store.current(version.name)
    if arguments.json:
        described = {
            "name": version.name,
            "version": version.number,
            "current": current.number,
            "versions": {one.number: one.to_json() for one in versions},
            "folder": str(version.folder),
            "bundle": version.digest,
            "files": manifest.hashes,
            "lineage": dict(manifest.lineage),
            "metrics": bundle.metrics,
            "spec": bundle.spec.to_json(),
            "classes": bundle.data_spec.classes,
            "preprocessing": bundle.data_spec.preprocessing,
        }
        print(json.dumps(described, indent=1, ensure_ascii=False))
        return 0
    state = "current" if version == current else f"the current one is {current}"
    print(f"model       {version} of {counted(len(versions), 'version')}, {state}")
    print(f"promoted    {shown('created', version.promoted)}")
    print(f"bundle      {version.folder}")
    print(f"experiment  {bundle.spec.network} on {bundle.spec.dataset}")
    print(f"reads       a {bundle.data_spec.target}; {len(bundle.data_spec.classes):,} classes")
    _print_lineage(manifest.lineage)
    for name, value in bundle.metrics.items():
        print(f"  {name:<24} {shown(name, value)}")
    for name, facts in manifest.files.items():
        print(f"file        {facts.sha256[:12]}…  {facts.size_bytes:>12,}  {name}")
    return 0


def _print_lineage(lineage: Mapping[str, Any] | None) -> None:
    """Prints the run, and below it the origin of its weights, back to the first training."""
    label = "trained by"
    while lineage is not None:
        data = f" on {lineage['dataset']} ({lineage['dataset_fingerprint']})" if "dataset" in lineage else ""
        run = f"run {lineage['run']}" if "run" in lineage else f"{lineage.get('name')}, which is gone"
        print(f"{label:<11} {run}{data}")
        label, lineage = "from", lineage.get("initial_weights")


def _rollback(arguments: argparse.Namespace) -> int:
    store, name = ModelStore(), arguments.name
    if arguments.to is not None:
        version = store.version(name, arguments.to)
    else:
        current = store.current(name)
        earlier = [one for one in store.versions(name) if one.number < current.number]
        if not earlier:
            raise SpecError(f"{current} is the first version of '{name}'. Choose a later one with --to VERSION.")
        version = earlier[-1]
    Bundle.read(version.folder).check_files()
    store.set_current(version)
    print(f"the current version of {name} is {version}")
    return 0


def _push(arguments: argparse.Namespace) -> int:
    store = ModelStore()
    version = store.find(arguments.name) or store.current(arguments.name)
    Bundle.read(version.folder).check_files()
    there = ObjectStore(arguments.address)
    print(f"pushed      {version}, which is {version.name}@{there.push(store, version)} in {there.address}")
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    name, at, text = arguments.name.partition("@")
    number = version_number(text)
    if at and number is None:
        raise SpecError(f"a version is a number, as in {name}@2. {received(text)}")
    there = ObjectStore(arguments.address)
    version = there.pull(ModelStore(), name, number, lambda at: Bundle.read(at).check_files())
    print(f"pulled      {version} from {there.address}")
    print(f"bundle      {version.folder}")
    return 0
