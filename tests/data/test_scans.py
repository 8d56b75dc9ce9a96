"""A JPEG whose scans lack bits is an error, also where everything about it is in order."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from graphc.data.images import decode_image
from graphc.errors import DataError

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)).resize((107, 86))
GRAY = Image.new("RGB", (107, 86), (128, 128, 128))
END = b"\xff\xd9"


def jpeg(image: Image.Image, mode: str, progressive: bool, restarts: int) -> bytes:
    file = io.BytesIO()
    image.convert(mode).save(file, "JPEG", quality=90, progressive=progressive, restart_marker_blocks=restarts)
    return file.getvalue()


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


def test_an_arithmetic_jpeg_is_refused():
    data = jpeg(NOISE, "L", False, 0).replace(b"\xff\xc0", b"\xff\xc9")
    with pytest.raises(DataError, match="expected the usual parts of a JPEG, found FFC9"):
        decode_image(data, "a")
