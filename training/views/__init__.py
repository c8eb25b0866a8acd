"""What commands, the page and the tools of an agent tell alike: of parts, runs, sweeps, devices, data and models."""
