"""Running experiments: runs, devices, executors, tracking, sweeps."""
