"""Datasets of text lines."""
