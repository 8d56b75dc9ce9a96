"""What is refused of a BMP's header: values of which programs make different pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.errors import DataError

OLD = 12
"""Bytes of the first kind of header, whose numbers have half as many."""
BITS_OF: Mapping[int, Sequence[int]] = {0: (1, 4, 8, 16, 24, 32), 1: (8,), 2: (4,), 3: (16, 32)}
"""Bits that a pixel may have, by compression: none, run lengths of two kinds, masks of the channels."""
MASKS = 12
"""Bytes of masks behind a header of 40."""


def bits_a_pixel(data: bytes) -> int:
    """As the header says."""
    return _number(data, 24 if _number(data, 14, 4) == OLD else 28, 2)


def check_bmp(data: bytes) -> None:
    """A DataError about planes, bits and colors that do not go together, and pixels that begin among them."""
    header, bits, start = _number(data, 14, 4), bits_a_pixel(data), _number(data, 10, 4)
    if header == OLD:
        planes, compression, used, entry = _number(data, 22, 2), 0, 0, 3
    else:
        planes, compression, used, entry = _number(data, 26, 2), _number(data, 30, 4), _number(data, 46, 4), 4
    colors = (used or 2**bits) if bits <= 8 else 0
    least = 14 + header + colors * entry + (MASKS if compression == 3 and header == 40 else 0)
    if planes != 1 or bits not in BITS_OF.get(compression, ()):
        found = f"{planes} planes of {bits} bits with compression {compression}"
        raise DataError("G406", f"expected a BMP of one plane with bits that suit its compression, found {found}")
    if bits <= 8 and colors > 2**bits:
        raise DataError("G406", f"expected at most {2**bits} colors in a BMP of {bits} bits, found {colors:,}")
    if start < least:
        found = f"from byte {start:,} on"
        raise DataError("G406", f"expected a BMP's pixels behind its header of {least:,} bytes, found them {found}")


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
