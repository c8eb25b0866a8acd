"""The environment of a run: code, Python, packages, host. Recorded so that results can be explained later."""

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from text_recognizer import __version__
from text_recognizer.models.bundle import DESCRIPTION, find_bundle
from text_recognizer.registry import BUILT_IN, RECIPES, resolve
from text_recognizer.settings import REPOSITORY
from text_recognizer.spec import PARTS, ExperimentSpec
from text_recognizer.trust import source_of

_DECISIVE = ("tensorflow", "tensorflow-cpu", "keras", "numpy")
OUR_PACKAGES = ("text_recognizer", "training", "evaluation")


def environment(spec: ExperimentSpec, dataset_fingerprint: str, devices: list[str]) -> dict[str, Any]:
    """The content of environment.json for a completed spec and the names of the GPUs in use, or "cpu"."""
    return {
        "text_recognizer": __version__,
        "code": code_version(spec),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "devices": devices,
        "dataset_fingerprint": dataset_fingerprint,
        "initial_weights": initial_weights(spec),
        "seed": spec.seed,
        "packages": package_versions(),
    }


def initial_weights(spec: ExperimentSpec) -> str | None:
    """Hash of the bundle with the initial weights; None without one. Raises DataError: it is missing."""
    name = spec.train_args.get("initial_weights")
    return _sha256((find_bundle(name).folder / DESCRIPTION).read_bytes()) if name is not None else None


@functools.cache
def package_versions() -> dict[str, str]:
    """Every installed distribution."""
    installed = importlib.metadata.distributions()
    return dict(sorted((name.lower(), one.version) for one in installed if (name := one.metadata["Name"])))


def decisive_versions(packages: Mapping[str, str]) -> dict[str, str | None]:
    """The versions of the packages that may affect results."""
    return {name: packages.get(name) for name in _DECISIVE}


def code_version(spec: ExperimentSpec) -> dict[str, Any]:
    """The code of a spec's run: the checkouts, and the user's modules that it names ("own_modules")."""
    own = [(kind, name) for kind, name in _named(spec).items() if name not in BUILT_IN[kind]]
    modules = [name.partition(":")[0] if ":" in name else resolve(kind, name).__module__ for kind, name in own]
    found = own_modules(modules)
    return {**checkouts(), **({"own_modules": found} if found else {})}


def users_modules(specs: Iterable[ExperimentSpec]) -> list[str]:
    """The modules of "package.module:Name" in specs, without importing them."""
    names = [name for spec in specs for name in _named(spec).values() if ":" in name]
    return list(dict.fromkeys(name.partition(":")[0] for name in names))


def _named(spec: ExperimentSpec) -> dict[str, str]:
    """The names of parts in a spec, by kind."""
    names = {kind: getattr(spec, kind) for kind in PARTS} | {kind: spec.train_args.get(kind) for kind in RECIPES}
    return {kind: name for kind, name in names.items() if isinstance(name, str)}


def own_modules(modules: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the sources of modules and of everything they import, by name; without installed packages.

    Imports come before the modules that import them. A source is hashed once per process, so that the hash is that of
    the imported module even if the file changes.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()

    def visit(name: str) -> None:
        known = name.partition(".")[0] in (*sys.stdlib_module_names, *OUR_PACKAGES)
        if name in seen or known:
            return
        seen.add(name)
        path = source_of(name)
        if path is not None and not _is_installed(path):
            digest, imported = hash_and_imports(name, path)
            for one in imported:
                visit(one)
            found[name] = digest
        if "." in name:
            visit(name.rpartition(".")[0])

    for name in modules:
        visit(name)
    return found


def _is_installed(path: Path) -> bool:
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return {"site-packages", "dist-packages"} & set(path.parts) != set() or any(map(path.is_relative_to, places))


@functools.cache
def hash_and_imports(name: str, path: Path) -> tuple[str, list[str]]:
    content = path.read_bytes()
    return _sha256(content), list(_imports(name, path.stem == "__init__", content))


def _imports(name: str, is_package: bool, source: bytes) -> Iterator[str]:
    """Possible module names in all import statements, including those inside functions."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # an extension module
        return
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            try:
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:  # above its package: it cannot have been executed
                continue
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@functools.cache
def checkouts() -> dict[str, Any]:
    """Commit and hash of uncommitted changes of the project's checkout, and of the working folder's if different."""
    ours = _git_version(REPOSITORY)
    found = {"text_recognizer": ours and ours | _untracked_sources(REPOSITORY)}
    with contextlib.suppress(FileNotFoundError):  # the working folder was removed
        here = _git_version(Path.cwd())
        found["working_folder"] = here if here != ours else None
    return {name: version for name, version in found.items() if version}


def _git_version(folder: Path) -> dict[str, Any] | None:
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "diff", "HEAD") or b""
    return {"git_commit": commit.decode().strip(), "git_diff_sha256": _sha256(changes) if changes else None}


def _untracked_sources(folder: Path) -> dict[str, str]:
    """Hash of the project's untracked modules, which `git diff` leaves out; empty if there are none."""
    listed = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", *OUR_PACKAGES) or b""
    names = sorted(name for name in listed.decode(errors="surrogateescape").split("\0") if name.endswith(".py"))
    contents = [(name, (folder / name).read_bytes()) for name in names if (folder / name).is_file()]
    return {"git_untracked_sha256": _sha256(repr(contents).encode())} if contents else {}


def _git(folder: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, timeout=10, check=False)  # noqa: S607 - the user's git
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
