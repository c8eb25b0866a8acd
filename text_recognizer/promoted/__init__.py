"""Promoted bundles: trained models with names and versions, stored locally and shared through an object store."""

from text_recognizer.promoted.store import ModelStore, Version

__all__ = ["ModelStore", "Version"]
