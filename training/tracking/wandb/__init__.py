"""The W&B mirror of a run."""
