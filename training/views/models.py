"""Promoted models."""

from typing import Any

from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.bundle import Bundle
from text_recognizer.promoted.store import ModelStore


def promoted_models() -> list[dict[str, Any]]:
    """Every name and its current version."""
    store = ModelStore()
    return [_row(store, name) for name in store.names()]


def _row(store: ModelStore, name: str) -> dict[str, Any]:
    try:
        version = store.current(name)
        store.manifest(version)
        bundle = Bundle.read(version.folder)
        return {
            "name": name,
            "current": version.number,
            "versions": len(store.versions(name)),
            "network": bundle.spec.network,
            "dataset": bundle.spec.dataset,
            "run": bundle.run_id,
            "promoted": version.promoted,
            "metrics": bundle.metrics,
        }
    except (DataError, SpecError) as error:  # the others are still listed
        return {"name": name, "damage": str(error)}
