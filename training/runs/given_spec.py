"""The spec of a command line, and its comparison with that of a run."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from text_recognizer.errors import SpecError
from text_recognizer.experiment import assemble, problems_besides
from text_recognizer.spec import (
    NOT_TRAINED,
    ExperimentSpec,
    base_spec,
    flatten,
    is_met,
    override_json,
    read_spec,
    without_dotted_keys,
)
from training.runs.contents import is_made
from training.runs.find import CHARSET, INITIAL, with_bundles_found
from training.runs.run import Run
from training.terminal.command_line import read_overrides


def spec_from(
    text: str | None, overrides_file: str | None, overrides: Mapping[str, Any], sweep: str | None = None
) -> ExperimentSpec:
    """The spec of a command line: SPEC, then the file of overrides, then single overrides.

    Args:
        text: SPEC; None means the default experiment, or nothing if the overrides are complete.
        sweep: the group of a trial started by W&B's agent; None for a single run.
    """
    from_file = read_overrides(overrides_file) if overrides_file else {}
    # An object before its own keys: in one file, both apply in any order.
    from_file = dict(sorted(from_file.items(), key=lambda item: item[0].count(".")))
    value, source = (base_spec({*from_file, *overrides}), None) if text is None else read_spec(text)
    value = without_dotted_keys(value)
    for change in (from_file, overrides):
        value = override_json(value, change)
    folder = Path(text).parent if text is not None and text == source else None  # of a file
    origin = f"the run folder {folder}" if folder is not None and is_made(folder) else None
    try:
        spec = ExperimentSpec.parse(value, source, origin)
    except SpecError as error:
        raise SpecError([*error.problems, *problems_besides(error.problems, value, origin)], source) from None
    if sweep is not None and spec.experiment_group == "default":
        spec = replace(spec, experiment_group=sweep)
    return with_bundles_found(spec, in_sweep=sweep is not None)


def refuse_changes(run: Run, text: str | None, overrides_file: str | None, overrides: Mapping[str, Any]) -> None:
    """Refuses changes that --resume cannot make. Omitted keys, with group and checkpoints, are those of the run."""
    theirs = flatten(run.spec.to_json())

    def as_then(key: str, value: Any) -> Any:  # the last run at the time when it started
        return theirs.get(key) or value if key in (INITIAL, CHARSET) and value == "last" else value

    overrides = {key: as_then(key, value) for key, value in overrides.items()}
    if text is None:
        value = run.spec.to_json()
    else:
        value = without_dotted_keys(read_spec(text)[0])
        given = flatten(value)
        value = override_json(value, {key: theirs[key] for key in NOT_TRAINED if key in theirs and key not in given})
        named = {key: as_then(key, given[key]) for key in (INITIAL, CHARSET) if key in given}
        value = override_json(value, named)
    refuse_another_spec(run, assemble(spec_from(json.dumps(value), overrides_file, overrides), has_begun=True).spec)


def refuse_another_spec(run: Run, given: ExperimentSpec, apart_from: Collection[str] = ()) -> None:
    new, old = flatten(given.to_json()), flatten(assemble(run.spec, has_begun=True).spec.to_json())
    changes = [
        f"{key} is {json.dumps(new.get(key))}, the run has {json.dumps(old.get(key))}"
        for key in sorted({*new, *old} - {*apart_from})
        if not is_met(key, new.get(key), old.get(key))
    ]
    if changes:
        raise SpecError(
            f"a run cannot be resumed with another spec: {'; '.join(changes)}. Leave SPEC and overrides out, "
            "or start a new run."
        )
