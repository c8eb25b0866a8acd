"""How experiments are run: runs, devices, executors, tracking, sweeps."""
