"""The Python API, with the names of the command line: what `import text_recognizer as tr` has."""
