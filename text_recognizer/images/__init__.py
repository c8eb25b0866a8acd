"""Images: reading files, converting to grey and to the form of lines."""
