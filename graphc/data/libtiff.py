"""What libtiff calls an error while Pillow reads a TIFF: an error, where Pillow goes on with the rows as they are.

libtiff would write a line about each to standard error. Images are decoded by threads, so that this cannot be led
elsewhere meanwhile; a thread's own errors are told by the thread that they are found in.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from functools import cache

from PIL import Image, _imaging

from graphc.errors import DataError


class _Found(threading.local):
    """Whether there was an error in this thread."""

    error = False


_found = _Found()


def _note(module: object, form: object, values: object) -> None:
    """Called by libtiff with an error, in the thread that decodes."""
    _found.error = True


_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(_note)


def load_tiff(opened: Image.Image) -> None:
    """Read a TIFF's pixels; a DataError where libtiff finds them damaged."""
    _listen()
    _found.error = False
    opened.load()
    if _found.error:
        raise DataError("G406", "the image is damaged or cut off: libtiff calls some of its rows an error")


@cache
def _listen() -> None:
    """Be called by libtiff with each error, where it is a library of its own that Pillow was linked with."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(_CALLBACK)
