"""Artifacts in the stand-in of the W&B backend: versions, manifests, files, aliases, who logged and who used them."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from training.tests.wandb.wandb_backend_records import (
    RefusalError,
    StoredArtifact,
    StoredProject,
    UnknownRequestError,
    opaque,
)
from training.tests.wandb.wandb_backend_runs import page
from training.tests.wandb.wandb_backend_state import Store

MANIFEST_NAME = "wandb_manifest.json"


@dataclass(frozen=True)
class Collection:
    """All versions under one name."""

    entity: str
    project_name: str
    name: str

    @property
    def id(self) -> str:
        return opaque("ArtifactCollection", self.name, self.project_name, self.entity)


@dataclass(frozen=True)
class Membership:
    """A version as part of its collection."""

    artifact: StoredArtifact

    @property
    def id(self) -> str:
        return opaque("ArtifactCollectionMembership", self.artifact.id)


def create(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    """A new version; or the one with the same content that the collection has already, with the aliases added."""
    project = store.make_project(values["entityName"], values["projectName"])
    collection = values.get("artifactCollectionName") or next(iter(values.get("artifactCollectionNames") or []), None)
    if not collection:
        raise RefusalError(400, "an artifact needs a collection")
    aliases = [entry["alias"] for entry in values.get("aliases") or []]
    run = store.run(project.entity, project.name, values["runName"]) if values.get("runName") else None
    for known in store.versions(project.entity, project.name, collection):
        if values.get("enableDigestDeduplication") and known.digest == values["digest"]:
            _add_aliases(store, known, aliases)
            return {"artifact": known}
    artifact = StoredArtifact(
        id=opaque("Artifact", len(store.all_artifacts) + 1),
        entity=project.entity,
        project=project.name,
        type=values["artifactTypeName"],
        collection=collection,
        digest=values["digest"],
        digest_algorithm=values.get("digestAlgorithm") or "MANIFEST_MD5",
        client_id=values.get("clientID"),
        sequence_client_id=values.get("sequenceClientID"),
        description=values.get("description"),
        metadata=json.loads(values.get("metadata") or "{}"),
        aliases=aliases,
        tags=[tag["tagName"] for tag in values.get("tags") or []],
        history_step=values.get("historyStep"),
        ttl_s=values.get("ttlDurationSeconds"),
        logged_by=run,
    )
    store.all_artifacts[artifact.id] = artifact
    return {"artifact": artifact}


def commit(store: Store, artifact_id: str) -> dict[str, Any]:
    artifact = store.artifact(artifact_id)
    if artifact.state == "COMMITTED":
        return {"artifact": artifact}
    missing = [path for path, entry in artifact.entries.items() if "ref" not in entry and path not in artifact.files]
    if not artifact.manifest or missing:
        raise RefusalError(400, f"artifact {artifact.collection} is not complete: {missing or 'no manifest'}")
    artifact.version = len(store.versions(artifact.entity, artifact.project, artifact.collection))
    artifact.state = "COMMITTED"
    _add_aliases(store, artifact, [*artifact.aliases, "latest"])
    if artifact.logged_by is not None:
        artifact.logged_by.logged_artifacts.append(artifact)
    return {"artifact": artifact}


def _add_aliases(store: Store, artifact: StoredArtifact, aliases: Iterable[str]) -> None:
    """An alias belongs to one version of a collection: it leaves the others."""
    wanted = list(aliases)
    for other in store.versions(artifact.entity, artifact.project, artifact.collection):
        other.aliases = [alias for alias in other.aliases if alias not in wanted]
    artifact.aliases = list(dict.fromkeys([*artifact.aliases, *wanted]))


def _change_aliases(store: Store, values: Mapping[str, Any], remove: bool) -> dict[str, Any]:
    artifact = store.artifact(values["artifactID"])
    aliases = [entry["alias"] for entry in values["aliases"]]
    if remove:
        artifact.aliases = [alias for alias in artifact.aliases if alias not in aliases]
    else:
        _add_aliases(store, artifact, aliases)
    return {"success": True}


def use(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    artifact = store.artifact(values["artifactID"])
    run = store.run(values["entityName"], values["projectName"], values["runName"])
    if run not in artifact.used_by:
        artifact.used_by.append(run)
        run.used_artifacts.append(artifact)
    return {"artifact": artifact}


def update(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    artifact = store.artifact(values["artifactID"])
    if values.get("description") is not None:
        artifact.description = values["description"]
    if values.get("metadata") is not None:
        artifact.metadata = json.loads(values["metadata"])
    if values.get("ttlDurationSeconds") is not None:
        artifact.ttl_s = values["ttlDurationSeconds"]
    if values.get("aliases") is not None:
        artifact.aliases = []
        _add_aliases(store, artifact, [entry["alias"] for entry in values["aliases"]])
    removed = {tag["tagName"] for tag in values.get("tagsToDelete") or []}
    added = [tag["tagName"] for tag in values.get("tagsToAdd") or []]
    artifact.tags = [tag for tag in dict.fromkeys([*artifact.tags, *added]) if tag not in removed]
    return {"artifact": artifact}


# Files


def _manifest(store: Store, artifact_id: str) -> dict[str, Any]:
    address = store.signed_url("manifest", artifact_id, MANIFEST_NAME)
    file = {"id": opaque("File", artifact_id), "name": MANIFEST_NAME, "directUrl": address, "sizeBytes": 0}
    # A manifest has the id of its artifact here: the last one uploaded counts.
    return {"id": artifact_id, "file": {**file, "uploadUrl": address, "uploadHeaders": []}}


def create_files(store: Store, values: Mapping[str, Any]) -> dict[str, Any]:
    files = []
    for wanted in values["artifactFiles"]:
        artifact = store.artifact(wanted["artifactID"])
        file = _file(store, artifact, wanted["name"])
        digest = base64.b64decode(wanted["md5"]).hex()
        path = f"wandb_artifacts/{artifact.id}/{digest}"
        files.append({**file, "storagePath": path, "uploadUrl": file["directUrl"], "uploadHeaders": []})
    return {"files": page(files, {})}


def _file(store: Store, artifact: StoredArtifact, path: str) -> dict[str, Any]:
    return {
        "id": opaque("File", artifact.id, path),
        "name": path,
        "displayName": path,
        "directUrl": store.signed_url("artifact", artifact.id, path),
        "sizeBytes": len(artifact.files.get(path, b"")),
        "digest": artifact.entries.get(path, {}).get("digest"),
        "md5": artifact.entries.get(path, {}).get("digest"),
        "artifact": artifact,
    }


def _member_files(store: Store, membership: Membership, arguments: Mapping[str, Any]) -> dict[str, Any]:
    artifact = membership.artifact
    names = [path for path in artifact.files if path in (arguments.get("names") or artifact.files)]
    return page([_file(store, artifact, path) for path in names], arguments)


# Names


def find(store: Store, project: StoredProject, name: str) -> StoredArtifact | None:
    """By collection:alias, where the alias may be a version; latest by default."""
    collection, _, alias = name.partition(":")
    versions = store.versions(project.entity, project.name, collection)
    return next((artifact for artifact in versions if artifact.has_name(alias or "latest")), None)


def _membership(store: Store, project: StoredProject, name: str) -> Membership | None:
    artifact = find(store, project, name)
    return Membership(artifact) if artifact is not None else None


def _collection(artifact: StoredArtifact) -> Collection:
    return Collection(artifact.entity, artifact.project, artifact.collection)


def _collection_in(store: Store, project: StoredProject, name: str) -> Collection | None:
    versions = store.versions(project.entity, project.name, name)
    return _collection(versions[0]) if versions else None


def _latest(store: Store, collection: Collection) -> StoredArtifact | None:
    versions = store.versions(collection.entity, collection.project_name, collection.name)
    return next((artifact for artifact in versions if "latest" in artifact.aliases), None)


def _all_versions(store: Store, collection: Collection, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Newest first."""
    if json.loads(arguments.get("filters") or "{}") not in ({}, {"state": "COMMITTED"}) or arguments.get("order"):
        raise UnknownRequestError("filtering or ordering the versions of an artifact")
    versions = store.versions(collection.entity, collection.project_name, collection.name)
    found = page(versions[::-1], arguments)
    return {**found, "edges": [{**edge, "version": f"v{edge['node'].version}"} for edge in found["edges"]]}


