"""Tracking: mirrors of a run folder, each in a separate process.

To add a tracker: one file with a subclass of `Tracker`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

TRACKERS = {
    "tensorboard": "training.tracking.tensorboard:TensorboardTracker",
    "wandb": "training.tracking.wandb.tracker:WandbTracker",
}
add_kind("tracker", TRACKERS, "training.tracking.base:Tracker")
