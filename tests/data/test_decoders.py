"""Images of few bytes that Pillow's decoders would take long for, or much memory, and bits that they drop."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from graphc.data.images import Decoding, decode_image, decode_mask_with_tag
from graphc.data.value_range import ImageValues
from graphc.errors import DataError
from tests.costs import little

needs_jpeg2000 = pytest.mark.skipif(not features.check_codec("jpg_2000"), reason="this Pillow is without it")


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _jpeg_of_many_scans(scan_bytes):
    """A progressive JPEG of 25 million pixels, whose last scan is repeated."""
    data = saved(Image.new("L", (5000, 5000)), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2] if scan_bytes is None else data[start : start + scan_bytes]
    return data[:start] + scan * 3000 + data[start:]


def _coded_otherwise(change):
    """A JPEG 2000 of 25 million pixels with another segment about coding."""
    data = saved(Image.new("L", (5000, 5000)), "JPEG2000", num_resolutions=1, no_jp2=True)
    start = data.index(b"\xff\x52")
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    segment = change(bytearray(data[start:end]))
    return data[:start] + segment[:2] + struct.pack(">H", len(segment) - 2) + segment[4:] + data[end:]


def _of_small_precincts(segment):
    segment[4] |= 1
    return bytes(segment) + b"\0"


def _of_precincts_in_four_channels():
    """Below the bound where one counted for all bands and channels: 409 MiB."""
    data = saved(Image.new("RGBA", (976, 976)), "JPEG2000", num_resolutions=2, no_jp2=True)
    start = data.index(b"\xff\x52")
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    segment = data[start + 4 : start + 5] + data[start + 5 : end] + b"\xff\x22"
    segment = bytes([segment[0] | 1]) + segment[1:]
    return data[:start] + b"\xff\x52" + struct.pack(">H", len(segment) + 2) + segment + data[end:]


def _of_small_blocks(segment):
    segment[10] = segment[11] = 0
    return bytes(segment)


def _of_small_tiles():
    data = bytearray(_coded_otherwise(bytes))
    start = data.index(b"\xff\x51")
    data[start + 22 : start + 30] = struct.pack(">II", 20, 20)
    return bytes(data)


def _bmp_of_ends_of_lines():
    pixels = b"\x01\0\0\0" * 5000
    sizes = struct.pack("<IiiHHIIiiII", 40, 5000, 5000, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(pixels), 0, 0, 1078) + sizes + bytes(1024) + pixels


EXPENSIVE = {
    "JPEG, scans": (lambda: _jpeg_of_many_scans(None), "at most 40 scans"),
    "JPEG, scans without bits": (lambda: _jpeg_of_many_scans(10), "at most 40 scans"),
    "BMP": (_bmp_of_ends_of_lines, "at most 8,000,000 pixels in a BMP of run lengths, found 25,000,000"),
    "PGM": (lambda: b"P2\n4 4\n255\n1\n" + b"#\n" * 600_000 + b"1 " * 20, "at most 1,000 comments"),
}
OF_JPEG_2000 = {
    "precincts": (lambda: _coded_otherwise(_of_small_precincts), "at most 200,000 precincts, found 75,000,000"),
    "precincts of channels": (_of_precincts_in_four_channels, "at most 200,000 precincts, found 714,"),
    "blocks": (lambda: _coded_otherwise(_of_small_blocks), "blocks of at least 256 pixels, found 16"),
    "tiles": (_of_small_tiles, "at most 16,384 tiles in all components, found 62,500"),
    "headers": (lambda: _coded_otherwise(lambda old: b"\xff\x30\0\2" + bytes(old)), "something else among them"),
}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *(pytest.param(*case, id=name) for name, case in EXPENSIVE.items()),
        *(pytest.param(*case, id=f"JPEG 2000 {name}", marks=needs_jpeg2000) for name, case in OF_JPEG_2000.items()),
    ],
)
def test_what_costs_more_than_its_pixels_is_refused(make, message):
    data = make()
    with little(), pytest.raises(DataError, match=message):
        decode_image(data, "a")


def test_what_programs_write_is_decoded():
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (50, 70, 3), dtype=np.uint8))
    of_jpeg = (
        {},
        {"progressive": True},
        {"subsampling": 0, "restart_marker_rows": 1},
        {"exif": b"Exif\0\0\xff\xda" * 99},
    )
    written = [saved(image, "JPEG", **options) for options in of_jpeg]
    if features.check_codec("jpg_2000"):
        of_2000 = ({}, {"no_jp2": True}, {"tile_size": (16, 16)}, {"quality_layers": [50, 20]}, {"num_resolutions": 2})
        written += [saved(image, "JPEG2000", **options) for options in of_2000]
        written += [saved(image, "JPEG2000", codeblock_size=(32, 32), precinct_size=(64, 64), progression="RPCL")]
    for data in written:
        assert decode_image(data, "a").shape == (50, 70, 3)


@needs_jpeg2000
def test_tiles_of_a_jpeg_2000_are_all_there():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8))
    data = saved(image, "JPEG2000", tile_size=(16, 16), no_jp2=True)
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"\xff\x90\0\x0a"]
    assert len(starts) == 4
    np.testing.assert_array_equal(decode_image(data, "a")[:, :, 0], np.asarray(image))
    with pytest.raises(DataError, match="expected the 4 tiles of a JPEG 2000, found 2"):
        decode_image(data[: starts[2]] + b"\xff\xd9", "a")
    with pytest.raises(DataError, match="cut off"):
        decode_image(data[: starts[3] + 40], "a")
    many = bytearray(saved(Image.new("RGBA", (128, 128)), "JPEG2000", no_jp2=True))
    at = many.index(b"\xff\x51") + 22
    many[at : at + 8] = struct.pack(">LL", 1, 1)
    with little(), pytest.raises(DataError, match="tiles in all components, found 65,536"):
        decode_image(bytes(many), "a")


@needs_jpeg2000
def test_bits_of_a_color_image_are_not_dropped_without_a_word():
    data = bytearray(saved(Image.new("RGB", (8, 8), (1, 2, 3)), "JPEG2000", no_jp2=True))
    start = data.index(b"\xff\x51") + 40
    data[start : start + 9 : 3] = b"\x0f\x0f\x0f"  # 16 bits a value
    with pytest.raises(DataError, match="found a color image of 16, of which 8 can be read"):
        decode_image(bytes(data), "a")
    assert decode_image(bytes(data), "a", Decoding(values=ImageValues(reduced=True))).shape == (8, 8, 3)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow is without AVIF")
def test_bits_of_an_avif_are_not_dropped_without_a_word():
    data = bytearray(saved(Image.new("RGB", (8, 8), (1, 2, 3)), "AVIF"))
    assert decode_image(bytes(data), "a").shape == (8, 8, 3)
    data[data.index(b"av1C") + 6] |= 0x40  # 10 bits
    bits = data.index(b"pixi") + 9
    data[bits : bits + 3] = b"\x0a" * 3
    with pytest.raises(DataError, match="found a color image of 16, of which 8 can be read"):
        decode_image(bytes(data), "a")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow is without AVIF")
def test_frames_of_an_avif_are_as_large_as_its_image():
    """One of 16000 × 16000 was decoded whole and scaled to the 64 × 64 that the file's head said."""
    for mode in ("L", "RGBA"):
        data = saved(Image.new(mode, (600, 500)), "AVIF", speed=10)
        assert decode_image(data, "a").shape == (500, 600, 3)
        small = data.replace(struct.pack(">II", 600, 500), struct.pack(">II", 64, 64))
        small = small.replace(struct.pack(">II", 600 << 16, 500 << 16), struct.pack(">II", 64 << 16, 64 << 16))
        with pytest.raises(DataError, match="as large as the image, found 600×500 in one that says 64×64"):
            decode_image(small, "a")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow is without AVIF")
