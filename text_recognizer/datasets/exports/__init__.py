"""Exports: writes datasets in the formats of other tools.

To add a format: one file with a subclass of `DatasetExport`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

EXPORTS = {
    "gnt": "text_recognizer.datasets.exports.sample_folders:GntExport",
    "hdf5": "text_recognizer.datasets.exports.hdf5:Hdf5Export",
    "maps": "text_recognizer.datasets.exports.sample_folders:MapsExport",
    "numbered_folders": "text_recognizer.datasets.exports.sample_folders:NumberedFoldersExport",
    "ord_map": "text_recognizer.datasets.exports.sample_folders:OrdMapExport",
}
add_kind("export", EXPORTS, "text_recognizer.datasets.exports.base:DatasetExport")
