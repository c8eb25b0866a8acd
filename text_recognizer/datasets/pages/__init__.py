"""Datasets of pages or paragraphs whose lines are to be found."""
