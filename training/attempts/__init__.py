"""An attempt: one process that executes a run as far as it can."""
