"""The Python API of `import text_recognizer as tr`, with the names of the command line."""
