"""RunCopies: the small files of the runs below an s3:// address, copied into a temporary folder and kept up to date."""

import contextlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from text_recognizer.errors import DataError
from text_recognizer.promoted.object_store import Place
from text_recognizer.whole_files import replace_file
from training.views.index import DEEPEST

EVERY_S = 20.0
AT_ONCE = 16
MOST_BYTES = 64 << 20
SHOWN = {
    *("spec.json", "status.json", "launch.json", "environment.json", "evaluation.json"),
    *("metrics.jsonl", "predictions.jsonl", "log.txt"),
    *("sweep.json", "sweep.yaml", "trials.jsonl", "control"),
}


class RunCopies:
    """Copies what the page shows, without models. Raises SpecError: the address is not like s3://bucket/prefix."""

    def __init__(self, address: str, folder: Path) -> None:
        self.place = Place(address, "runs are read from")
        self.folder = folder
        self._copied: dict[str, str] = {}

    def refresh(self) -> int:
        """Copies changes and removes deleted files; returns the number of files. Raises DataError: the store fails."""
        with self.place.told(f"read the runs in {self.place.address}"):
            found = self._listed()
            changed = [name for name, tag in found.items() if self._copied.get(name) != tag]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(self._copy, changed))
        for name in self._copied.keys() - found.keys():
            (self.folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other files are left there
                (self.folder / name).parent.rmdir()
        self._copied = found
        return len(found)

    def keep_fresh(self) -> None:
        """Refreshes every EVERY_S seconds, as long as this process lives."""
        while True:
            time.sleep(EVERY_S)
            try:
                self.refresh()
            except (DataError, OSError) as error:
                print(f"{error} The previous copy is shown.", file=sys.stderr, flush=True)

    def _listed(self) -> dict[str, str]:
        """ETags by name. Objects whose names are no paths below the folder are skipped."""
        found = {}
        for entry in self.place.entries():
            *folders, name = parts = entry["Key"][len(self.place.prefix) :].split("/")
            is_plain = all(part and not part.startswith(".") and "\0" not in part for part in parts)
            if name in SHOWN and is_plain and len(folders) <= DEEPEST and entry["Size"] <= MOST_BYTES:
                found["/".join(parts)] = entry["ETag"]
        return found

    def _copy(self, name: str) -> None:
        content, path = self.place.open(name).read(), self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_bytes() if path.is_file() else b""
        if before and content.startswith(before):  # it has grown: an open page is sent only the rest
            with open(path, "ab") as file:
                file.write(content[len(before) :])
        else:
            replace_file(path, lambda file: file.write(content), durable=False)
