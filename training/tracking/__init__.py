"""Tracking: mirrors of a run folder, made by a process of their own."""
