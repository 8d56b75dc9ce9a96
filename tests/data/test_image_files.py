"""Images and masks that files of strangers hold: refused where they cost too much, or Pillow reads other values."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from graphc.data.complete import PASSES
from graphc.data.images import Decoding, decode_image, decode_mask_with_tag
from graphc.data.value_range import ValueRange, file_values
from graphc.errors import DataError
from tests.costs import little

NOISE = np.random.default_rng(0).integers(0, 255, (21, 17, 3), dtype=np.uint8)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def mask_of(data):
    return decode_mask_with_tag(data, "m").pixels.tolist()


# -- PNG --------------------------------------------------------------------------------------------------------


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, kind, rows, before=b"", interlaced=0):
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    parts = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + parts


TEXT = zlib.compress(b"a" * 1_000_000 + "\U0001f600".encode(), 9)
PNG_PARTS = {
    "chunks": chunk(b"prVt") * 100_000,
    "texts": b"".join(chunk(b"tEXt", b"%d\0" % number) for number in range(66_000)),
    "compressed texts": b"".join(chunk(b"iTXt", b"k%d\0\1\0\0\0" % number + TEXT) for number in range(66)),
    "pixels": chunk(b"IDAT") * 100_000,
}


@pytest.mark.parametrize("name", PNG_PARTS)
def test_a_png_of_many_parts_is_refused(name):
    data = png(1, 1, 8, 0, b"\0\7", PNG_PARTS[name])
    with little(), pytest.raises(DataError, match=r"beside the pixels of a PNG|256 bytes on average"):
        decode_image(data, "a")


def test_a_header_that_stands_twice_is_refused():
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
    with pytest.raises(DataError, match="header first, with values that PNG knows"):
        decode_image(png(1, 1, 8, 0, b"\0\7", header), "a")


@pytest.mark.parametrize(("bits", "row", "values"), [(2, b"\0\x1b", [0, 1, 2, 3]), (4, b"\0\x01\x2f", [0, 1, 2, 15])])
def test_masks_of_few_bits_keep_their_values(bits, row, values):
    data = png(4, 1, bits, 0, row)
    assert mask_of(data) == [values]
    scaled = [value * 255 // (2**bits - 1) for value in values]
    assert decode_image(data, "a", Decoding(channels=1)).ravel().tolist() == scaled


@pytest.mark.parametrize(("bits", "kind", "row"), [(4, 0, b"\0\x01"), (16, 0, b"\0" * 5), (16, 2, b"\0" * 13)])
def test_a_transparent_color_that_pillow_compares_with_other_values_is_refused(bits, kind, row):
    data = png(2, 1, bits, kind, row, chunk(b"tRNS", bytes(6 if kind else 2)))
    with pytest.raises(DataError, match=f"found a transparent color in a PNG of {bits} bits"):
        decode_image(data, "a", Decoding(4, values=file_values("uint8", None)))
    assert decode_image(data, "a", Decoding(3, values=file_values("uint8", None))).shape == (1, 2, 3)


@pytest.mark.parametrize("kind", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_pixels_that_end_early_are_refused(kind):
    image = Image.fromarray(NOISE).convert("L" if kind == "I;16" else kind).convert(kind)
    data = saved(image, "PNG")
    decode_image(data, "a", Decoding(values=None) if kind == "I;16" else Decoding())
    at = data.index(b"IDAT")
    size = int.from_bytes(data[at - 4 : at], "big")
    rows = zlib.decompress(data[at + 4 : at + 4 + size])
    few = data[: at - 4] + chunk(b"IDAT", zlib.compress(rows[: len(rows) // 21 * 20])) + chunk(b"IEND")
    with pytest.raises(DataError, match="pixels end before the image does"):
        decode_image(few, "a", Decoding(values=None) if kind == "I;16" else Decoding())


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 1), (5, 1), (2, 3), (8, 8), (17, 21)])
def test_interlaced_pixels_are_all_there(size):
    width, height = size
    values = NOISE[:height, :width, 0]
    rows = [b"\0" + row.tobytes() for x, y, dx, dy in PASSES for row in values[y::dy, x::dx] if row.size]
    found = decode_image(png(width, height, 8, 0, b"".join(rows), interlaced=1), "a", Decoding(channels=1))
    np.testing.assert_array_equal(found[:, :, 0], values)
    with pytest.raises(DataError, match=r"pixels end before|truncated"):
        decode_image(png(width, height, 8, 0, b"".join(rows[:-1]), interlaced=1), "a")


def test_the_mark_itself_is_an_image():
    for value in (91, 164):
        assert set(decode_image(saved(Image.new("L", (3, 3), value), "PNG"), "a").ravel().tolist()) == {value}
    for value in (0, 1):
        assert mask_of(saved(Image.new("1", (3, 1), value), "PNG")) == [[value] * 3]


def test_a_first_frame_that_is_smaller_than_the_image_is_refused():
    frame = chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", struct.pack(">5I2H2B", 0, 1, 1, 0, 0, 1, 1, 0, 0))
    with pytest.raises(DataError, match="first frame is as large as the image"):
        decode_image(png(2, 2, 8, 0, b"\0\7", frame), "a")


AS_PILLOW_DOES = {
    "transparent color": ("GIF", Image.fromarray(NOISE[:, :, 0]), {"transparency": 3}),
    "transparent black": ("GIF", Image.fromarray(NOISE[:, :, 0] // 200), {"transparency": 0, "interlace": 0}),
    "palette of frames": ("GIF", Image.fromarray(NOISE).convert("P"), {"interlace": 1}),
    "transparent index": ("PNG", Image.fromarray(NOISE).convert("P"), {"transparency": 7}),
    "opacities": ("PNG", Image.fromarray(NOISE).convert("P"), {"transparency": bytes(range(256))}),
    "few colors": ("PNG", Image.fromarray(NOISE).convert("P", colors=4), {"bits": 2}),
    "transparent gray": ("PNG", Image.fromarray(NOISE[:, :, 0]), {"transparency": 9}),
}


@pytest.mark.parametrize("name", AS_PILLOW_DOES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_are_those_that_pillow_reads(name, channels):
    kind, image, options = AS_PILLOW_DOES[name]
    data = saved(image, kind, **options)
    with Image.open(io.BytesIO(data)) as opened:
        plain = opened.convert("RGBA") if opened.mode == "P" or "transparency" in opened.info else opened.copy()
    expected = np.asarray(plain.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    np.testing.assert_array_equal(decode_image(data, "a", Decoding(channels)).squeeze(), expected)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_files_of_several_images_are_refused(kind):
    frames = {"save_all": True, "append_images": [Image.new("RGB", (17, 21))]}
    data = saved(Image.fromarray(NOISE), kind, **frames)
    with pytest.raises(
        DataError, match=r"expected (one image|a TIFF of one page), found .*: save the one that is meant"
    ):
        decode_image(data, "a")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "BMP", "TIFF"])
def test_masks_in_all_formats(kind):
    index = Image.fromarray(NOISE[:, :, 0] // 26, "P")
    index.putpalette([each for color in range(10) for each in (25 * color, 9, 9)])
    assert mask_of(saved(index, kind)) == (NOISE[:, :, 0] // 26).tolist()


@pytest.mark.parametrize("transparent", [False, True])
def test_a_gif_whose_frame_is_smaller_than_its_canvas_is_read(transparent):
    image = Image.fromarray(NOISE[:4, :4, 0])
    data = bytearray(saved(image, "GIF", **({"transparency": 3} if transparent else {})))
    data[6:10] = struct.pack("<HH", 6, 7)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(opened.convert("RGBA").convert("RGB"))
    assert expected.shape == (7, 6, 3)
    np.testing.assert_array_equal(decode_image(bytes(data), "a"), expected)


# -- JPEG -------------------------------------------------------------------------------------------------------


def test_a_marker_without_length_hides_no_scans():
    data = saved(Image.new("L", (64, 64)), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    with pytest.raises(DataError, match="expected the usual parts of a JPEG, found FF01"):
        decode_image(data[:start] + b"\xff\x01" + data[start:-2] * 1500 + b"\xff\xd9", "a")


def test_many_signs_that_begin_a_marker_take_no_time():
    data = saved(Image.new("L", (8, 8)), "JPEG")
    with little():
        assert decode_image(data[:-2] + b"\xff" * 1_200_000 + b"\0\xff\xd9", "a").shape == (8, 8, 3)
        assert decode_image(data[:2] + b"\xff" * 1_000 + data[2:], "a").shape == (8, 8, 3)


@pytest.mark.parametrize("marker", [b"\xff\xe1", b"\xff\xfe"])
def test_a_jpeg_of_many_segments_is_refused(marker):
    data = saved(Image.new("L", (8, 8)), "JPEG")
    with little(), pytest.raises(DataError, match="at most 5,000 parts, 16 of EXIF"):
        decode_image(data[:2] + (marker + b"\0\x0aExif\0\0ab") * 64_500 + data[2:], "a")


def test_four_inks_without_a_word_on_white_are_refused():
    data = saved(Image.fromarray(NOISE).convert("CMYK"), "JPEG")
    assert decode_image(data, "a").shape == (21, 17, 3)
    at = data.index(b"\xff\xee")
    with pytest.raises(DataError, match="nothing says whether 0 is white"):
        decode_image(data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :], "a")


# -- BMP --------------------------------------------------------------------------------------------------------


def bmp(bits, palette, pixels, size):
    colors = b"".join(bytes([each] * 3 + [0]) for each in palette)
    start = 54 + len(colors)
    sizes = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, 0, len(pixels), 0, 0, len(palette), 0)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + sizes + colors + pixels


@pytest.mark.parametrize(
    ("bits", "palette", "pixels", "size"),
    [
        (4, range(16), bytes([0x12, 0x34, 0, 0, 0x56, 0x78, 0, 0]), (4, 2)),
        (4, (0, 255), bytes([0x10, 0x01, 0, 0]), (4, 1)),
        (8, (0, 255), bytes([0, 1, 1, 0, 1, 0, 0, 1]), (8, 1)),
    ],
)
def test_gray_bmps_of_other_bits_than_pillow_reads_are_refused(bits, palette, pixels, size):
    data = bmp(bits, palette, pixels, size)
    for read in (decode_image, decode_mask_with_tag):
        with pytest.raises(DataError, match=rf"expected a gray BMP of \d bits a pixel, found one of {bits}"):
            read(data, "a")


def test_pixels_beyond_a_palette_are_refused():
    """Pillow takes black for them; of a mask only their numbers are read."""
    colors = b"PLTE" + bytes(6)
    parts = struct.pack(">I", 6) + colors + struct.pack(">I", zlib.crc32(colors))
    for data, count in (
        (png(2, 1, 8, 3, b"\0\1\5", parts), 2),
        (png(2, 1, 8, 3, b"\0\1\5"), 0),
        (bmp(8, (3, 4), bytes([1, 5, 0, 0]), (2, 1)), 2),
    ):
        assert mask_of(data) == [[1, 5]]
        with pytest.raises(DataError, match=f"expected pixels of a palette's {count} colors, found one of color 5"):
            decode_image(data, "a")


def test_bmps_of_few_bits_are_read():
    assert mask_of(bmp(4, range(0, 256, 17), bytes([0x12, 0x34, 0, 0]), (4, 1))) == [[1, 2, 3, 4]]
    assert mask_of(bmp(1, (0, 255), bytes([0b10110000, 0, 0, 0]), (4, 1))) == [[1, 0, 1, 1]]


# -- TIFF -------------------------------------------------------------------------------------------------------

GRAY = {256: (4, 4), 257: (4, 1), 258: (3, 8), 259: (3, 1), 262: (3, 1), 277: (3, 1), 278: (4, 1)}


def tiff(pixels, changes=None, order="<"):
    """A TIFF of gray bytes 4 × 1, behind its head `pixels`; `changes`: (type, numbers…) by tag, None: without it."""
    tags = {**GRAY, 273: (4, 8), 279: (4, len(pixels)), **(changes or {})}
    tags = {tag: values for tag, values in sorted(tags.items()) if values is not None}
    body, entries = bytes(pixels), b""
    for tag, (kind, *values) in tags.items():
        form = {1: "B", 3: "H", 4: "L", 5: "L", 11: "f", 13: "L", 99: "B"}[kind]
        packed = struct.pack(f"{order}{len(values)}{form}", *values)
        count = len(values) // (2 if kind == 5 else 1)
        if len(packed) > 4:
            start = 8 + len(body)
            body += packed
            packed = struct.pack(order + "L", start)
        entries += struct.pack(order + "HHL", tag, kind, count) + packed.ljust(4, b"\0")
    head = b"II*\0" if order == "<" else b"MM\0*"
    return (
        head + struct.pack(order + "L", 8 + len(body)) + body + struct.pack(order + "H", len(tags)) + entries + bytes(4)
    )


ROWS = {257: (4, 4), 278: (4, 1)}
SIXTEEN = bytes(range(16))
REFUSED_TIFFS = {
    "strips": (b"\1" * 16, {257: (4, 40_000), 273: (4, *[8] * 40_000), 279: None}, "at most 32,768 strips or tiles"),
    "one strip": (SIXTEEN, {**ROWS, 279: (4, 4)}, "expected a TIFF of 4 strips or tiles, found 1"),
    "no rows": (SIXTEEN, {278: (4, 0)}, "have pixels"),
    "shared": (
        b"\0" * 500,
        {257: (4, 400), 259: (3, 32773), 273: (4, *[8] * 400), 279: (4, *[500] * 400)},
        "beside each other in the file",
    ),
    "elsewhere": (SIXTEEN, {273: (4, 0)}, "expected the strips or tiles of a TIFF in the file"),
    "beyond": (SIXTEEN, {273: (4, 10_000)}, "expected the strips or tiles of a TIFF in the file"),
    "tiles": (
        SIXTEEN,
        {273: None, 278: None, 279: None, 322: (4, 2**15), 323: (4, 2**15), 324: (4, 8), 325: (4, 16)},
        "expected tiles as large as their image",
    ),
    "compression": (SIXTEEN, {259: (3, 32809)}, "found number 32809"),
    "tags": (SIXTEEN, {40_000 + number: (3, 1) for number in range(2000)}, "at most 1,000 tags"),
    "ratios": (SIXTEEN, {282: (5, *[1] * 100_000)}, "at most 10,000 ratios"),
    "kind": (SIXTEEN, {279: (99, 4)}, "of a known type"),
    "white": (SIXTEEN, {258: (3, 16), 262: (3, 0)}, "one of 16 bits in which 0 is white"),
    "white float": (SIXTEEN, {258: (3, 32), 262: (3, 0), 339: (3, 3)}, "one of 32 bits in which 0 is white"),
    "brightness": (SIXTEEN, {258: (3, 8, 8, 8), 262: (3, 6), 277: (3, 3)}, "fewer values of color"),
    "planes": (SIXTEEN, {258: (3, 4), 284: (3, 2)}, "planes that are not red, green and blue"),
    "predictor": (SIXTEEN, {259: (3, 32773), 317: (3, 2)}, "a predictor with the compression PackBits"),
    "channels": (SIXTEEN, {277: (3, 3), 258: (3, 8, 8, 8), 338: (3, 0, 0)}, "found 3 channels, where 1 are colors"),
    "planes of others": (
        SIXTEEN,
        {256: (4, 2), 277: (3, 2), 258: (3, 8, 8), 284: (3, 2), 259: (3, 8), 273: (4, 8, 10), 279: (4, 2, 2)},
        "found 2 channels, where 1 are colors",
    ),
    "palette": (SIXTEEN, {262: (3, 3), 320: (3, *[255] * 768)}, "a palette of 8 bits"),
}


@pytest.mark.parametrize("name", REFUSED_TIFFS)
def test_tiffs_that_cost_much_or_are_read_otherwise_are_refused(name):
    pixels, changes, message = REFUSED_TIFFS[name]
    for order in "<>":
        data = tiff(pixels, changes, order)
        with little(), pytest.raises(DataError, match=message):
            decode_image(data, "a")


def test_values_that_share_bytes_are_refused():
    data = bytearray(tiff(b"\1" * 600, {**{tag: (3, *[1] * 200) for tag in range(40_000, 40_010)}}))
    count_at = int.from_bytes(data[4:8], "little") + 2
    for place in range(count_at, len(data) - 4, 12):
        if int.from_bytes(data[place : place + 2], "little") >= 40_000:
            data[place + 4 : place + 12] = struct.pack("<LL", 300, 8)
    with pytest.raises(DataError, match=r"expected the values of a TIFF's tag \d+ in the file"):
        decode_image(bytes(data), "a")


def test_pages_of_a_tiff_are_smaller_copies():
    small, other = {254: (4, 1)}, {254: (4, 0)}
    for first, second, is_read in ((other, small, True), (other, other, False), (small, other, False)):
        data, behind = tiff(b"\1\2\3\4", first), tiff(b"\5\6\7\x08", second)
        data = data[:-4] + struct.pack("<L", len(data)) + behind[12:]
        if is_read:
            assert mask_of(data) == [[1, 2, 3, 4]]
            continue
        with pytest.raises(DataError, match="expected a TIFF of one page, found more"):
            decode_image(data, "a")


@pytest.mark.parametrize("order", "<>")
def test_tiffs_of_few_bits_and_of_strips(order):
    assert mask_of(tiff(b"\x01\x2f", {258: (3, 4)}, order)) == [[0, 1, 2, 15]]
    assert mask_of(tiff(SIXTEEN, {**ROWS, 273: (4, 8, 12, 16, 20), 279: (4, 4, 4, 4, 4)}, order))[3] == [12, 13, 14, 15]
    largest = tiff(b"\xff" * 8 + bytes(8), {258: (3, 32)})
    assert mask_of(largest) == [[2**32 - 1, 2**32 - 1, 0, 0]]
    with pytest.raises(DataError, match="expected a mask in which 0 is black"):
        mask_of(tiff(SIXTEEN, {262: (3, 0)}, order))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_multiplied_alpha_and_lab_are_read(channels):
    gray = tiff(bytes((50, 100, 60, 255)), {256: (4, 2), 258: (3, 8, 8), 277: (3, 2), 338: (3, 1)})
    found = decode_image(gray, "a", Decoding(channels))
    assert found[..., 0].tolist() == [[127, 60]]
    lab = tiff(bytes((255, 0, 0)), {256: (4, 1), 258: (3, 8, 8, 8), 262: (3, 8), 277: (3, 3)})
    assert decode_image(lab, "a", Decoding(channels))[0, 0, 0] > 250


def test_twelve_bits_are_brought_to_others():
    data = tiff(bytes((0x00, 0x00, 0x01, 0x80, 0x0F, 0xFF)), {258: (3, 12)})
    for dtype, white in (("uint8", 255), ("uint16", 65535)):
        found = decode_image(data, "a", Decoding(1, values=file_values(dtype, None))).ravel().tolist()
        assert found == [0, round(white / 4095), round(2048 * white / 4095), white]
    said = decode_image(data, "a", Decoding(1, values=file_values("uint16", ValueRange(0, 4095))))
    assert said.ravel().tolist() == mask_of(data)[0] == [0, 1, 2048, 4095]


def test_floats_that_are_no_numbers_are_refused():
    image = Image.fromarray(np.array([[0.5, np.nan]], np.float32))
    for dtype in ("uint8", "uint16", "float32"):
        with pytest.raises(DataError, match="finite values, found NaN"):
            decode_image(saved(image, "TIFF"), "a", Decoding(1, values=file_values(dtype, ValueRange(0, 1))))


COMPRESSIONS = ("raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "lzma", "zstd")


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_tiffs_that_programs_write_are_read(compression, mode):
    image = Image.fromarray(np.repeat(NOISE, 40, axis=1)).convert("L" if mode == "I;16" else mode).convert(mode)
    found = decode_image(saved(image, "TIFF", compression=compression), "a", Decoding(values=None))
    expected = np.asarray(image.convert("RGB") if mode in ("1", "P", "CMYK", "RGBA") else image)
    np.testing.assert_array_equal(found, expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.skipif(sys.platform == "win32", reason="libtiff is a part of Pillow there")
def test_libtiff_writes_nothing_of_its_own(capfd):
    with pytest.raises(DataError, match="decoder error"):
        decode_image(tiff(b"\x03\0", {259: (3, 32773)}), "a")
    rows = NOISE.tobytes()[:800]  # no codes of a fax
    with pytest.raises(DataError, match="libtiff calls some of its rows an error"):
        decode_image(tiff(rows, {256: (4, 64), 257: (4, 90), 258: (3, 1), 259: (3, 3), 278: (4, 90)}), "a")
    with pytest.raises(DataError, match="expected a whole TIFF of values that are read here"):
        decode_image(tiff(SIXTEEN, {258: (3, 7)}), "a")
    assert capfd.readouterr().err == ""
