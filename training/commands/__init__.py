"""The subcommands of text-recognizer, one a file."""
