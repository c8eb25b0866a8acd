"""Bundle: a trained model as a self-describing folder.

bundle.json         description: spec, run id, classes, image shape, metrics, versions, hashes of the other files
model.onnx          optional ONNX twin: the network for reading without TensorFlow
model.weights.h5    the weights, with spec and run id as attributes; a language model and a lexicon are separate files
calibration.json    calibration of confidences; bundles of earlier versions have none
"""

import json
import math
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from text_recognizer import __version__
from text_recognizer.arguments import check_value, to_json
from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError, SpecError, TextRecognizerError, reason
from text_recognizer.json_text import parse_json_text
from text_recognizer.keras_import import check_not_forked, importing_keras
from text_recognizer.models.base import Model
from text_recognizer.models.calibration import CALIBRATION, Calibration
from text_recognizer.models.twin import TWIN, twin_outputs
from text_recognizer.parts import make_part
from text_recognizer.promoted.manifest import MANIFEST, Manifest
from text_recognizer.promoted.store import ModelStore
from text_recognizer.settings import weights_folder
from text_recognizer.spec import ExperimentSpec
from text_recognizer.strict_hdf5 import opened
from text_recognizer.whole_files import replace_folder, sha256_of

FORMAT = 1
DESCRIPTION, WEIGHTS = "bundle.json", "model.weights.h5"
MOST_FILE_BYTES, MOST_DESCRIPTION_BYTES = 1 << 32, 1 << 24
MOST_IMAGE_VALUES = 1 << 24  # maximum size of an image for a model


@dataclass(frozen=True)
class _Description:
    """bundle.json; unknown keys are ignored."""

    run_id: str
    spec: dict[str, Any]
    data_spec: DataSpec
    dataset_fingerprint: str
    weights_sha256: str
    files_sha256: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A bundle's description: metrics on validation and test, SHA-256 of its files. `load` builds the model."""

    folder: Path
    spec: ExperimentSpec
    data_spec: DataSpec
    run_id: str
    metrics: dict[str, float]
    dataset_fingerprint: str
    hashes: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Bundle":
        """The bundle in a folder; `load` reads its weights. Raises DataError: there is none, or of a newer version."""
        try:
            path = _file_inside(folder, DESCRIPTION, MOST_DESCRIPTION_BYTES)
            value = parse_json_text(path.read_text(encoding="utf-8"))
            if value["format"] > FORMAT:
                raise DataError(
                    f"the bundle {folder} has format {value['format']}, Text Recognizer {__version__} "
                    f"reads up to {FORMAT}. Upgrade to the version that wrote it ({value.get('written_by', '?')})."
                )
            metrics = {name: float(number) for name, number in value["metrics"].items()}
            found, problems = check_value(DESCRIPTION, _Description, {**value, "metrics": None})
            if problems or (problems := _impossible(found.data_spec)):
                raise DataError(f"{path} is damaged: {' '.join(problems)}")
            spec = ExperimentSpec.parse(found.spec, str(path), f"the bundle {folder}")
            hashes = {**found.files_sha256, WEIGHTS: found.weights_sha256}
            with suppress(FileNotFoundError):  # a promoted bundle has hashes of all files, including the description
                manifest = _file_inside(folder, MANIFEST, MOST_DESCRIPTION_BYTES)
                hashes |= Manifest.parse(manifest.read_bytes(), str(manifest)).hashes
            return cls(folder, spec, found.data_spec, found.run_id, metrics, found.dataset_fingerprint, hashes)
        except FileNotFoundError:
            raise DataError(f"there is no bundle in {folder} (no {DESCRIPTION}). {_how_to_get_one()}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{folder / DESCRIPTION} is damaged: {type(error).__name__}: {reason(error)}.") from error

    def load(self) -> Model:
        """The model with its trained weights. Raises DataError: they are missing, damaged, or of another network."""
        self.check_files()
        check_not_forked()
        with importing_keras():
            import keras  # noqa: F401
        model = build_model(self.spec, self.data_spec)
        weights = self.folder / WEIGHTS
        with opened(weights, chunked=False):
            _build_within(model, weights)
            try:
                model.keras_model.load_weights(weights)
            except Exception as error:  # Keras and h5py raise errors of many kinds for foreign files
                raise DataError(f"{weights} does not fit network '{self.spec.network}': {error}") from error
        return self._with_what_was_learnt(model)

    def load_to_read(self, threads: int = 0) -> Model:
        """The model for reading only; from its ONNX twin if there is one, without importing TensorFlow.

        Args:
            threads: threads of the twin for one batch; 0 uses one per core.
        Raises:
            DataError: as `load`.
        """
        if TWIN in self.hashes:
            self.check_files()
            model = build_model(self.spec, self.data_spec)
            model.runtime = twin_outputs(self.folder / TWIN, self.data_spec, threads)
            return self._with_what_was_learnt(model)
        return self.load()

    def _with_what_was_learnt(self, model: Model) -> Model:
        model.read_files(self.folder)
        model.calibration = Calibration.load(self.folder) if CALIBRATION in self.hashes else None
        return model

    def check_files(self) -> None:
        """Checks every file before any is read. Raises DataError: one is a link out of it, too large, or changed."""
        for name in {*self.hashes, *(entry.name for entry in self.folder.iterdir() if not entry.is_dir())}:
            try:
                path = _file_inside(self.folder, name, MOST_FILE_BYTES)
            except FileNotFoundError:
                raise DataError(
                    f"the bundle {self.folder} is not whole: {self.folder / name} is missing. Copy it again."
                ) from None
            recorded = self.hashes.get(name)
            if recorded is not None and (found := sha256_of(path)) != recorded:
                raise DataError(
                    f"{path} has changed since its bundle was written: sha256 is {found[:12]}…, "
                    f"{DESCRIPTION} says {recorded[:12]}…. Copy the bundle again."
                )


