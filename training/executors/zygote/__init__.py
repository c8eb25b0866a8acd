"""The local executor's processes: one that imports TensorFlow once and forks a child for each trial."""
