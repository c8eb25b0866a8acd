"""A tracker written against the published base class alone."""

from pathlib import Path

from training.tracking.base import Facts, Tracker


class Lines(Tracker):
    """One word a call, in a file.

    Args:
        spoken: the file.
    """

    def __init__(self, spoken: str) -> None:
        self.file = Path(spoken)

    def start(self, run):
        self.file.write_text("start\n")

    def log(self, epoch, row):
        self._say(epoch)

    def finish(self, state, summary):
        self._say(state)
        return Facts(url="http://acme.example/")

    def _say(self, word):
        with open(self.file, "a") as file:
            file.write(f"{word}\n")
