"""Accuracy and speed of recognisers: metrics with intervals, evaluation of bundles, regression gates."""
