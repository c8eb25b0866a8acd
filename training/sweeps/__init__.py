"""Sweeps: W&B's YAML with W&B's meaning, without W&B's server."""
