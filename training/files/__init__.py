"""Crash-safe files, shared between processes."""