def _build_within(model: Model, weights: Path) -> None:
    """Builds a model's network. Raises DataError, before allocating: it has more weights than its file can contain.

    It computes in float32, regardless of the precision of trainings in this process.
    """
    import keras

    trained_in = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        with keras.StatelessScope(initialize_variables=False):
            values = sum(math.prod(variable.shape) for variable in model.keras_model.weights)
        if values > weights.stat().st_size:
            raise DataError(
                f"{weights} has {weights.stat().st_size:,} bytes, which cannot hold the {values:,} weights of the "
                f"network in {DESCRIPTION}. Copy the bundle again."
            )
    except TextRecognizerError:
        keras.utils.clear_session()  # otherwise the memory for this model would be allocated with the next one
        raise
    finally:
        keras.config.set_dtype_policy(trained_in)
    with keras.StatelessScope():  # when it ends, the memory of the weights is allocated
        pass


def _impossible(data_spec: DataSpec) -> list[str]:
    height, width, channels = data_spec.input_shape
    sizes = [height, channels, *([] if width is None else [width])]
    if not all(isinstance(size, int) and size > 0 for size in sizes) or math.prod(sizes) > MOST_IMAGE_VALUES:
        return [f"data_spec.input_shape must be of at most {MOST_IMAGE_VALUES:,} values. Received: {sizes}."]
    if not data_spec.classes or not 0 <= data_spec.margin_px <= height:
        return ["data_spec has no classes, or a margin larger than the image."]
    if data_spec.target == "line":
        _ = data_spec.charset  # raises if it is invalid
    return []


def _file_inside(folder: Path, name: str, most_bytes: int) -> Path:
    """The path of a file of a bundle: a regular file inside its folder that is not too large.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is not.
    """
    path = folder / name
    if name in ("", ".", "..") or Path(name).name != name or "\0" in name:
        raise DataError(f"{folder / DESCRIPTION} names {name!r}, which is not a file inside the bundle.")
    try:
        place = path.resolve(strict=True)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError):  # a link to itself; the former since Python 3.13
        raise DataError(f"{path} is a broken link. Copy the bundle again.") from None
    state = place.stat()
    if not place.is_relative_to(folder.resolve()):
        raise DataError(f"{path} leads out of the bundle, to {place}. Copy the file itself into the bundle.")
    if not stat.S_ISREG(state.st_mode):
        raise DataError(f"{path} is not a plain file.")
    if state.st_size > most_bytes:
        raise DataError(f"{path} has {state.st_size:,} bytes, at most {most_bytes:,} are read.")
    return path


def write_bundle(
    folder: Path,
    model: Model,
    spec: ExperimentSpec,
    run_id: str,
    metrics: Mapping[str, float],
    dataset_fingerprint: str,
) -> None:
    """Writes a model into a folder, replacing an older bundle, and flushes it to disk."""
    import h5py

    temporary = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    model.keras_model.save_weights(temporary / WEIGHTS)
    with h5py.File(temporary / WEIGHTS, "r+") as file:
        file.attrs["text_recognizer_spec"] = json.dumps(spec.to_json(), sort_keys=True)
        file.attrs["text_recognizer_run_id"] = run_id
    model.write_files(temporary)
    if model.calibration is not None:
        model.calibration.save(temporary)
    hashes = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
    description = {
        "format": FORMAT,
        "written_by": __version__,
        "run_id": run_id,
        "spec": spec.to_json(),
        "data_spec": to_json(model.data_spec),
        "dataset_fingerprint": dataset_fingerprint,
        "metrics": to_json(metrics),
        "weights_sha256": hashes.pop(WEIGHTS),
        **({"files_sha256": hashes} if hashes else {}),
    }
    (temporary / DESCRIPTION).write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    replace_folder(temporary, folder)


def build_model(spec: ExperimentSpec, data_spec: DataSpec) -> Model:
    """The model of a spec with fresh weights, without its dataset."""
    problems: list[str] = []
    network, _ = make_part("network", spec.network, spec.network_args, problems, spec.origin)
    given = {"data_spec": data_spec, "network": network} if network is not None else None
    model, _ = make_part("model", spec.model, spec.model_args, problems, spec.origin, given=given)
    if model is None:
        raise SpecError(problems, spec.origin)
    return model  # type: ignore[no-any-return]


def usual_name(spec: ExperimentSpec) -> str:
    """The default name of a model: from its model, dataset and network."""
    return "_".join(name.rpartition(":")[2] for name in (spec.model, spec.dataset, spec.network))


def find_bundle(name_or_path: Bundle | str | Path) -> Bundle:
    """A bundle, by folder, run or name among promoted and included ones. Raises DataError: there is none.

    Args:
        name_or_path: NAME stands for the current version of a promoted model, NAME@2 for the second one.
    """
    if isinstance(name_or_path, Bundle):
        return name_or_path
    found = [folder for folder in (Path(name_or_path), Path(name_or_path, "model")) if (folder / DESCRIPTION).exists()]
    if not found:
        promoted = ModelStore().find(str(name_or_path))
        found = [weights_folder() / name_or_path if promoted is None else promoted.folder]
    if not (found[0] / DESCRIPTION).exists():
        raise DataError(f"there is no bundle '{name_or_path}'. {_how_to_get_one()}")
    return Bundle.read(found[0])


def _how_to_get_one() -> str:
    shipped = sorted(path.parent.name for path in weights_folder().glob(f"*/{DESCRIPTION}"))
    known = list(dict.fromkeys([*ModelStore().names(), *shipped]))
    listed = f"There are: {', '.join(known)}. " if known else ""
    return f"{listed}A finished run has one in model/; text-recognizer promote RUN --as NAME gives it a name."
