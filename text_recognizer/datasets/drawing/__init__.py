"""Rendering of texts with fonts, and random changes that make it look more like handwriting."""
