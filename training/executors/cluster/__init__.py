"""Runs on several nodes: agents execute runs, the driver assigns them."""
