"""Recognisers of handwritten characters and text lines: datasets, networks, models, predictors."""

__version__ = "0.1.0"
