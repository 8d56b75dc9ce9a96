"""A JPEG whose scans lack bits is an error, also where everything about it is in order."""

from __future__ import annotations

import re
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from graphc.data.images import decode_image
from graphc.errors import DataError
from tests.data.test_image_files import saved

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)).resize((107, 86))
GRAY = Image.new("RGB", (107, 86), (128, 128, 128))
END = b"\xff\xd9"


def jpeg(image: Image.Image, mode: str, progressive: bool, restarts: int) -> bytes:
    return saved(image.convert(mode), "JPEG", quality=90, progressive=progressive, restart_marker_blocks=restarts)


@pytest.mark.parametrize("restarts", [0, 3])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_bits_that_are_missing(mode, progressive, restarts):
    data = jpeg(NOISE, mode, progressive, restarts)
    whole = decode_image(data, "a")
    for image in (GRAY, NOISE.resize((3, 2))):
        decode_image(jpeg(image, mode, progressive, restarts), "a")
    for cut in range(200, 500, 30):
        damaged = data[: -cut - len(END)] + END
        with suppress(DataError):
            np.testing.assert_array_equal(decode_image(damaged, "a"), whole)  # the last bits may only fill a byte


def test_a_restart_that_is_missing():
    data = jpeg(NOISE, "RGB", False, 3)
    before, after = (data.index(b"\xff" + bytes([mark])) for mark in (0xD2, 0xD3))
    with pytest.raises(DataError, match="pixels end before the image does"):
        decode_image(data[:before] + data[after:], "a")


@pytest.mark.parametrize("scan", range(1, 10))
def test_a_scan_that_is_missing(scan):
    """The next one says which bits of which coefficients there should be."""
    data = jpeg(NOISE, "RGB", True, 0)
    starts = [*(found.start() for found in re.finditer(b"\xff\xda", data)), len(data) - len(END)]
    assert len(starts) == 11
    tables = data.find(b"\xff\xc4", starts[scan])
    end = min(tables if tables > 0 else starts[scan + 1], starts[scan + 1])
    with pytest.raises(DataError, match="pixels end before the image does"):
        decode_image(data[: starts[scan]] + data[end:], "a")


def test_a_component_that_is_missing():
    data = bytearray(jpeg(NOISE, "RGB", False, 0))
    scan = data.index(b"\xff\xda")
    assert data[scan + 5 : scan + 11 : 2] == b"\1\2\3"
    data[scan + 9] = 2  # twice the second, and no third
    with pytest.raises(DataError, match=r"pixels end before|damaged"):
        decode_image(bytes(data), "a")


def test_a_kind_of_colors_that_nobody_knows_is_refused():
    data = bytearray(jpeg(NOISE, "CMYK", False, 0))
    data[data.index(b"Adobe") + 11] = 1
    with pytest.raises(DataError, match="expected 0 or 2 as the kind of colors that Adobe's marker says"):
        decode_image(bytes(data), "a")


def test_an_arithmetic_jpeg_is_refused():
    data = jpeg(NOISE, "L", False, 0).replace(b"\xff\xc0", b"\xff\xc9")
    with pytest.raises(DataError, match="expected the usual parts of a JPEG, found FFC9"):
        decode_image(data, "a")
