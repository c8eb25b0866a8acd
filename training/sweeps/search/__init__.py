"""Searches: which point to try next, given the seed and the trials so far."""
