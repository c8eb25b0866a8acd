"""Datasets of pages or paragraphs for line detectors."""
