"""Images: read from files, made grey, brought into the form of lines."""
