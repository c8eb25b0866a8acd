"""Networks: pure Keras 3, so that any Keras backend runs them."""

from text_recognizer.networks.base import Network

__all__ = ["Network"]
