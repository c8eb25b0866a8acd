"""Transcribed pages: images with ALTO, PAGE XML or hOCR beside them."""
