"""Sweeps: W&B's YAML with W&B's semantics, without W&B's server."""
