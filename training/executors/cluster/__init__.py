"""Runs on several nodes: an agent on each executes them, the driver decides."""
