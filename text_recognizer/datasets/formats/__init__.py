"""Formats of files, each read by itself."""
