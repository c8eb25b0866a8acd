"""Remote files: their registry, downloads verified by hash, archives."""
