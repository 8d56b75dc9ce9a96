"""Folders of images: one folder a class, its name the class's, classes in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphc.data.classes import ordered
from graphc.data.examples import IMAGE, LABEL, Examples, check_memory
from graphc.data.images import SUFFIXES, read_image
from graphc.errors import DataError, Place
from graphc.files import machine_error, shown, why_missing
from graphc.system import is_link

IGNORED = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a folder of classes: paths and the class of each."""

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    links: tuple[str, ...] = ()
    """What was said of links to images and folders."""


def find_images(root: Path, skip_links: bool = False) -> Found:
    """Every image below each class folder, sorted by name; a link is an error, or left out and counted."""
    links: list[str] = []
    folders = [e for e in _entries(root) if not e.name.startswith(".") and _is_folder(e)]
    names = ordered(e.name for e in folders if not _is_link(e, links, skip_links))
    if not names:
        raise DataError("G403", "expected one folder a class, found no folders", Place(shown(root)))
    _refuse_look_alikes(names, root)
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = _images_below(root / name, links, skip_links)
        if not found:
            raise DataError("G403", f"the class folder {shown(name)!r} has no images", Place(shown(root / name)))
        paths += found
        labels += [label] * len(found)
    return Found(tuple(shown(name) for name in names), tuple(paths), tuple(labels), tuple(links))


def read_folder(root: Path, size: tuple[int, int], channels: int, limit: int, pixels: int) -> Examples:
    """All images of a folder of classes, resized, in memory."""
    found = find_images(root)
    shape = (len(found.paths), *size, channels)
    check_memory(shape, 1, limit, shown(root))
    images = np.empty(shape, np.uint8)
    for row, path in enumerate(found.paths):
        images[row] = read_image(path, channels, size, pixels)
    labels = np.array(found.labels, np.int64)
    return Examples({IMAGE: images}, {LABEL: labels}, found.classes, shown(root))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except ValueError:
        raise DataError("G403", f"the path {str(folder)!r} holds a NUL character") from None
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            "G403", f"there is no folder {shown(folder)}", Place(shown(folder)), why_missing(folder)
        ) from None
    except OSError as error:
        raise machine_error("read", folder, error) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_link(entry: os.DirEntry[str], links: list[str], skip: bool) -> bool:
    """Links can lead anywhere, or in circles: they are not followed, and nobody shall miss what is behind them."""
    if not is_link(entry):
        return False
    message = "expected a file or folder, found a symbolic link, which is not followed"
    if not skip:
        raise DataError("G403", message, Place(shown(entry.path)), notes=["`bad_files: skip` leaves links out"])
    links.append(f"{shown(entry.path)}: {message}")
    return True


def _images_below(folder: Path, links: list[str], skip_links: bool) -> list[Path]:
    """Image files of a folder and its folders; hidden ones and a desktop's own files are passed over."""
    found: list[Path] = []
    open_folders = [folder]
    while open_folders:
        for entry in _entries(open_folders.pop()):
            if entry.name.startswith(".") or entry.name.lower() in IGNORED:
                continue
            is_folder, is_image = _is_folder(entry), entry.name.lower().endswith(SUFFIXES)
            if not (is_folder or is_image) or _is_link(entry, links, skip_links):
                continue
            if is_folder:
                open_folders.append(Path(entry.path))
            elif entry.is_file():
                found.append(Path(entry.path))
    return sorted(found, key=os.fsencode)


def _refuse_look_alikes(names: Sequence[str], root: Path) -> None:
    """Two classes that differ only in case would be one on another machine."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.casefold(), name)
        if twin != name:
            found = f"{shown(twin)!r} and {shown(name)!r}"
            raise DataError(
                "G403", f"expected class names that differ in more than case, found {found}", Place(shown(root))
            )
