"""Folders of images: one folder a class, its name the class's, classes in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from graphc.data.class_folders import Rules, Tree, classes_of
from graphc.data.endings import is_hidden, is_image
from graphc.data.left_out import LeftOut, Why
from graphc.errors import DataError, Place
from graphc.files import machine_error, shown, why_missing
from graphc.system import is_link


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a folder of classes: paths and the class of each."""

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: tuple[int | None, ...]
    links: tuple[str, ...] = ()
    """What was said of links to images and folders."""
    notes: tuple[str, ...] = ()
    """What else was left out, counted, and which folder was gone through."""


def find_images(root: Path, skip: bool = False, known: Sequence[str] = (), written: str | None = None) -> Found:
    """Every image below each class folder, sorted by name.

    `skip`: a link, and a class without an image that can be read, are left out and counted, not an error; `known`: the
    training set's classes; `written`: the folder as the recipe names it.
    """
    links: list[str] = []
    left = LeftOut()
    tree = _tree(root, links, skip, left)
    start = PurePosixPath(str(root) if written is None else written)
    rules = Rules(shown(root), lambda folder: f"`path: {shown(str(start / folder))}`", known, skip)
    found = classes_of(tree, rules, left)
    paths = tuple(root / path for path in found.paths)
    return Found(found.names, paths, found.labels, tuple(links), found.notes)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except ValueError:
        raise DataError("G403", f"the path {str(folder)!r} holds a NUL character") from None
    except (FileNotFoundError, NotADirectoryError):
        notes = [*_instead(folder), *why_missing(folder)]
        raise DataError("G403", f"there is no folder {shown(folder)}", Place(shown(folder)), notes) from None
    except OSError as error:
        raise machine_error("read", folder, error) from None


def _instead(path: Path) -> list[str]:
    return ["`archive` reads a zip or a tar"] if path.suffix.lower() in (".zip", ".tar") and path.is_file() else []


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


def _tree(root: Path, links: list[str], skip_links: bool, left: LeftOut) -> Tree:
    """Files and folders below a folder; what is hidden is named, and not looked into."""
    tree = Tree()
    open_folders = [""]
    while open_folders:
        start = open_folders.pop()
        for entry in _entries(root / start):
            path = start + entry.name
            if is_hidden(entry.name):
                (tree.folders if _is_folder(entry) else tree.files).append(path)
                continue
            is_folder = _is_folder(entry)
            if (is_folder or is_image(entry.name)) and _is_link(entry, links, skip_links):
                continue
            if is_folder:
                tree.folders.append(path)
                open_folders.append(f"{path}/")
            elif entry.is_file() or not is_image(entry.name):
                tree.files.append(path)
            else:
                left.add(Why.LINK, path)
    return tree
