"""Files of more than 8 bits a value: every type that Pillow reads, kept, reduced, or refused with what to write."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from graphc.data.images import Decoding, decode_image, decode_mask_with_tag
from graphc.data.sources import ImageList
from graphc.data.value_range import ValueRange, file_values
from graphc.errors import DataError, SpecError
from graphc.settings import validate

GRAY_16 = np.array([[0, 1, 256, 4095], [32896, 65534, 65535, 700]], np.uint16)
SHARES = np.array([[0.0, 0.25], [0.5, 1.0]], np.float32)


def _file(array, suffix):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, suffix)
    return buffer.getvalue()


def _png_16(samples, kind):
    """A PNG of 16 bits a sample, written by hand; `kind`: 2 for color, 6 with alpha."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _pgm_16(array):
    return b"P5 %d %d 65535\n" % array.shape[::-1] + array.astype(">u2").tobytes()


FILES_16 = {
    "png": _file(GRAY_16, "PNG"),
    "tiff": _file(GRAY_16, "TIFF"),
    "pgm": _pgm_16(GRAY_16),
}


def _read(data, dtype=None, said=None, channels=1):
    return decode_image(data, "a.png", Decoding(channels, values=file_values(dtype, said and ValueRange(*said))))


@pytest.mark.parametrize("form", FILES_16)
def test_sixteen_bits_are_kept_where_the_recipe_says_so(form):
    found = _read(FILES_16[form], "uint16")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found[:, :, 0], GRAY_16)
    colored = _read(FILES_16[form], "uint16", channels=3)
    np.testing.assert_array_equal(colored, np.repeat(GRAY_16[:, :, None], 3, axis=2))
    with_alpha = _read(FILES_16[form], "uint16", channels=4)
    assert (with_alpha[:, :, 3] == 65535).all()


@pytest.mark.parametrize("form", FILES_16)
def test_sixteen_bits_become_others_by_their_range(form):
    reduced = _read(FILES_16[form], "uint8")
    np.testing.assert_array_equal(reduced[:, :, 0], np.rint(GRAY_16 / 257).astype(np.uint8))
    np.testing.assert_allclose(_read(FILES_16[form], "float32")[:, :, 0], GRAY_16 / 65535, rtol=1e-6)
    signed = _read(FILES_16[form], "int16")[:, :, 0].astype(int)
    np.testing.assert_array_equal(signed, GRAY_16.astype(int) - 32768)


@pytest.mark.parametrize("form", FILES_16)
def test_sixteen_bits_are_refused_where_nothing_is_said(form):
    with pytest.raises(DataError, match="expected an image of 8 bits a value, found uint16") as caught:
        _read(FILES_16[form])
    assert "`dtype: uint16` at the source keeps them" in str(caught.value)
    assert "`dtype: uint8` reduces them" in str(caught.value)


def test_fewer_bits_in_files_of_sixteen():
    """Twelve bits in sixteen: the range is said, and values beyond it are an error, not cut off."""
    image = np.array([[0, 2048, 4095]], np.uint16)
    data = _file(image, "PNG")
    assert _read(data, "uint16", (0, 4095)).ravel().tolist() == [0, 2048, 4095]
    assert _read(data, "uint8", (0, 4095)).ravel().tolist() == [0, 128, 255]
    assert _read(data, "float32", (0, 4095)).ravel().tolist() == [0, 2048, 4095]
    bytes_too = _file(np.array([[0, 255]], np.uint8), "PNG")
    assert _read(bytes_too, "uint16", (0, 4095)).ravel().tolist() == [0, 4095]
    with pytest.raises(DataError, match=r"expected values from 0 to 4095, as `value_range` says, found 0 to 65535"):
        _read(FILES_16["png"], "uint16", (0, 4095))


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int16"])
def test_bytes_become_others_by_their_range(dtype):
    image = np.arange(256, dtype=np.uint8).reshape(4, 64, 1)
    found = _read(_file(image[:, :, 0], "PNG"), dtype)
    expected = {"uint16": image * 257.0, "float32": image / 255, "int16": image * 257.0 - 32768}[dtype]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == dtype


