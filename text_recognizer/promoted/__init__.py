"""Promoted bundles: trained models that have a name, kept for ever, and shared through an object store."""

from text_recognizer.promoted.store import ModelStore, Version

__all__ = ["ModelStore", "Version"]
