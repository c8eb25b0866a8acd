"""The Python API: what the command line does, in the same words. `import text_recognizer as tr` has it all."""