def test_floats_of_a_tiff():
    data = _file(SHARES, "TIFF")
    np.testing.assert_array_equal(_read(data, "float32")[:, :, 0], SHARES)
    np.testing.assert_array_equal(_read(data, "uint8")[:, :, 0], [[0, 64], [128, 255]])
    with pytest.raises(DataError, match="8 bits a value, found float32") as caught:
        _read(data)
    assert "`dtype: float32` at the source" in str(caught.value)
    wide = _file(SHARES * 255, "TIFF")
    np.testing.assert_array_equal(_read(wide, "float32")[:, :, 0], SHARES * 255)
    np.testing.assert_array_equal(_read(wide, "uint8", (0, 255))[:, :, 0], [[0, 64], [128, 255]])
    with pytest.raises(DataError, match=r"a.png: error\[G412\]: .* black and white, found float32 from 0 to 255"):
        _read(wide, "uint8")


def test_integers_of_32_bits():
    image = np.array([[-(2**31), 0, 2**31 - 1]], np.int32)
    data = _file(image, "TIFF")
    np.testing.assert_array_equal(_read(data, "int32")[:, :, 0], image)
    np.testing.assert_array_equal(_read(data, "uint8")[:, :, 0], [[0, 128, 255]])
    small = _file(np.array([[0, 1000]], np.int32), "TIFF")
    assert _read(small, "int32").ravel().tolist() == [0, 1000]
    assert _read(small, "uint16", (0, 1000)).ravel().tolist() == [0, 1000]
    with pytest.raises(DataError, match="G412"):
        _read(small, "uint16")


@pytest.mark.parametrize("kind", [2, 6])
def test_color_of_sixteen_bits_is_never_cut_to_eight_silently(kind):
    samples = np.array([[[0x1234, 0xFF00, 0x00FF, 0xFFFF][: 3 if kind == 2 else 4]]], np.uint16)
    data = _png_16(samples, kind)
    for dtype in (None, "uint16", "float32"):
        with pytest.raises(DataError, match="found a color image of 16, of which 8 can be read"):
            _read(data, dtype, channels=3)
    assert _read(data, "uint8", channels=3).ravel().tolist() == [0x12, 0xFF, 0x00]


def test_color_of_sixteen_bits_in_a_pixmap():
    with pytest.raises(DataError, match="found a color image of 16"):
        _read(b"P6 1 1 65535\n" + bytes(6), "uint16", channels=3)
    assert _read(b"P6 1 1 100\n" + bytes([100, 50, 0]), channels=3).ravel().tolist() == [255, 128, 0]


@pytest.mark.parametrize("size", [(4, 8), (1, 2), (3, 3)])
def test_resizing_keeps_sixteen_bits(size):
    found = decode_image(FILES_16["png"], "a.png", Decoding(1, size, values=file_values("uint16", None)))[:, :, 0]
    expected = Image.fromarray(GRAY_16.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.rint(np.asarray(expected)).astype(np.uint16))


def test_the_setting_of_a_source():
    def source(**settings):
        return validate(ImageList, {"path": "a.csv", "size": [4, 4], **settings}, lambda keys, of_key: None)

    assert source(dtype="uint16", value_range=[0, 4095]).file_values.known_range == ValueRange(0, 4095)
    assert source(dtype="uint16").file_values.known_range == ValueRange(0, 65535)
    assert source(dtype="float32").file_values.said_range is None
    assert source(dtype="uint8", value_range=[0, 4095]).file_values.known_range == ValueRange(0, 255)
    assert not source().file_values.reduced
    with pytest.raises(SpecError, match=r"expected \[black, white\], found \[5.0, 5.0\]"):
        source(value_range=[5, 5])


@pytest.mark.parametrize("kind", [2, 6])
def test_masks_are_not_cut_to_eight_bits_either(kind):
    samples = np.full((2, 2, 3 if kind == 2 else 4), 0xFFFF, np.uint16)
    with pytest.raises(DataError, match="found one of 16 in color"):
        decode_mask_with_tag(_png_16(samples, kind), "m.png")
    assert decode_mask_with_tag(FILES_16["png"], "m.png").pixels.tolist() == GRAY_16.tolist()
