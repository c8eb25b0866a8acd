"""Bundle: a trained model as a folder that explains itself.

bundle.json         what it is: spec, run id, classes, image shape, metrics, versions, hashes of the other files
model.weights.h5    the weights; the file itself carries spec and run id too, as HDF5 attributes
                    and what else a model has learnt: the language model and lexicon of a reader of lines
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from text_recognizer import __version__
from text_recognizer.arguments import to_json
from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError, SpecError
from text_recognizer.models.base import Model
from text_recognizer.parts import check_part, construct
from text_recognizer.settings import weights_folder
from text_recognizer.spec import ExperimentSpec

FORMAT = 1
DESCRIPTION = "bundle.json"
WEIGHTS = "model.weights.h5"


@dataclass(frozen=True)
class Bundle:
    """A bundle's description. `load` builds the model.

    Args:
        run_id: the run that trained it.
        metrics: what was measured on the validation and test split when it was made.
        dataset_fingerprint: hash of the data it was trained on.
    """

    folder: Path
    spec: ExperimentSpec
    data_spec: DataSpec
    run_id: str
    metrics: dict[str, float]
    dataset_fingerprint: str

    @classmethod
    def read(cls, folder: Path) -> "Bundle":
        """
        Raises:
            DataError: there is no bundle here, or one of a newer version.
        """
        try:
            value = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            if value["format"] > FORMAT:
                raise DataError(
                    f"the bundle {folder} has format {value['format']}, Text Recognizer {__version__} "
                    f"reads up to {FORMAT}. Upgrade to the version that wrote it ({value.get('written_by', '?')})."
                )
            return cls(
                folder,
                ExperimentSpec.parse(value["spec"], str(folder / DESCRIPTION), f"the bundle {folder}"),
                DataSpec.from_json(value["data_spec"]),
                value["run_id"],
                value["metrics"],
                value["dataset_fingerprint"],
            )
        except FileNotFoundError:
            raise DataError(f"there is no bundle in {folder} (no {DESCRIPTION}). {_how_to_get_one()}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{folder / DESCRIPTION} is damaged: {type(error).__name__}: {error}.") from error

    def load(self) -> Model:
        """The model with its trained weights.

        Raises:
            DataError: the weights are missing, damaged, or not of this network.
        """
        weights = self.folder / WEIGHTS
        self._check_files(weights)
        model = build_model(self.spec, self.data_spec)
        try:
            model.keras_model.load_weights(weights)
        except (ValueError, KeyError, OSError) as error:
            raise DataError(f"{weights} does not fit network '{self.spec.network}': {error}") from error
        model.read_files(self.folder)
        return model

    def _check_files(self, weights: Path) -> None:
        description = json.loads((self.folder / DESCRIPTION).read_text(encoding="utf-8"))
        if not weights.exists():
            raise DataError(f"the bundle {self.folder} has no weights: {weights} is missing.")
        others = {self.folder / name: recorded for name, recorded in description.get("files_sha256", {}).items()}
        for path, recorded in {weights: description["weights_sha256"], **others}.items():
            if not path.exists():
                raise DataError(f"the bundle {self.folder} is not whole: {path} is missing. Copy it again.")
            if _sha256(path) != recorded:
                raise DataError(
                    f"{path} has changed since its bundle was written: sha256 is {_sha256(path)[:12]}…, "
                    f"{DESCRIPTION} says {recorded[:12]}…. Copy the bundle again."
                )


def write_bundle(
    folder: Path,
    model: Model,
    spec: ExperimentSpec,
    run_id: str,
    metrics: Mapping[str, float],
    dataset_fingerprint: str,
) -> None:
    """Writes a model into a folder, replacing an older bundle there; the folder is whole at any moment."""
    import h5py

    temporary = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    model.keras_model.save_weights(temporary / WEIGHTS)
    with h5py.File(temporary / WEIGHTS, "r+") as file:
        file.attrs["text_recognizer_spec"] = json.dumps(spec.to_json(), sort_keys=True)
        file.attrs["text_recognizer_run_id"] = run_id
    description = {
        "format": FORMAT,
        "written_by": __version__,
        "run_id": run_id,
        "spec": spec.to_json(),
        "data_spec": model.data_spec.to_json(),
        "dataset_fingerprint": dataset_fingerprint,
        "metrics": to_json(metrics),
        "weights_sha256": _sha256(temporary / WEIGHTS),
    }
    model.write_files(temporary)
    others = {path.name: _sha256(path) for path in sorted(temporary.iterdir()) if path.name != WEIGHTS}
    if others:
        description["files_sha256"] = others
    (temporary / DESCRIPTION).write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    replace_folder(temporary, folder)


def copy_bundle(source: Path, folder: Path) -> None:
    """Copies a bundle to another place, replacing an older one there.

    Raises:
        DataError: the place cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary)
        replace_folder(temporary, folder)
    except OSError as error:
        raise DataError(
            f"cannot write the bundle {folder}: {error.strerror or error}. "
            f"Set TEXT_RECOGNIZER_WEIGHTS to a folder that can be written."
        ) from error


def replace_folder(new: Path, folder: Path) -> None:
    """Gives a finished folder its name; an older one of that name is removed."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def build_model(spec: ExperimentSpec, data_spec: DataSpec) -> Model:
    """The model of a spec with fresh weights, without its dataset."""
    problems: list[str] = []
    network_class, network_args = check_part("network", spec, problems)
    model_class, model_args = check_part("model", spec, problems)
    network = construct(f"network '{spec.network}'", problems, network_class, **network_args)
    model: Model | None = None
    if network is not None:
        given = {"data_spec": data_spec, "network": network}
        model = construct(f"model '{spec.model}'", problems, model_class, **given, **model_args)
    if model is None:
        raise SpecError(problems, spec.origin)
    return model


def canonical_folder(spec: ExperimentSpec) -> Path:
    """Where `--save` puts a bundle and predictors look for it: one place a model, dataset and network."""
    names = (spec.model, spec.dataset, spec.network)
    return weights_folder() / "_".join(name.rpartition(":")[2] for name in names)


def make_canonical(bundle: Path, spec: ExperimentSpec) -> Path:
    """Puts a copy of a trained bundle where predictors look for it; the place."""
    place = canonical_folder(spec)
    copy_bundle(bundle, place)
    return place


def find_bundle(name_or_path: str | Path) -> Bundle:
    """A bundle by folder, by run folder, or by its name among the canonical ones.

    Raises:
        DataError: there is none, with what there is.
    """
    for folder in (Path(name_or_path), Path(name_or_path) / "model", weights_folder() / name_or_path):
        if (folder / DESCRIPTION).exists():
            return Bundle.read(folder)
    raise DataError(f"there is no bundle '{name_or_path}'. {_how_to_get_one()}")


def _how_to_get_one() -> str:
    known = sorted(path.parent.name for path in weights_folder().glob(f"*/{DESCRIPTION}"))
    listed = f"Canonical bundles: {', '.join(known)}. " if known else ""
    return f"{listed}A run writes one into its folder's model/; run_experiment --save makes it canonical."


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
