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


def check_bmp(data: bytes) -> None:
    """A DataError about planes, bits and colors that do not go together, and pixels that begin among them."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little")

    header = number(14, 4)
    if header == OLD:
        planes, bits, compression, used, entry = number(22, 2), number(24, 2), 0, 0, 3
    else:
        planes, bits, compression, used, entry = number(26, 2), number(28, 2), number(30, 4), number(46, 4), 4
    colors = (used or 2**bits) if bits <= 8 else 0
    least = 14 + header + colors * entry + (MASKS if compression == 3 and header == 40 else 0)
    if planes != 1 or bits not in BITS_OF.get(compression, ()):
        found = f"{planes} planes of {bits} bits with compression {compression}"
        raise DataError("G406", f"expected a BMP of one plane with bits that suit its compression, found {found}")
    if bits <= 8 and colors > 2**bits:
        raise DataError("G406", f"expected at most {2**bits} colors in a BMP of {bits} bits, found {colors:,}")
    if number(10, 4) < least:
        found = f"from byte {number(10, 4):,} on"
        raise DataError("G406", f"expected a BMP's pixels behind its header of {least:,} bytes, found them {found}")
