"""Texts drawn with fonts, and what turns drawings into something more like writing."""
