"""The run folder, and many of them as a table."""
