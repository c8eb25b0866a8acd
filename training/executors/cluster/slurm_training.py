"""Training on several Slurm nodes: a job step, once all of them have passed the handshake."""

import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from text_recognizer.errors import RunError, SpecError
from training.executors.cluster.handshake import handshake, make_sign, refusals
from training.executors.cluster.slurm import commanded, eligible_nodes, job_flags, no_slurm, why
from training.runs.places import runs_folder


def nodes_to_train_on(nodes: int, options: Mapping[str, str]) -> Callable[[Sequence[str]], NoReturn]:
    """A function that becomes srun: it executes a command once on each of several nodes of this or a new job.

    Args:
        options: options of srun.
    Raises:
        SpecError: there is no Slurm here, or it would certainly refuse this.
    """
    there = int(os.environ.get("SLURM_JOB_NUM_NODES", 0))
    if not 1 <= nodes <= (there or nodes):
        most = f" and at most {there}, which this job has" if there else ""
        raise SpecError(f"--nodes must be at least 1{most}. Received: {nodes}.")
    if shutil.which("srun") is None:
        raise no_slurm("srun")
    amounts = [f"--nodes={nodes}", "--ntasks-per-node=1"]
    step = ["srun", *amounts, *job_flags(options, is_job=False)]
    if there:
        return lambda command: _train([], step, command)
    eligible_nodes(options.get("partition"), options)
    job = [*amounts, "--signal=TERM@60", *job_flags(options)]
    if (done := commanded(["srun", *job, "--test-only", "true"])).returncode != 0:
        raise SpecError(f"Slurm refuses {nodes} nodes: {why(done.stderr)}.")
    return lambda command: _train(["salloc", *job], step, command)


def _train(job: Sequence[str], step: Sequence[str], command: Sequence[str]) -> NoReturn:
    """Becomes a shell, in a new job or in this one, that performs the handshake on every node, and then trains."""
    sign = make_sign(runs_folder().resolve())
    on_nodes, look = shlex.join(step), "\n".join(handshake(sign))
    lines = [
        f"{on_nodes} sh -c {shlex.quote(look)}",
        "code=$?",
        f"rm -f {shlex.quote(str(sign))}",
        "case $code in",
        f"0) exec {on_nodes} {shlex.join(command)};;",
        *(  # srun has named the node
            f"{code}) echo {shlex.quote(f'error: {text}')} >&2; exit {RunError.exit_code};;"
            for code, text in refusals("that node", sign.parent).items()
        ),
        "*) exit $code;;",
        "esac",
    ]
    shell = [*job, "sh", "-c", "\n".join(lines)]
    os.execvp(shell[0], shell)  # noqa: S606 - it is in the PATH, like sbatch
