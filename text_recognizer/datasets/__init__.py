"""Datasets: from remote files to memory-mapped splits."""

from text_recognizer.datasets.base import Dataset, DataSpec, Split

__all__ = ["DataSpec", "Dataset", "Split"]
