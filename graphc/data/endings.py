"""What files are by their names: images that are read here, images that are not, and what systems leave behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import PurePosixPath

import PIL
from PIL import features

FORMATS: Mapping[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
}
"""Pillow's formats that are read, and the endings of their files; a file whose ending lies is decoded all the same."""
MODULES = {"WEBP": "PIL._webp", "AVIF": "PIL._avif"}
"""Parts of Pillow that not every one has, by the format that they decode."""
NOT_READ = (
    *(".heic", ".heif", ".hif", ".jxl", ".svg", ".psd", ".exr", ".hdr", ".tga", ".ico", ".eps", ".ai", ".pdf"),
    *(".dcm", ".nii", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"),
)
"""Endings of images that are not read."""
SYSTEM_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
    | {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"}
)
"""Files and folders of systems, in small letters."""


@cache
def formats() -> tuple[str, ...]:
    """Pillow's formats that can be decoded here."""
    return tuple(name for name in FORMATS if _is_there(name))


@cache
def image_endings() -> tuple[str, ...]:
    """Endings of images that can be decoded here."""
    return tuple(ending for name in formats() for ending in FORMATS[name])


def _is_there(name: str) -> bool:
    if name == "JPEG2000":
        return bool(features.check_codec("jpg_2000"))
    return name not in MODULES or find_spec(MODULES[name]) is not None


def ending_of(name: str) -> str:
    """The last part of a name from its point on, in small letters."""
    return PurePosixPath(name.rpartition("/")[2]).suffix.lower()


def is_image(name: str) -> bool:
    """Whether a file is by its ending an image that is read here."""
    return name.lower().endswith(image_endings())


def is_other_image(name: str) -> bool:
    """Whether a file is by its ending an image that is not read here."""
    return not is_image(name) and name.lower().endswith((*NOT_READ, *(e for each in FORMATS.values() for e in each)))


def why_not_read(endings: Iterable[str]) -> str:
    """What to do about images with such endings."""
    absent = sorted({name for name in FORMATS for ending in endings if ending in FORMATS[name]})
    if absent:
        return f"this Pillow ({PIL.__version__}) is without {' and '.join(absent)}: a newer one of PyPI has it"
    return "convert them to PNG or JPEG"


def is_hidden(part: str) -> bool:
    """Whether a file or folder is hidden, or one that a system makes for itself."""
    return part.startswith(".") or part.lower() in SYSTEM_NAMES
