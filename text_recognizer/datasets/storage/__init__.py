"""The prepared form of a dataset: memory-mapped arrays that processes share."""
