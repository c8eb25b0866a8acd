"""Networks that are built without memory for their weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def weightless() -> Iterator[None]:
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session()  # else the next network that is built would get it for them
