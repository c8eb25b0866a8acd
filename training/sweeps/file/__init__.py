"""What a sweep's YAML means: its schema, parameters and distributions."""
