"""Decoding: from logits for every frame to texts. numpy only."""
