"""What a language model says of whole texts."""

import numpy as np

from text_recognizer.decoding.language_model import CharacterLanguageModel


def text_score(model: CharacterLanguageModel, label: np.ndarray) -> float:
    """Log-probability of a whole text, its end included."""
    state, total = np.array([model.start]), 0.0
    for character in label:
        state, score = model.step(state, np.array([character]))
        total += float(score[0])
    return total + float(model.finish(state)[0])
