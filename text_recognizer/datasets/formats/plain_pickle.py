"""Safe reading of pickles of {text: number}: no opcode that imports or calls anything is supported.

Recognisers from the TensorFlow 1 years store their classes in such files. Strings of Python 2 are bytes in UTF-8.
"""

import io
import pickle
from pathlib import Path
from typing import Any

from text_recognizer.errors import DataError, system_errors

MOST_BYTES = 64 << 20
_STRUCTURE = (pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK)
_DICTIONARIES = (pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS)
_MEMO = (pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET, pickle.LONG_BINGET)
_TEXTS = (pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8)
_BYTES = (pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES, pickle.SHORT_BINBYTES)
_NUMBERS = (pickle.INT, pickle.LONG, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1)


class _PlainUnpickler(pickle._Unpickler):  # the C version knows all opcodes, and fills the memory with gaps of a memo
    dispatch = {  # noqa: RUF012 - as in its base
        code[0]: pickle._Unpickler.dispatch[code[0]]
        for code in (*_STRUCTURE, *_DICTIONARIES, *_MEMO, *_TEXTS, *_BYTES, *_NUMBERS)
    }


def read_pickled_ids(path: Path) -> dict[str, int]:
    """The numbers of texts. Raises DataError: it cannot be read, has other content, or is larger than 64 MB."""
    with system_errors(f"read {path}"), open(path, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    try:
        if len(content) > MOST_BYTES:
            raise ValueError("it is larger than 64 MB")
        found: Any = _PlainUnpickler(io.BytesIO(content), encoding="utf-8").load()
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
        ids = {key.decode() if isinstance(key, bytes) else key: number for key, number in found.items()}
        if not all(isinstance(key, str) and isinstance(number, int) for key, number in ids.items()):
            raise ValueError("an entry is not a text with a whole number")
        return ids
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises errors of a dozen kinds
        reason = "an unknown opcode or entry" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise DataError(
            f"{path} is not a pickled dictionary of texts and whole numbers: {reason}. Anything else is not read, "
            f"because a pickle can run code."
        ) from None
