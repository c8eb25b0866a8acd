"""Stopping rules: which running trials are not worth going on with."""
