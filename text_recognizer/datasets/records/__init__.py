"""TFRecords of images with texts: writing, reading, checking and relabelling."""
