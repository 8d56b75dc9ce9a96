"""Sources of images in files, one folder a class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from graphc.data.annotated import Entry, Reading, examples_of, in_memory
from graphc.data.archives import open_archive
from graphc.data.class_folders import Rules, classes_of, without_classes
from graphc.data.examples import LABEL, Examples
from graphc.data.folder import find_images
from graphc.data.sides import PIXEL_LIMIT, Size
from graphc.data.sources.base import Source
from graphc.data.stored import Folder
from graphc.data.value_range import BlackToWhite, ImageValues, black_to_white, file_values
from graphc.data.wanted import ANYTHING, Wanted
from graphc.files import shown
from graphc.settings import WHOLE


class ImageFiles(Source):
    """Images in files."""

    path: str
    """The folder, list or archive."""
    size: Size
    """[height, width] that every image gets, as `data.resize` says, unless augmentation cuts it to that size."""
    channels: Annotated[Literal[1, 3, 4], WHOLE] = 3
    """1: gray, 3: RGB, 4: RGB and alpha."""
    max_pixels: int = Field(default=PIXEL_LIMIT, gt=0)
    """An image of more is refused before it is read."""
    bad_files: Literal["error", "skip"] = "error"
    """What happens to a file that is no image, or a damaged one; skip: all are read once, the bad ones counted."""
    dtype: Literal["uint8", "int8", "uint16", "int16", "int32", "float32"] | None = None
    """Type that images are brought to, each from its own range; default: uint8, and files with more than 8 bits a value
    are refused. uint8 reduces these; uint16 and float32 keep their values."""
    value_range: BlackToWhite = None
    """[black, white] in files with more than 8 bits a value, such as [0, 4095]; default: the range of their type, 0 to
    1 of floats."""

    def reading(self, wanted: Wanted, classes: tuple[str, ...] = (), boxes: int | None = None) -> Reading:
        values, skip = self.file_values, self.bad_files == "skip"
        how = Reading(self.size, self.channels, self.max_pixels, skip, boxes, classes, resizing=wanted.resizing)
        return replace(how, mask_fill=wanted.mask_fill, values=values, value_range=values.said_range)

    @property
    def file_values(self) -> ImageValues:
        """Type and range that images are brought to."""
        return file_values(self.dtype, black_to_white(self.value_range))


class ImageFolder(ImageFiles):
    """A folder with one folder a class, its name the class's."""

    kind: ClassVar[str] = "image_folder"

    keep: Literal["memory", "files"] = "memory"
    """Read everything in the beginning, or each image when it is needed; the batches are the same. Images that are
    augmented are held in their own size, as many as `--max-memory` has room for."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        root = base / self.path
        found = find_images(root, self.bad_files == "skip", wanted.classes.get(LABEL, ()), self.path)
        names = [path.relative_to(root).as_posix() for path in found.paths]
        entries = [Entry(name, label) for name, label in zip(names, found.labels, strict=True)]
        examples = examples_of(entries, Folder(root), self.reading(wanted, found.classes), shown(root))
        examples = replace(examples, skipped=found.links + examples.skipped, notes=found.notes)
        return in_memory(examples, limit, wanted.whole) if self.keep == "memory" else examples


class Archive(ImageFiles):
    """Images in a zip, or in a tar that is not compressed, read in place; one folder a class."""

    kind: ClassVar[str] = "archive"

    inside: str = ""
    """The folder of the archive that holds the classes' folders."""
    labeled: bool = True
    """Whether folders are classes; else all images are taken, without labels."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        archive = open_archive(base / self.path)
        start = f"{self.inside.strip('/')}/" if self.inside.strip("/") else ""
        where, skip = shown(base / self.path), self.bad_files == "skip"
        tree, left = archive.tree(start), archive.left
        if self.labeled:
            known = wanted.classes.get(LABEL, ())
            found = classes_of(tree, Rules(where, lambda each: f"`inside: {start}{shown(each)}`", known, skip), left)
        else:
            found = without_classes(tree, left)
        entries = [Entry(start + path, label) for path, label in zip(found.paths, found.labels, strict=True)]
        if not skip:
            archive.check(entry.name for entry in entries)
        return replace(examples_of(entries, archive, self.reading(wanted, found.names), where), notes=found.notes)
