"""Shelf: the models of a service, by name."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from text_recognizer.errors import DataError
from text_recognizer.models.bundle import Bundle
from text_recognizer.predictors.line import LinePredictor
from text_recognizer.predictors.load import load
from text_recognizer.predictors.paragraph import ParagraphTextRecognizer
from text_recognizer.promoted import ModelStore, Version
from text_recognizer.serving.metrics import Metrics
from text_recognizer.serving.reading import CORES, ServedModel
from text_recognizer.serving.refusals import RefusedError
from text_recognizer.wording import did_you_mean, shortened

log = logging.getLogger(__name__)


def model_of(
    name: str, version: str, bundle: Bundle, metrics: Metrics, most_batch: int = 32, detector: Bundle | None = None
) -> ServedModel:
    """The model of a bundle.

    Args:
        most_batch: lines or characters in a batch.
        detector: bundle of a line detector for pages; None finds lines without training.
    """
    predictor = load(bundle, threads=1)  # one single-threaded batch per core is faster than one batch on all cores
    pages = ParagraphTextRecognizer(detector, predictor) if isinstance(predictor, LinePredictor) else None
    threads = CORES if predictor.can_share_cores else 1
    return ServedModel(name, version, predictor, metrics, most_batch, pages, threads)


class Shelf:
    """Models by name; the first one is the default.

    `problems`: models that should be served but cannot be loaded, with the reason.
    """

    def __init__(self, *models: ServedModel) -> None:
        self.models = {model.name: model for model in models}
        self.problems: list[str] = []

    def get(self, name: str | None, version: str | None = None) -> ServedModel:
        """A model by its name. Raises RefusedError: there is none; the message lists those that are served."""
        found = next(iter(self.models.values())) if name is None else self.models.get(name)
        if found is None or version not in (None, found.version):
            wanted = f"'{shortened(name or '')}'" + (f" of version '{shortened(version)}'" if version else "")
            known = ", ".join(f"{one.name} ({one.version})" for one in self.models.values())
            raise RefusedError(
                HTTPStatus.NOT_FOUND,
                f"there is no model {wanted}.{did_you_mean(name or '', self.models)} Available: {known}.",
            )
        return found

    def refresh(self) -> list[ServedModel]:
        """Updates the models that should be served; returns those that were replaced."""
        return []

    def close(self) -> None:
        for model in self.models.values():
            model.retire()


class PromotedShelf(Shelf):
    """The promoted models of a folder, each in its current version. Raises DataError: no model can be loaded.

    If a new version cannot be loaded, the old one continues to be served.
    """

    def __init__(self, folder: Path, make: Callable[[str, str, Bundle], ServedModel]) -> None:
        super().__init__()
        self._store, self._make = ModelStore(folder), make
        self._state: object = None
        self._versions: dict[str, Version] = {}  # that are served, with the time of their promotion
        self.refresh()
        if not self.models:
            reasons = " ".join(self.problems)
            raise DataError(
                f"there is no model to serve in {folder}. {reasons} Promote one: text-recognizer promote RUN --as NAME"
            )

    def refresh(self) -> list[ServedModel]:
        state = self._store.state()
        if state == self._state:
            return []
        self._state = state
        names, problems, retired = self._store.names(), [], []
        for name in sorted({*names, *self.models}):
            old = self.models.get(name)
            try:
                new = self._current(name, old)
            except Exception as error:  # noqa: BLE001 - the other models are not affected
                going_on = f" and version {old.version} continues" if old else ""
                problems.append(f"the model '{name}' cannot be loaded{going_on}: {error}")
                log.warning("WARNING %s", problems[-1])
                continue
            if new is not old:
                retired += [old] if old else []
                self.models = dict(sorted({**self.models, name: new}.items()))  # other threads read it
                log.info("INFO model %s: version %s is served", name, new.version)
        self.problems = problems
        return retired

    def _current(self, name: str, old: ServedModel | None) -> ServedModel:
        version = self._store.current(name)
        if old is not None and version == self._versions[name]:  # the number alone is not enough: it may be reused
            return old
        self._store.manifest(version)
        made = self._make(name, str(version.number), Bundle.read(version.folder))
        self._versions[name] = version
        return made
