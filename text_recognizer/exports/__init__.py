"""Model exports: writes trained bundles in the formats of other runtimes.

To add a format: one file with a subclass of `ModelExport`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

MODEL_EXPORTS = {
    "onnx": "text_recognizer.exports.onnx:OnnxExport",
    "saved_model": "text_recognizer.exports.saved_model:SavedModelExport",
}
add_kind("model_export", MODEL_EXPORTS, "text_recognizer.exports.base:ModelExport")
