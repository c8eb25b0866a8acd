"""Data for commands, the web page and agent tools: parts, runs, sweeps, devices, data and models."""
