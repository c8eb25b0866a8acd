"""Network: the architecture, without meaning."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


class Network(ABC):
    """A neural network by name. Its constructor's arguments are the spec's `network_args`.

    A subclass imports Keras inside `build`, so that its signature can be read without TensorFlow.
    """

    def check(self, input_shape: tuple[Any, ...], output_shape: tuple[Any, ...]) -> None:  # noqa: B027 - most need none
        """Refuses shapes that cannot work, before TensorFlow is imported.

        Raises:
            ValueError: what does not fit, and what would.
        """

    @abstractmethod
    def build(self, input_shape: tuple[Any, ...], output_shape: tuple[Any, ...]) -> "keras.Model":
        """The network as a Keras model.

        Args:
            input_shape: (height, width, channels) of one image; values are floats from 0 to 1. The width of lines is
                None where they differ.
            output_shape: of one prediction without the batch axis, for example (classes,). None for what follows from
                the image's width.
        Returns:
            a model whose output holds logits: no softmax at the end.
        """


class FrameNetwork(Network):
    """A network that reads a line from left to right: logits of every class for each of many frames, (B, T, classes).

    Its model may return {"logits": …, "shortcut": …} instead: the shortcut is a second reading, (B, T, classes) too,
    that is trained along and left out when lines are read.
    """

    @abstractmethod
    def frames(self, width: Any) -> Any:
        """How many frames show a line of this width in pixels, in whatever wider image it lies.

        Args:
            width: a whole number, or an array or tensor of them; so this is arithmetic and nothing else. The result may
                be below 0 for lines that are too narrow for one frame.
        """
