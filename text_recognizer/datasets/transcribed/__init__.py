"""Transcribed pages: images with ALTO or PAGE XML beside them."""
