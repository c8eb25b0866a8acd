"""How often processes of tests look for garbage among the objects of Python."""

import gc

_OBJECTS = 50_000


def collect_rarely() -> None:
    """Tracing a network makes hundreds of thousands of objects that stay; after every 700 a look takes a twelfth."""
    gc.set_threshold(_OBJECTS)
