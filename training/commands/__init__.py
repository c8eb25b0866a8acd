"""The subcommands of text-recognizer, one a file: configure(parser) declares arguments and what to run."""
