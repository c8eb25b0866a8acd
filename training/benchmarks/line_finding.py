"""Lines found without training on the test pages of a list, against a wanted F1."""

import time
from pathlib import Path

from evaluation.found_lines import found_lines
from text_recognizer.datasets.pages.page_list import PageListDataset
from text_recognizer.layout.find_lines import find_lines
from training.benchmarks.figures import Figure

PAGES = Path("data/testaments/pages.json")
WANTED_F1 = 0.8
BUDGET_S = 1.0


def measure() -> list[Figure]:
    if not PAGES.exists():
        print(f"skipped: {PAGES} is not on this machine")
        return []
    dataset = PageListDataset(str(PAGES), writer_pattern=r"^\w+?_\d+")
    dataset.prepare()
    began = time.process_time()
    found = found_lines(dataset.split("test"), find_lines)
    page_s = (time.process_time() - began) / len(found.pages)
    for page in found.pages:
        print(f"{page.page}: {page.matched} of {page.annotated} lines, {page.found} found")
    print(f"F1 {found.f1:.3f}, precision {found.precision:.3f}, recall {found.recall:.3f}")
    return [
        Figure("F1 of lines on test pages / wanted", found.f1, WANTED_F1, "", ">= 1"),
        Figure("finding the lines of a page / budget", page_s, BUDGET_S, "s", "<= 1"),
    ]
