"""The terminal: arguments, tables, output."""
