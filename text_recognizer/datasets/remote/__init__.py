"""Remote files: the registry of where they are, downloads verified by hash, archives."""
