"""Files that a command line names: single ones, and folders with everything below them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphc.data.endings import ending_of, image_endings, is_hidden, is_image, is_other_image, why_not_read
from graphc.data.placement import Placement
from graphc.errors import DataError, Place, SpecError
from graphc.files import machine_error, shown

ARRAYS = ".npz"


@dataclass(frozen=True, slots=True)
class Given:
    """One file."""

    path: Path
    name: str
    """As messages and results call it."""
    below: Path
    """Its path from the folder that was named, where one was; else its name alone."""
    placement: Placement | None = None
    """Where the image lies in what a network reads of it, once it is read."""

    @property
    def is_image(self) -> bool:
        return is_image(self.path.name)


def given_files(paths: Sequence[str]) -> tuple[list[Given], list[str]]:
    """The images and .npz files that the paths name, and what was said of each file in a folder that is neither."""
    found: list[Given] = []
    left_out: list[str] = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            found += _below(path, left_out)
        elif text.lower().endswith((*image_endings(), ARRAYS)):
            found.append(Given(path, text, Path(path.name)))
        else:
            notes = [why_not_read([ending_of(text)])] if is_other_image(text) else []
            raise SpecError("G612", f"expected images, .npz files or folders, found {shown(text)}", notes=notes)
    return found, left_out


def _below(root: Path, left_out: list[str]) -> list[Given]:
    """The images in a folder and its folders, in the order of their names; links are not followed."""
    found: list[Given] = []

    def failed(error: OSError) -> None:
        raise machine_error("read", error.filename or root, error) from None

    for folder, folders, names in os.walk(root, onerror=failed):
        folders[:] = sorted((name for name in folders if not is_hidden(name)), key=os.fsencode)
        for name in sorted(names, key=os.fsencode):
            path = Path(folder) / name
            if is_hidden(name):
                continue
            if path.is_symlink():
                left_out.append(f"{shown(path)}: a link, which is not followed")
            elif is_image(name):
                found.append(Given(path, shown(path), path.relative_to(root)))
            elif is_other_image(name):
                left_out.append(f"{shown(path)}: an image that is not read here ({why_not_read([ending_of(name)])})")
            else:
                left_out.append(f"{shown(path)}: not an image by its name")
    if not found:
        raise DataError("G403", "expected images in the folder, found none", Place(shown(root)))
    return found