@pytest.mark.parametrize("box", [b"iloc", b"stco"])
def test_an_avif_of_many_places_is_refused(box):
    data = saved(Image.new("L", (8, 8)), "AVIF", speed=10) + (struct.pack(">L", 12) + box + bytes(4)) * 50_000
    with little(), pytest.raises(DataError, match="found more than 16 boxes that say where they lie"):
        decode_image(data, "a")


def test_a_bmp_of_16_bits_a_pixel_is_one_of_bytes():
    sizes = struct.pack("<IiiHHIIiiIIIII", 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0, 0xF800, 0x07E0, 0x001F)
    data = b"BM" + struct.pack("<IHHI", 70, 0, 0, 66) + sizes[:52] + struct.pack("<HH", 0xF800, 0x001F)
    assert decode_image(data, "a").tolist() == [[[255, 0, 0], [0, 0, 255]]]


def _big_endian(form, kind, compressed):
    """A TIFF of one row of four values of 4 bytes, big-endian."""
    values = np.arange(4).astype(f">{kind}").tobytes()
    pixels = zlib.compress(values) if compressed else values
    bits = 8 * len(values) // 4
    tags = ((256, 4), (257, 1), (258, bits), (259, 8 if compressed else 1), (262, 1), (273, 8), (277, 1), (278, 1))
    tags += ((279, len(pixels)), (339, form))
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
    body = pixels + bytes(len(pixels) % 2)
    return b"MM\0*" + struct.pack(">I", 8 + len(body)) + body + struct.pack(">H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(("form", "kind"), [(2, "i2"), (2, "i4"), (3, "f4")])
def test_a_tiff_that_pillow_reads_in_the_wrong_order_of_bytes_is_refused(form, kind):
    own = Decoding(channels=1, values=None)
    assert decode_image(_big_endian(form, kind, compressed=False), "a", own).ravel().tolist() == [0, 1, 2, 3]
    data = _big_endian(form, kind, compressed=True)
    with pytest.raises(DataError, match=f"a compressed one of (int|float){8 * int(kind[1])} that is big-endian"):
        decode_image(data, "a", own)
    with pytest.raises(DataError, match="that is big-endian"):
        decode_mask_with_tag(data, "a")


def test_a_tiff_of_signed_bytes_is_refused():
    with pytest.raises(DataError, match="found one of int8, which is read as uint8"):
        decode_image(_big_endian(2, "i1", compressed=False), "a")
