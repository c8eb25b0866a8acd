"""SavedModel: a folder that TensorFlow and TensorFlow Serving can load without this package."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from text_recognizer.datasets.base import DataSpec
from text_recognizer.errors import DataError
from text_recognizer.exports.base import Images, ModelExport, Outputs
from text_recognizer.images.character_form import INK_THRESHOLD
from text_recognizer.images.read import png_bytes
from text_recognizer.models.base import Model, main_output
from text_recognizer.models.bundle import Bundle

LOGITS, CLASSES, READ = "logits", "classes", "serving_default"


class SavedModelExport(ModelExport):
    """A SavedModel folder with these signatures.

    serving_default   for characters: encoded PNG or JPEG images (B,) strings to their best classes (B, k) strings and
                      calibrated scores (B, k); images of any size, ink dark or light. For lines, the same as logits.
    logits            uint8 images (B, H, W, C) in the form of the dataset to logits
    classes           no input, returns the classes, (C,) strings in the order of the logits

    Args:
        top_k: number of classes per character, best first.
    """

    def __init__(self, top_k: Annotated[int, Ge(1)] = 5) -> None:
        self.top_k = top_k

    def write(self, model: Model, bundle: Bundle, output: Path, samples: Images) -> None:  # noqa: ARG002 - needs none
        import keras
        import tensorflow as tf

        data_spec = model.data_spec
        network = keras.Model(model.keras_model.input, main_output(model.keras_model.output))
        network(samples[:1])  # Keras exports what was called
        classes = tf.constant([one.encode() for one in data_spec.classes])
        archive = keras.export.ExportArchive()
        archive.track(network)
        images = tf.TensorSpec((None, *data_spec.input_shape), "uint8", name="images")
        archive.add_endpoint(LOGITS, lambda images: network(images, training=False), [images])
        archive.add_endpoint(CLASSES, lambda: {"classes": tf.identity(classes)}, [])
        if data_spec.target == "character":
            most = min(self.top_k, len(data_spec.classes))
            temperature = model.calibration.temperature if model.calibration else 1.0

            def read(images: Any) -> dict[str, Any]:
                shown = tf.TensorSpec(data_spec.input_shape, "uint8")
                fitted = tf.map_fn(lambda one: fitted_image(one, data_spec), images, fn_output_signature=shown)
                scores, labels = tf.math.top_k(tf.nn.softmax(network(fitted, training=False) / temperature), most)
                return {"classes": tf.gather(classes, labels), "scores": scores}

            archive.add_endpoint(READ, read, [tf.TensorSpec((None,), "string", name="images")])
        archive.write_out(output, verbose=False)

    def load(self, output: Path) -> Outputs:
        import tensorflow as tf

        served = tf.saved_model.load(str(output))

        def outputs(images: Images) -> Any:
            logits = np.asarray(served.logits(tf.constant(images)))
            takes = served.signatures[READ].structured_input_signature[1]
            if takes["images"].dtype == tf.string:  # encoded images must be read like their pixels
                files = tf.constant([png_bytes(image) for image in images])
                names = np.asarray(served.classes()["classes"])
                read = np.asarray(served.signatures[READ](images=files)["classes"])[:, 0]
                if wrong := int((read != names[logits.argmax(axis=-1)]).sum()):
                    raise DataError(
                        f"the signature '{READ}' reads {wrong} of {len(images)} images differently from their pixels."
                    )
            return logits

        return outputs


def fitted_image(encoded: Any, data_spec: DataSpec) -> Any:
    """Converts an encoded image to the form of the dataset: `images.read.fit_to`, in TensorFlow.

    Args:
        encoded: a string tensor, the content of a PNG or JPEG file.
    Returns:
        (H, W, 1) uint8; for a blank image, its background.
    """
    import tensorflow as tf

    height, width, _ = data_spec.input_shape
    grey = tf.cast(tf.io.decode_image(encoded, channels=1, expand_animations=False)[..., 0], tf.float32)  # (h, w)
    opacity = tf.cond(  # transparent pixels become white; only PNG has any
        tf.strings.substr(encoded, 0, 4) == b"\x89PNG",
        lambda: tf.cast(tf.io.decode_png(encoded, channels=4)[..., 3], tf.float32) / 255.0,
        lambda: tf.ones_like(grey),
    )
    grey = 255.0 - opacity * (255.0 - grey)
    border = tf.sort(tf.concat([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]], 0))
    count = tf.shape(border)[0]
    background = (border[(count - 1) // 2] + border[count // 2]) / 2.0
    lighter, darker = tf.reduce_max(grey) - background, background - tf.reduce_min(grey)
    ink = tf.clip_by_value((grey - background) * tf.where(lighter >= darker, 1.0, -1.0) / 255.0, 0.0, 1.0)
    is_of_size, is_blank = tf.reduce_all(tf.shape(grey) == [height, width]), tf.reduce_max(ink) < 8 / 255

    def centred() -> Any:
        strength = ink / tf.reduce_max(ink)
        rows = tf.where(tf.reduce_any(strength > INK_THRESHOLD, axis=1))[:, 0]
        columns = tf.where(tf.reduce_any(strength > INK_THRESHOLD, axis=0))[:, 0]
        box = strength[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        room = tf.constant([height - 2 * data_spec.margin_px, width - 2 * data_spec.margin_px], tf.float32)
        scales = room / tf.cast(tf.shape(box), tf.float32)
        if "stretch" not in data_spec.preprocessing:
            scales = tf.repeat(tf.reduce_min(scales), 2)
        if "keep_small" in data_spec.preprocessing:
            scales = tf.minimum(scales, 1.0)
        size = tf.maximum(1, tf.cast(tf.round(tf.cast(tf.shape(box), tf.float32) * scales), tf.int32))
        by_area, between = (partial(tf.image.resize, box[..., None], size, method) for method in ("area", "bilinear"))
        resized = tf.cond(tf.reduce_max(scales) < 1, by_area, between)
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        padded = tf.pad(resized[..., 0], [[top, height - size[0] - top], [left, width - size[1] - left]])
        at = tf.cast(tf.stack([rows[0], rows[-1] + 1, columns[0], columns[-1] + 1]), tf.int32)
        moves = tf.abs(at - tf.stack([top, top + size[0], left, left + size[1]]))
        stays = tf.logical_and(is_of_size, tf.reduce_max(moves) <= 1)
        return tf.cond(stays, lambda: strength, lambda: padded if data_spec.cut else padded / tf.reduce_max(padded))

    cases = [(is_blank, lambda: tf.zeros((height, width)))]
    cases += [] if data_spec.cut else [(is_of_size, lambda: ink)]
    fitted = tf.case(cases, default=centred)
    levels = tf.cast(tf.round(255.0 * tf.ensure_shape(fitted, (height, width))), tf.uint8)
    return (levels if data_spec.ink == "light" else 255 - levels)[..., None]
