"""Sweeps registered at W&B and served by its agents."""
