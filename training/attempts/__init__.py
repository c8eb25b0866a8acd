"""An attempt: one process takes a run as far as it can."""
