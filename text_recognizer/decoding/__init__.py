"""Decoding: from logits of frames to texts. numpy only."""
