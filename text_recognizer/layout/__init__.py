"""Where the lines of text are on a page, found without any training."""
