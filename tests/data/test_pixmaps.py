"""Pixmaps (PBM, PGM, PPM, PFM) are what Netpbm says of them, or refused."""

from __future__ import annotations

import struct

import pytest

from graphc.data.images import Decoding, decode_image, decode_mask_with_tag
from graphc.data.value_range import ValueRange, file_values
from graphc.errors import DataError
from tests.costs import little


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"P5\n4 1\n20\n\x00\x01\x02\x14", [0, 1, 2, 20]),
        (b"P2\n4 1\n20\n0 1 2 20\n", [0, 1, 2, 20]),
        (b"P6\n2 1\n20\n\0\0\0\x13\x13\x13", [0, 19]),
        (b"P5\n4 1\n1023\n" + struct.pack(">4H", 0, 1, 2, 1023), [0, 1, 2, 1023]),
        (b"P5\n256 1\n254\n" + bytes([*range(255), 254]), [*range(255), 254]),
    ],
)
def test_masks_in_pixmaps_keep_their_values(data, values):
    assert decode_mask_with_tag(data, "m").pixels.tolist() == [values]


def test_pixmaps_have_the_values_that_the_recipe_speaks_of():
    data = b"P5\n4 1\n1023\n" + struct.pack(">4H", 0, 1, 512, 1023)
    kept = decode_image(data, "a", Decoding(1, values=file_values("uint16", ValueRange(0, 1023))))
    assert kept.ravel().tolist() == [0, 1, 512, 1023]
    spread = decode_image(data, "a", Decoding(1, values=file_values("uint16", None)))
    assert spread.ravel().tolist() == [0, 64, 32800, 65535]
    with pytest.raises(DataError, match="expected values from 0 to 1000, as `value_range` says, found 0 to 1023"):
        decode_image(data, "a", Decoding(1, values=file_values("uint16", ValueRange(0, 1000))))


def test_a_pixmap_of_values_beyond_its_own_largest_is_refused():
    with pytest.raises(DataError, match="expected values up to 20 in a PPM, found 200"):
        decode_image(b"P5\n4 1\n20\n\x00\x01\xc8\x14", "a")
    with little(), pytest.raises(DataError, match="at most 8,000,000 pixels in a PPM"):
        decode_image(b"P5\n5000 5000\n20\n", "a")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"P5\n2 1\n255\nabP5\n2 1\n255\nab", "expected one image in a pixmap, found 13 bytes behind it"),
        (b"P4\n9 1\nabc", "expected one image in a pixmap, found 1 bytes behind it"),
        (b"P5\n2 1\n1000\n\0a\0bc", "expected one image in a pixmap, found 1 bytes behind it"),
        (b"P2\n2 1\n15\n1_0 5", "expected digits and spaces in a pixmap, found b'_'"),
        (b"P5\n+2 1\n255\nab", "expected digits and spaces in a pixmap, found b'.'"),
        (b"PyP\n2 1\n255\nab", "expected a pixmap that begins with P1 to P6 or Pf, found b'Py'"),
        (b"Pf\n1 1\n-2.0\nabcd", "expected a PFM of scale 1 or -1, found 2"),
    ],
)
def test_pixmaps_that_pillow_alone_reads_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        decode_image(data, "a", Decoding(1, values=None))
    whole = b"P5#c\n2#d\n 1\n255\nab\n"
    assert decode_image(whole.replace(b"P5#c", b"P5"), "a", Decoding(1)).ravel().tolist() == [97, 98]
