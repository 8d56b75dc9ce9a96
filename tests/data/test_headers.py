"""Files whose headers Pillow reads in some way, and other programs refuse or read otherwise, are refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from graphc.data.images import decode_image
from graphc.errors import DataError
from tests.data.test_image_files import chunk, saved

PIXELS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))


def replaced(data: bytes, at: int, said: bytes) -> bytes:
    return data[:at] + said + data[at + len(said) :]


def refused(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        decode_image(data, "a")
    assert caught.value.code == "G406"


@pytest.mark.parametrize(
    ("mode", "at", "said", "words"),
    [
        ("P", 10, b"\x36\0", "pixels behind its header of 958 bytes, found them from byte 54 on"),
        ("RGB", 10, b"\0\0", "pixels behind its header of 54 bytes, found them from byte 0 on"),
        ("P", 46, b"\0\2", "at most 256 colors in a BMP of 8 bits, found 512"),
        ("1", 46, b"\3\0", "at most 2 colors in a BMP of 1 bits, found 3"),
        ("RGB", 26, b"\2\0", "expected a BMP of one plane .* found 2 planes of 24 bits"),
        ("1", 30, b"\1\0", "found 1 planes of 1 bits with compression 1"),
    ],
)
def test_a_bmp_whose_numbers_do_not_go_together(mode, at, said, words):
    data = saved(PIXELS.convert(mode), "BMP")
    decode_image(data, "a")
    refused(replaced(data, at, said), words)


def test_a_gif_with_other_bytes_between_its_parts():
    data = saved(PIXELS.convert("P"), "GIF")
    start = data.index(b",", 6 + 7 + 3 * 2 ** ((data[10] & 7) + 1))
    decode_image(data, "a")
    refused(data[:start] + b"\0\0" + data[start:], "expected the parts of a GIF, found the byte 00")
    refused(data[:20] + b"\xff" + data[20:], "expected the parts of a GIF, found the byte")
    refused(data[:-1] + b"\x55", "expected the parts of a GIF, found the byte 55")
    refused(data[:-1], "the image is cut off")
    refused(replaced(data, start + 1, b"\1"), "first image of a GIF inside the whole, found one of 7×5 at 1, 0 in 7×5")
    refused(replaced(data, 3, b"88a"), "expected a GIF of 1987 or 1989")


def test_a_png_that_libpng_refuses():
    data = saved(PIXELS.convert("RGB"), "PNG")
    start, header, rest = data[:8], data[8:33], data[33:]
    assert decode_image(start + header + chunk(b"teSt", b"x") + rest + b"more", "a").shape == (5, 7, 3)
    refused(data[:-12], "the image is cut off: expected the last chunk of a PNG")
    refused(data[:-16] + bytes(4) + data[-12:], "a PNG's IDAT has another checksum")
    refused(start + header + chunk(b"TESt", b"x") + rest, "expected the chunks of a PNG, found one of the kind b'TESt'")
    refused(start + header + chunk(b"te\0t", b"x") + rest, "expected the chunks of a PNG")
    refused(start + chunk(b"teSt", b"x") + header + rest, "expected a PNG's header first")
    for values in ((7, 5, 3, 2, 0, 0, 0), (7, 5, 16, 3, 0, 0, 0), (7, 5, 8, 2, 1, 0, 0), (7, 5, 8, 2, 0, 0, 2)):
        refused(start + chunk(b"IHDR", struct.pack(">IIBBBBB", *values)) + rest, "values that PNG knows")
