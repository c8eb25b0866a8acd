"""Shelf: the models of a service, by name."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from text_recognizer.models.bundle import Bundle
from text_recognizer.predictors.load import load
from text_recognizer.serving.metrics import Metrics
from text_recognizer.serving.reading import ServedModel
from text_recognizer.serving.refusals import RefusedError
from text_recognizer.wording import did_you_mean

MOST_BATCH = 32


class Shelf:
    """Models that stay; the first one reads what names no model."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self.models = dict(models)

    def get(self, name: str | None, version: str | None = None) -> ServedModel:
        """A model by its name.

        Raises:
            RefusedError: there is none, with what there is.
        """
        found = next(iter(self.models.values())) if name is None else self.models.get(name)
        if found is None or version not in (None, found.version):
            wanted = f"'{name}'" + (f" of version '{version}'" if version else "")
            known = ", ".join(f"{one.name} ({one.version})" for one in self.models.values())
            raise RefusedError(
                HTTPStatus.NOT_FOUND,
                f"there is no model {wanted}.{did_you_mean(name or '', self.models)} Served are: {known}.",
            )
        return found

    def close(self) -> None:
        for model in self.models.values():
            model.close()


def shelf_of_bundle(bundle: Bundle, metrics: Metrics, most_batch: int = MOST_BATCH) -> Shelf:
    """One bundle, under the name of its folder, or of the run that it lies in."""
    name = name_of_bundle(bundle.folder)
    return Shelf({name: ServedModel(name, bundle.run_id, load(bundle), metrics, most_batch)})


def name_of_bundle(folder: Path) -> str:
    resolved = folder.resolve()
    return resolved.parent.name if resolved.name == "model" else resolved.name
