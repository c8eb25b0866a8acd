"""Benchmarks: each prints what we cost as a ratio to a baseline measured in the same minute. Nothing here is a test."""
