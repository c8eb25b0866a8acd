"""Devices: what there is, who holds it, who waits for it."""
