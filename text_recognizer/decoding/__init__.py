"""Decoding: from logits for every frame to texts. numpy only."""

from text_recognizer.decoding.alignment import Alignment, align
from text_recognizer.decoding.beam import Hypothesis, beam_search
from text_recognizer.decoding.greedy import greedy_labels
from text_recognizer.decoding.language_model import CharacterLanguageModel
from text_recognizer.decoding.lexicon import Lexicon
from text_recognizer.decoding.line_decoder import LineDecoder, Reading

__all__ = [
    "Alignment",
    "CharacterLanguageModel",
    "Hypothesis",
    "Lexicon",
    "LineDecoder",
    "Reading",
    "align",
    "beam_search",
    "greedy_labels",
]
