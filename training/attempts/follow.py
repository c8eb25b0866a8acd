"""follow: the part of a process that is not the chief: trains every step, and writes nothing to the run folder."""

import os
import signal
from pathlib import Path
from typing import Any

from text_recognizer.experiment import Experiment
from training.attempts.display import Display
from training.attempts.fit import Training
from training.attempts.peers import Peers
from training.attempts.tensorflow_setup import start_tensorflow
from training.devices.gpu_manager import Lease
from training.terminal.command_line import say
from training.terminal.log_file import LogFile


def follow(experiment: Experiment, lease: Lease, peers: Peers) -> int:
    """Trains with the chief until it has evaluated; returns its exit code. Raises PeerLostError: it has died."""
    os.environ.update(lease.environ)
    begin = peers.hear("run")
    if begin is None:
        return _ended(peers)
    os.environ.update(begin["environ"])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda received, _: _pass_on(received, peers))
    folder = Path(begin["folder"])
    path = folder / f"log-{peers.cluster.rank}.txt" if folder.is_dir() else Path(os.devnull)
    with LogFile(path) as log:
        print(f"run         {folder}, process {peers.cluster.rank} of {len(peers.cluster.addresses)}", flush=True)
        start_tensorflow(log.errors_to_log_only())
        display = Display(experiment.train_args.epochs, experiment.model.reported, log)
        training = Training(experiment, [], folder, lambda _: None, [], display, lambda: None, peers)
        try:
            training.follow()
        except Exception:
            if not peers.has_ended():
                raise
            peers.check()
        return _ended(peers)


def _ended(peers: Peers) -> int:
    code = peers.exit_code
    say("the chief has finished the run" if code == 0 else f"the chief ended with exit code {code}; its log says why")
    return code


def _pass_on(number: int, peers: Peers) -> Any:
    """Forwards a signal to the chief, which writes the checkpoint; a second one ends this process at once."""
    signal.signal(number, signal.SIG_DFL)
    peers.tell(stop_signal=signal.Signals(number).name)
