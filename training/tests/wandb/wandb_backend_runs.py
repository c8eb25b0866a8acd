"""Runs in the stand-in of the W&B backend: creating, resuming, listing, files, history."""

import json
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from training.tests.wandb.wandb_backend_filters import select
from training.tests.wandb.wandb_backend_records import ENDED, EVENTS, HISTORY, OUTPUT, RefusalError, StoredRun, now
from training.tests.wandb.wandb_backend_state import Store


def page(items: Sequence[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A GraphQL connection of the part asked for."""
    start = int(arguments.get("after") or 0)
    first = arguments.get("first")
    stop = len(items) if first is None else min(start + first, len(items))
    return {
        "edges": [{"node": item, "cursor": str(start + place + 1)} for place, item in enumerate(items[start:stop])],
        "pageInfo": {"endCursor": str(stop), "hasNextPage": stop < len(items)},
        "totalCount": len(items),
    }


def upsert(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    """Creates a run or changes it; what is not given stays."""
    if values.get("sweep") and values["sweep"] not in store.sweeps:
        raise RefusalError(404, f"sweep {values['sweep']} not found")
    run, inserted = _run_to_upsert(store, values)
    run.upserts += 1
    run.heartbeat_at = now()
    for field, name in _PLAIN_VALUES.items():
        if values.get(name) is not None:
            setattr(run, field, values[name])
    if values.get("config") is not None:
        run.raw_config = json.loads(values["config"])
    if values.get("summaryMetrics") is not None:
        run.summary = json.loads(values["summaryMetrics"])
    if values.get("sweep"):
        run.sweep = values["sweep"]
        if run not in store.sweeps[values["sweep"]].runs:
            store.sweeps[values["sweep"]].runs.append(run)
    return {"bucket": run, "inserted": inserted}


_PLAIN_VALUES = {
    "group": "groupName",
    "description": "description",
    "display_name": "displayName",
    "notes": "notes",
    "commit": "commit",
    "host": "host",
    "program": "jobProgram",
    "job_type": "jobType",
    "tags": "tags",
}


def _run_to_upsert(store: Store, values: Mapping[str, Any]) -> tuple[StoredRun, bool]:
    if values.get("id"):
        return store.run_by_key(values["id"]), False
    if not values.get("name"):
        raise RefusalError(400, "a run needs a name or an id")
    project = store.make_project(values.get("entityName"), values.get("modelName"))
    known = store.all_runs.get((project.entity, project.name, values["name"]))
    if known is None:
        return store.make_run(project, values["name"], values.get("state") or "running"), True
    if known.state != "running":  # resumed, or the first word of one its sweep suggested
        known.state, known.exit_code, known.preempting, known.stop_requested = "running", None, False, False
    return known, False


def create_files(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    run = store.run(values["entityName"], values["projectName"], values["runName"])
    files = [{"name": name, "uploadUrl": store.signed_url("run", run.key, name)} for name in values["files"]]
    return {"runID": run.key, "uploadHeaders": [], "files": files}


def stop(store: Store, key: str) -> dict[str, Any]:
    store.run_by_key(key).stop_requested = True
    return {"success": True}


def delete(store: Store, key: str) -> dict[str, Any]:
    run = store.run_by_key(key)
    del store.all_runs[run.entity, run.project, run.id]
    for sweep in store.sweeps.values():
        sweep.runs = [kept for kept in sweep.runs if kept is not run]
    return {}


# What was logged


def sampled(run: StoredRun, spec: str) -> list[dict[str, Any]]:
    """Rows that have all the keys asked for, and of these only those keys; whole rows where no keys are named."""
    wanted = json.loads(spec)
    keys = wanted.get("keys")
    rows = run.history
    if keys is not None:
        rows = [{key: row[key] for key in keys} for row in rows if all(key in row for key in keys)]
    most = wanted.get("samples", 500)
    if len(rows) <= most:
        return rows
    return [rows[round(place * (len(rows) - 1) / max(most - 1, 1))] for place in range(most)]


def history_lines(run: StoredRun, arguments: Mapping[str, Any]) -> list[str]:
    low = int(arguments.get("minStep") or 0)
    high = arguments.get("maxStep")
    lines = [
        line
        for line in run.streamed(HISTORY)
        if low <= json.loads(line).get("_step", 0) and (high is None or json.loads(line).get("_step", 0) < int(high))
    ]
    return lines[: arguments.get("samples")]


def history_keys(run: StoredRun) -> dict[str, Any] | None:
    rows = run.history
    if not rows:
        return None
    counts: dict[str, int] = {}
    for row in rows:
        for name in row:
            counts[name] = counts.get(name, 0) + 1
    keys = {name: {"typeCounts": [{"type": "number", "count": count}]} for name, count in counts.items()}
    return {"sets": [], "keys": keys, "lastStep": rows[-1].get("_step", -1)}


def log_lines(run: StoredRun, arguments: Mapping[str, Any]) -> dict[str, Any]:
    lines = [{"number": number, "line": line} for number, line in enumerate(run.streamed(OUTPUT))]
    return page(lines[-arguments["last"] :] if arguments.get("last") else lines, arguments)


def files(store: Store, run: StoredRun, arguments: Mapping[str, Any]) -> dict[str, Any]:
    names = arguments.get("names") or sorted(run.files)
    pattern = (arguments.get("pattern") or "%").replace("%", "*").replace("_", "?")
    return page([_file(store, run, name) for name in names if fnmatchcase(name, pattern)], arguments)


def _file(store: Store, run: StoredRun, name: str) -> dict[str, Any]:
    address = store.signed_url("run", run.key, name)
    return {
        "id": f"{run.key}/{name}",
        "name": name,
        "url": address,
        "directUrl": address,
        "sizeBytes": len(run.files.get(name, b"")),
        "mimetype": mimetypes.guess_type(name)[0],
        "updatedAt": run.heartbeat_at if name in run.files else None,
    }


def _wandb_config(run: StoredRun, keys: Sequence[str] | None) -> str:
    own = run.raw_config.get("_wandb", {}).get("value", {})
    return json.dumps({key: own[key] for key in (own if keys is None else keys) if key in own})


def _tail(run: StoredRun, name: str) -> str:
    return json.dumps(run.streamed(name)[-1:])


RESOLVERS: dict[str, Callable[[Any, dict[str, Any], Store], Any]] = {
    "Mutation.upsertBucket": lambda _, values, store: upsert(store, values),
    "Mutation.deleteRun": lambda _, values, store: delete(store, values["id"]),
    "Mutation.stopRun": lambda _, values, store: stop(store, values["id"]),
    "Mutation.createRunFiles": lambda _, values, store: create_files(store, values),
    "Mutation.markRunFilesUploaded": lambda _, values, store: {"success": True},
    "Project.bucket": lambda project, arguments, store: store.all_runs.get(
        (project.entity, project.name, arguments["name"])
    ),
    "Project.run": lambda project, arguments, store: store.all_runs.get(
        (project.entity, project.name, arguments["name"])
    ),
    "Project.runs": lambda project, arguments, store: page(select(store, project, arguments), arguments),
    "Project.runCount": lambda project, arguments, store: len(select(store, project, arguments)),
    "Run.id": lambda run, arguments, store: run.key,
    "Run.name": lambda run, arguments, store: run.id,
    "Run.projectId": lambda run, arguments, store: store.projects[run.entity, run.project].number,
    "Run.project": lambda run, arguments, store: store.project(run.entity, run.project),
    "Run.sweepName": lambda run, arguments, store: run.sweep,
    "Run.exitcode": lambda run, arguments, store: run.exit_code,
    "Run.failed": lambda run, arguments, store: run.state in ("failed", "crashed", "killed"),
    "Run.running": lambda run, arguments, store: run.state == "running",
    "Run.shouldStop": lambda run, arguments, store: run.stop_requested or run.agent_stop_requested,
    "Run.stopped": lambda run, arguments, store: run.state in ENDED,
    "Run.readOnly": lambda run, arguments, store: False,
    "Run.user": lambda run, arguments, store: {"id": run.entity, "name": run.entity, "username": run.entity},
    "Run.config": lambda run, arguments, store: json.dumps(run.raw_config),
    "Run.wandbConfig": lambda run, arguments, store: _wandb_config(run, arguments.get("keys")),
    "Run.summaryMetrics": lambda run, arguments, store: json.dumps(run.summary),
    "Run.systemMetrics": lambda run, arguments, store: json.dumps(run.events[-1] if run.events else {}),
    "Run.historyKeys": lambda run, arguments, store: history_keys(run),
    "Run.historyLineCount": lambda run, arguments, store: len(run.streamed(HISTORY)),
    "Run.historyTail": lambda run, arguments, store: _tail(run, HISTORY),
    "Run.eventsLineCount": lambda run, arguments, store: len(run.streamed(EVENTS)),
    "Run.eventsTail": lambda run, arguments, store: _tail(run, EVENTS),
    "Run.logLineCount": lambda run, arguments, store: len(run.streamed(OUTPUT)),
    "Run.history": lambda run, arguments, store: history_lines(run, arguments),
    "Run.events": lambda run, arguments, store: run.streamed(EVENTS)[: arguments.get("samples")],
    "Run.sampledHistory": lambda run, arguments, store: [sampled(run, spec) for spec in arguments["specs"]],
    "Run.parquetHistory": lambda run, arguments, store: {"parquetUrls": [], "liveData": run.history},
    "Run.logLines": lambda run, arguments, store: log_lines(run, arguments),
    "Run.fileCount": lambda run, arguments, store: len(run.files),
    "Run.files": lambda run, arguments, store: files(store, run, arguments),
    "Run.inputArtifacts": lambda run, arguments, store: page(run.used_artifacts, arguments),
    "Run.outputArtifacts": lambda run, arguments, store: page(run.logged_artifacts, arguments),
}
