"""The search of a file of experiments."""

from training.sweeps.search.base import PastTrial, Suggestion


class ListSearch:
    """The experiments of a file, in order."""

    def __init__(self, size: int) -> None:
        self._size = size

    def ask(self, number: int) -> Suggestion | None:
        return Suggestion({"experiment": number - 1}) if number <= self._size else None

    def tell(self, trial: PastTrial) -> None: ...
