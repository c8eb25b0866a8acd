"""Files that survive kills and are shared between processes."""
