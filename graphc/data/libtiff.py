"""Lines that libtiff writes to standard error beside the error that Pillow raises: not written.

Images are decoded by threads, so that standard error cannot be led elsewhere meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
from functools import cache

from PIL import _imaging


@cache
def without_lines() -> None:
    """Take away what libtiff calls with an error, where it is a library of its own that Pillow was linked with."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
