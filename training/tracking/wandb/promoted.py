"""W&B's copy of a promoted model: the model artifact of its run gets the version as an alias."""

import os

from text_recognizer.promoted.store import Version
from training.runs.run import Run
from training.runs.sent import read_sent
from training.tracking.wandb.mode import has_key

TIMEOUT_S = 30


def name_at_wandb(run: Run, version: Version) -> str | None:
    """The name there, or why there is none; None where W&B does not have the run, or must not be asked."""
    place = read_sent(run.folder)
    if not place.get("entity") or os.environ.get("WANDB_MODE", "online") not in ("online", "run") or not has_key():
        return None
    import wandb

    path = f"{place['entity']}/{place['project']}/model-{run.id}"
    try:
        artifact = wandb.Api(timeout=TIMEOUT_S).artifact(f"{path}:best", type="model")
        artifact.aliases = [*artifact.aliases, f"{version.name}-{version.number}"]
        artifact.save()
    except Exception as error:  # noqa: BLE001 - W&B raises errors of many kinds, and the model is promoted already
        return f"not told, the model is promoted without it: {error}"
    return f"{path}:{version.name}-{version.number}"
