"""Datasets of single characters."""
