"""Images and folders of them: modes, sizes, limits, links, names."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from graphc.data.folder import find_images
from graphc.data.images import Decoding, read_image
from graphc.data.sources import ImageFolder
from graphc.errors import DataError

LIMIT = 10_000_000


def _save(path, color=(255, 0, 0), size=(6, 4), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


@pytest.fixture
def classes(tmp_path):
    for name, color in (("cat", (255, 0, 0)), ("dog", (0, 255, 0))):
        for index in range(2):
            _save(tmp_path / "set" / name / f"{index}.png", color)
    return tmp_path / "set"


def test_pixels_are_rows_columns_channels(tmp_path):
    image = read_image(_save(tmp_path / "a.png"))
    assert image.shape == (4, 6, 3)
    assert (image == [255, 0, 0]).all()


@pytest.mark.parametrize(
    ("mode", "color", "suffix"),
    [
        ("L", 100, "png"),
        ("P", (3, 3, 3), "png"),
        ("CMYK", (0, 0, 0, 100), "jpg"),
        ("RGBA", (9, 9, 9, 9), "png"),
        ("1", 1, "png"),
    ],
)
def test_any_mode_becomes_rgb(tmp_path, mode, color, suffix):
    path = _save(tmp_path / f"a.{suffix}", color, mode=mode)
    assert read_image(path).shape == (4, 6, 3)
    assert read_image(path, Decoding(channels=1)).shape == (4, 6, 1)


def test_exif_turns_the_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(_save(tmp_path / "a.jpg", exif=exif)).shape == (6, 4, 3)


def test_resizing_is_to_height_and_width(tmp_path):
    assert read_image(_save(tmp_path / "a.png"), Decoding(size=(8, 2))).shape == (8, 2, 3)


def test_formats_not_on_the_list_are_refused(tmp_path):
    _save(tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match="expected an image in one of JPEG, PNG"):
        read_image(tmp_path / "a.png")


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_bomb_is_refused_by_its_header(tmp_path):
    header = struct.pack(">IIBBBBB", 13370, 13370, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    bomb = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(bomb)
    with pytest.raises(DataError, match=r"13370×13370 = 178,756,900 pixels|decompression bomb"):
        read_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="24 pixels, the limit is 20"):
        read_image(_save(tmp_path / "b.png"), Decoding(pixels=20))


@pytest.mark.parametrize("size", [(2**20 + 1, 1), (1, 2**20 + 1)])
def test_an_image_that_is_a_line_is_refused_by_its_header(tmp_path, size):
    """25,000,000 rows of one pixel took 800 MB: decoders keep a pointer for each."""
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (width // 8 + 2)))
    line = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(line)
    with pytest.raises(DataError, match=r"expected at most 1,048,576 in a row or column"):
        read_image(tmp_path / "a.png")


def test_whatever_a_decoder_raises_is_an_error_of_the_file(tmp_path, monkeypatch):
    """A damaged TIFF can make Pillow raise a TypeError."""
    path = _save(tmp_path / "a.tif")

    def fails(self):
        raise TypeError("'IFDRational' object cannot be interpreted as an integer")

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", fails)
    with pytest.raises(DataError, match="the image is damaged or cut off: 'IFDRational'"):
        read_image(path)


@pytest.mark.parametrize("keep", [0, 2, 30, 200])
def test_cut_off_images_are_named(tmp_path, keep):
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:keep])
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / "a.jpg")
    assert caught.value.place.path.endswith("a.jpg")


def test_a_folder_a_class(classes):
    found = ImageFolder(path="set", size=(4, 6)).load(classes.parent, LIMIT)
    assert found.classes == ("cat", "dog")
    assert found.targets["label"].tolist() == [0, 0, 1, 1]
    assert found.inputs["image"][3].tolist() == [[[0, 255, 0]] * 6] * 4


def test_hidden_and_desktop_files_are_passed_over(classes):
    (classes / ".git").mkdir()
    for name in ("Thumbs.db", ".hidden.png", "notes.txt"):
        (classes / "cat" / name).write_bytes(b"x")
    assert len(find_images(classes).paths) == 4


@pytest.mark.parametrize("name", ["cat/loop", "cat/circle.png", "cat/link.png", "bird"])
def test_links_are_not_followed(classes, name):
    targets = {"cat/loop": classes, "cat/circle.png": "circle.png", "cat/link.png": classes / "dog" / "0.png"}
    (classes / name).symlink_to(targets.get(name, classes / "dog"))
    with pytest.raises(DataError, match=rf"{name}: error\[G403\]: .* symbolic link"):
        find_images(classes)
    found = find_images(classes, skip=True)
    assert len(found.paths) == 4
    assert len(found.links) == 1


def test_links_to_other_things_are_no_images(classes):
    (classes / "cat" / "notes").symlink_to("/etc/hostname")
    (classes / "readme").symlink_to("/etc/hostname")
    assert len(find_images(classes).paths) == 4


@pytest.mark.parametrize("name", ["a b", "it's", "new\nline", "😀", "n" * 250, "e\u0301"])
def test_any_name_works(classes, name):
    _save(classes / name / "x.png")
    assert len(find_images(classes).classes) == 3


def test_a_name_that_is_not_utf8_works(classes):
    os.mkdir(os.fsencode(classes) + b"/\xff\xfe")
    _save(classes / os.fsdecode(b"\xff\xfe") / "x.png")
    "".join(find_images(classes).classes).encode()


def test_folders_that_cannot_be_classes_are_named(classes, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        find_images(tmp_path / "none")
    with pytest.raises(DataError, match="expected one folder a class, found no folders"):
        find_images(classes / "cat")
    _save(classes / "Cat" / "x.png")
    with pytest.raises(DataError, match="found 'Cat' and 'cat'"):
        find_images(classes)


def test_memory_is_checked_before_it_is_used(classes):
    with pytest.raises(DataError, match="300,000,000 bytes, the limit is 10,000,000"):
        ImageFolder(path="set", size=(5000, 5000)).load(classes.parent, LIMIT)
