"""The local page: runs, sweeps, devices and data in a browser, live."""
