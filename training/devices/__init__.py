"""Devices: detection, leases and the queue."""
