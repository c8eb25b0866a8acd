"""The local executor's processes: a zygote that imports TensorFlow once and forks a child for each run."""
