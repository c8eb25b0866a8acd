"""Executors: run each run in a separate process, or, for a debugger, in this one.

To add an executor: one file with a subclass of `Executor`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

EXECUTORS = {
    "inline": "training.executors.in_process:InProcessExecutor",
    "local": "training.executors.local:LocalExecutor",
    "ray": "training.executors.cluster.ray:RayExecutor",
    "slurm": "training.executors.cluster.slurm:SlurmExecutor",
}
add_kind("executor", EXECUTORS, "training.executors.base:Executor", given=("setting",))
