"""The subcommands of text-recognizer, one per file."""
