"""Network: an architecture, independent of the meaning of its outputs."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from annotated_types import Ge, Lt

if TYPE_CHECKING:
    import keras

Shape: TypeAlias = tuple[Any, ...]
KerasModel: TypeAlias = "keras.Model"
Count = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Lt(1)]


class Network(ABC):
    """A neural network by name. Its constructor's arguments are the spec's `network_args`.

    A subclass imports Keras inside `build`, so that its signature can be read without TensorFlow:

        @dataclass(frozen=True)
        class OneLayer(Network):
            units: int = 64

            def build(self, input_shape, output_shape):
                import keras

                hidden = keras.layers.Dense(self.units, activation="relu")
                return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), hidden,
                                         keras.layers.Dense(output_shape[0])])
    """

    former_names: ClassVar[Mapping[str, str]] = {}  # of arguments in saved specs and bundles: {former: present}
    # Arguments that do not affect shapes of weights, so they may differ from those of a bundle with initial weights.
    only_in_training: ClassVar[Collection[str]] = ("dropout_amount", "batch_norm_momentum")

    @property
    def smallest_side_px(self) -> int:
        """The smallest side of images for which the network can be built; subclasses may set it as an attribute."""
        return 1

    def check(self, input_shape: Shape, output_shape: Shape) -> None:  # noqa: ARG002 - any output
        """Checks shapes without importing TensorFlow. Raises ValueError: what does not fit, and what would."""
        height, width, _ = input_shape
        smallest = self.smallest_side_px
        if min(height, smallest if width is None else width) < smallest:
            raise ValueError(
                f"needs images of at least {smallest} x {smallest} pixels, the dataset's have {height} x {width}. Set "
                f"dataset_args.side, where there is one, or choose another network"
            )

    def sizes_in_weights(self, input_shape: Shape) -> Shape:  # noqa: ARG002 - none by default
        """Numbers that depend on the image size and determine shapes of weights; without importing TensorFlow.

        Training can start from weights for another image size only if these are equal. () means that there are none, or
        that they are unknown before the network is built.
        """
        return ()

    @abstractmethod
    def build(self, input_shape: Shape, output_shape: Shape) -> KerasModel:
        """The network as a Keras model.

        Args:
            input_shape: (height, width, channels) of one image; values are floats from 0 to 1. The width is None for
                lines of different widths.
            output_shape: shape of one prediction without the batch axis, for example (classes,). None for axes that
                depend on the image's width.
        Returns:
            a model that outputs logits, without softmax.
        """


class FrameNetwork(Network):
    """A network that reads a line from left to right: logits of all classes for each frame, (B, T, classes).

    Its model may return {"logits": …, "shortcut": …} instead: the shortcut is an auxiliary output (B, T, classes) that
    is used only in training.
    """

    smallest_height_px: ClassVar[int] = 1  # of lines for which the network can be built

    def check(self, input_shape: Shape, output_shape: Shape) -> None:  # noqa: ARG002 - any output
        if input_shape[0] < self.smallest_height_px:
            raise ValueError(
                f"needs lines at least {self.smallest_height_px} pixels high, the dataset's have {input_shape[0]}"
            )

    @property
    def more_frames(self) -> str:
        """What gives more frames to lines of one width, as advice."""
        return "Make dataset_args.width larger, max_length smaller, or choose a network with more frames a pixel."

    @abstractmethod
    def frames(self, width: Any) -> Any:
        """The number of frames of a line of this width in pixels, regardless of padding.

        Args:
            width: an integer, or an array or tensor of integers, so this may only use arithmetic. The result may be
                below 0 for lines that are too narrow for one frame.
        """


def columns_as_frames(x: Any) -> Any:
    """(B, H, W, C) to (B, W, H C): every column one frame."""
    import keras

    height, channels = x.shape[1], x.shape[3]
    x = keras.layers.Permute((2, 1, 3))(x)
    return keras.layers.Reshape((-1, height * channels))(x)