def _types(store: Store, project: StoredProject) -> list[dict[str, Any]]:
    place = (project.entity, project.name)
    names = {
        artifact.type: None for artifact in store.all_artifacts.values() if (artifact.entity, artifact.project) == place
    }
    return [
        {"id": opaque("ArtifactType", name), "name": name, "createdAt": project.created_at, "project": project}
        for name in names
    ]


def _type(store: Store, project: StoredProject, name: str) -> dict[str, Any] | None:
    return next((entry for entry in _types(store, project) if entry["name"] == name), None)


def _aliases(artifact: StoredArtifact) -> list[dict[str, Any]]:
    return [
        {"id": opaque("Alias", artifact.id, alias), "alias": alias, "artifactCollection": _collection(artifact)}
        for alias in artifact.aliases
    ]


RESOLVERS: dict[str, Callable[[Any, dict[str, Any], Store], Any]] = {
    "Query.artifact": lambda _, arguments, store: store.all_artifacts.get(arguments["id"]),
    "Query.clientIDMapping": lambda _, arguments, store: {"serverID": store.artifact(arguments["clientID"]).id},
    "Mutation.createArtifact": lambda _, values, store: create(store, values),
    "Mutation.commitArtifact": lambda _, values, store: commit(store, values["artifactID"]),
    "Mutation.createArtifactManifest": lambda _, values, store: {
        "artifactManifest": _manifest(store, store.artifact(values["artifactID"]).id)
    },
    "Mutation.createArtifactFiles": lambda _, values, store: create_files(store, values),
    "Mutation.useArtifact": lambda _, values, store: use(store, values),
    "Mutation.updateArtifact": lambda _, values, store: update(store, values),
    "Mutation.addAliases": lambda _, values, store: _change_aliases(store, values, remove=False),
    "Mutation.deleteAliases": lambda _, values, store: _change_aliases(store, values, remove=True),
    "Project.artifact": lambda project, arguments, store: find(store, project, arguments["name"]),
    "Project.artifactCollection": lambda project, arguments, store: _collection_in(store, project, arguments["name"]),
    "Project.artifactCollectionMembership": lambda project, arguments, store: _membership(
        store, project, arguments["name"]
    ),
    "Project.artifactType": lambda project, arguments, store: _type(store, project, arguments["name"]),
    "Project.artifactTypes": lambda project, arguments, store: page(_types(store, project), arguments),
    "ArtifactType.artifactCollection": lambda kind, arguments, store: _collection_in(
        store, kind["project"], arguments["name"]
    ),
    "Artifact.artifactType": lambda artifact, arguments, store: _type(
        store, store.projects[artifact.entity, artifact.project], artifact.type
    ),
    "Artifact.artifactSequence": lambda artifact, arguments, store: _collection(artifact),
    "Artifact.versionIndex": lambda artifact, arguments, store: artifact.version,
    "Artifact.metadata": lambda artifact, arguments, store: json.dumps(artifact.metadata),
    "Artifact.ttlDurationSeconds": lambda artifact, arguments, store: artifact.ttl_s or -2,  # inherited
    "Artifact.ttlIsInherited": lambda artifact, arguments, store: artifact.ttl_s is None,
    "Artifact.tags": lambda artifact, arguments, store: [
        {"id": opaque("Tag", tag), "name": tag} for tag in artifact.tags
    ],
    "Artifact.size": lambda artifact, arguments, store: sum(
        entry.get("size", 0) for entry in artifact.entries.values()
    ),
    "Artifact.commitHash": lambda artifact, arguments, store: artifact.digest,
    "Artifact.fileCount": lambda artifact, arguments, store: len(artifact.entries),
    "Artifact.updatedAt": lambda artifact, arguments, store: artifact.created_at,
    "Artifact.aliases": lambda artifact, arguments, store: _aliases(artifact),
    "Artifact.currentManifest": lambda artifact, arguments, store: _manifest(store, artifact.id),
    "Artifact.createdBy": lambda artifact, arguments, store: artifact.logged_by,
    "Artifact.usedBy": lambda artifact, arguments, store: page(artifact.used_by, {}),
    "ArtifactSequence.project": lambda collection, arguments, store: store.project(
        collection.entity, collection.project_name
    ),
    "ArtifactSequence.artifactMembership": lambda collection, arguments, store: _membership(
        store,
        store.projects[collection.entity, collection.project_name],
        f"{collection.name}:{arguments['aliasName']}",
    ),
    "ArtifactSequence.artifacts": lambda collection, arguments, store: _all_versions(store, collection, arguments),
    "ArtifactSequence.latestArtifact": lambda collection, arguments, store: _latest(store, collection),
    "ArtifactCollectionMembership.versionIndex": lambda membership, arguments, store: membership.artifact.version,
    "ArtifactCollectionMembership.createdAt": lambda membership, arguments, store: membership.artifact.created_at,
    "ArtifactCollectionMembership.aliases": lambda membership, arguments, store: _aliases(membership.artifact),
    "ArtifactCollectionMembership.artifactCollection": lambda membership, arguments, store: _collection(
        membership.artifact
    ),
    "ArtifactCollectionMembership.files": lambda membership, arguments, store: _member_files(
        store, membership, arguments
    ),
}
