"""Run folders, and tables of runs."""
