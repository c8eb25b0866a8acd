"""The terminal: arguments, tables, curves, what is printed."""
