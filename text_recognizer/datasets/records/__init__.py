"""Images with texts as TFRecords: written, read, checked and given other labels."""
