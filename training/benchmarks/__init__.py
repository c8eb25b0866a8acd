"""Benchmarks: each prints our cost as a ratio to a baseline measured at the same time. Nothing here is a test."""
