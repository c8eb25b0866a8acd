"""Sweeps registered with W&B and served by its agents."""
