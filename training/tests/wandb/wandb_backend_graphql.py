"""GraphQL of the stand-in of the W&B backend: a schema, and for each field that is no plain attribute a function."""

import re
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from training.tests.wandb import wandb_backend_artifacts, wandb_backend_runs, wandb_backend_sweeps
from training.tests.wandb.wandb_backend_records import (
    ENTITY,
    RefusalError,
    StoredProject,
    StoredRun,
    UnknownRequestError,
    opaque,
)
from training.tests.wandb.wandb_backend_runs import page
from training.tests.wandb.wandb_backend_state import Store

SCHEMA = Path(__file__).with_name("wandb_backend_schema.graphql")

# What a field answers: a function of the object it belongs to, the arguments of the field, and all that is stored.
Resolver = Callable[[Any, dict[str, Any], Store], Any]


def answer(store: Store, query: str, variables: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and body for one operation.

    Raises:
        UnknownRequestError: the query asks for something the schema does not have, or an answer went wrong.
    """
    document, errors = _parsed(query)
    if document is None:
        raise UnknownRequestError("; ".join(errors))
    result = execute_sync(
        _schema(),
        document,
        variable_values=dict(variables),
        context_value=store,
        field_resolver=_plain_field,
        type_resolver=_type_name,
    )
    return _as_response(result)


def operation_name(query: str) -> str:
    match = re.search(r"\b(?:query|mutation)\s+(\w+)", query)
    return match.group(1) if match else "anonymous"


@lru_cache
def _parsed(query: str) -> tuple[DocumentNode | None, tuple[str, ...]]:
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, (error.message,)
    errors = tuple(error.message for error in validate(_schema(), document))
    return (None if errors else document), errors


@lru_cache
def _schema() -> GraphQLSchema:
    schema = build_schema(SCHEMA.read_text(encoding="utf-8"))
    for path, resolver in RESOLVERS.items():
        type_name, field_name = path.split(".")
        described = schema.type_map[type_name]
        assert isinstance(described, GraphQLObjectType)
        described.fields[field_name].resolve = _with_store(resolver)
    return schema


def _with_store(resolver: Resolver) -> Callable[..., Any]:
    def resolve(source: Any, info: "GraphQLResolveInfo[Store]", **arguments: Any) -> Any:
        # Mutations have one argument, `input`.
        return resolver(source, arguments.get("input", arguments), info.context)

    return resolve


def _plain_field(source: Any, info: "GraphQLResolveInfo[Store]", **_arguments: Any) -> Any:
    """The attribute, or the key of a dictionary, with the field's name."""
    name = info.field_name
    if isinstance(source, dict):
        return source.get(name)
    return getattr(source, re.sub(r"(?<=[a-z])([A-Z]+)", lambda match: f"_{match.group(1).lower()}", name))


def _type_name(value: Any, *_: Any) -> str:
    return "Run" if isinstance(value, StoredRun) else "ArtifactSequence"


def _as_response(result: ExecutionResult) -> tuple[int, dict[str, Any]]:
    if not result.errors:
        return 200, {"data": result.data}
    refusals = [error.original_error for error in result.errors if isinstance(error.original_error, RefusalError)]
    if not refusals:
        raise UnknownRequestError("\n".join(_in_words(error) for error in result.errors))
    errors = [{"message": error.message, "path": error.path} for error in result.errors]
    return refusals[0].status, {"data": result.data, "errors": errors}


def _in_words(error: GraphQLError) -> str:
    original = error.original_error
    if original is None or isinstance(original, (GraphQLError, UnknownRequestError)):
        return error.message
    return "".join(traceback.format_exception(original))


def _user() -> dict[str, Any]:
    return {
        "id": opaque("User", ENTITY),
        "name": ENTITY,
        "username": ENTITY,
        "email": f"{ENTITY}@example.com",
        "admin": False,
        "flags": "{}",
        "entity": ENTITY,
        "apiKeys": {"edges": []},
        "teams": {"edges": []},
        "organizations": [],
    }


def _entity(name: str) -> dict[str, Any]:
    return {"id": opaque("Entity", name), "name": name, "xxhashDigestsEnabled": False}


def _projects(store: Store, arguments: Mapping[str, Any]) -> dict[str, Any]:
    entity = arguments.get("entityName") or ENTITY
    return page([project for project in store.projects.values() if project.entity == entity], arguments)


def _upsert_model(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    inserted = store.project(values.get("entityName"), values.get("name")) is None
    project = store.make_project(values.get("entityName"), values.get("name"))
    project.description = values.get("description") or project.description
    return {"project": project, "model": project, "inserted": inserted}


def _project(arguments: Mapping[str, Any], store: Store) -> StoredProject | None:
    return store.project(arguments.get("entityName"), arguments.get("name"))


RESOLVERS: dict[str, Resolver] = {
    "Query.viewer": lambda _, arguments, store: _user(),
    "Query.serverInfo": lambda _, arguments, store: {
        "features": [{"name": name, "isEnabled": True} for name in sorted(store.features)]
    },
    "Query.entity": lambda _, arguments, store: _entity(arguments.get("name") or ENTITY),
    "Query.project": lambda _, arguments, store: _project(arguments, store),
    "Query.model": lambda _, arguments, store: _project(arguments, store),
    "Query.models": lambda _, arguments, store: _projects(store, arguments),
    "Mutation.upsertModel": lambda _, values, store: _upsert_model(store, values),
    "Project.id": lambda project, arguments, store: project.key,
    "Project.internalId": lambda project, arguments, store: str(project.number),
    "Project.entityName": lambda project, arguments, store: project.entity,
    "Project.entity": lambda project, arguments, store: _entity(project.entity),
    "Project.access": lambda project, arguments, store: "PRIVATE",
    "Project.views": lambda project, arguments, store: None,
    "Project.isBenchmark": lambda project, arguments, store: False,
    "Project.readOnly": lambda project, arguments, store: False,
    "Project.user": lambda project, arguments, store: _user(),
    **wandb_backend_runs.RESOLVERS,
    **wandb_backend_sweeps.RESOLVERS,
    **wandb_backend_artifacts.RESOLVERS,
}
