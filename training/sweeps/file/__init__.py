"""A sweep's YAML: its schema, parameters and distributions."""
