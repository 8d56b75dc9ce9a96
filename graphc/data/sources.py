"""Where examples come from, as a recipe writes it: `{idx: {images: …, labels: …}}`."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, GetJsonSchemaHandler

from graphc.data.annotated import Entry, Reading, examples_of, in_memory
from graphc.data.archives import open_archive
from graphc.data.cifar import CIFAR10_CLASSES, read_cifar
from graphc.data.class_folders import Rules, classes_of, without_classes
from graphc.data.coco import GROUND, CocoRules, read_coco
from graphc.data.digits import read_digits
from graphc.data.drawn import Exif
from graphc.data.examples import BOX_LABEL, IMAGE, LABEL, Examples, check_memory
from graphc.data.folder import find_images
from graphc.data.idx import read_idx
from graphc.data.images import PIXEL_LIMIT
from graphc.data.labels import Column, Typed, typed
from graphc.data.listed import IMAGE as IMAGE_COLUMN
from graphc.data.listed import Roles
from graphc.data.lists import Reader, read_examples
from graphc.data.masks import MaskValues, mapped
from graphc.data.npz import read_npz
from graphc.data.sample import MASK
from graphc.data.shapes import CLASSES, make_shapes
from graphc.data.stored import Folder
from graphc.data.tables import read_table
from graphc.data.value_range import BlackToWhite, ImageValues, black_to_white, file_values
from graphc.data.wanted import ANYTHING, Wanted
from graphc.errors import DataError, Place
from graphc.files import shown
from graphc.settings import LIST, ONE_OR_LIST, JsonSchema, Kind, Short
from graphc.types import Array

Side = Annotated[int, Field(gt=0, le=100_000)]


def _composed(name: Any) -> Any:
    return unicodedata.normalize("NFC", name) if isinstance(name, str) else name


LARGEST_INDEX = np.iinfo(np.int64).max


class _ClassNames(Short):
    """Whole numbers are names too; a name comes once."""

    def expand(self, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return value
        names = tuple(str(name) if type(name) is int else _composed(name) for name in value)
        if len(set(map(str, names))) < len(names):
            raise ValueError("expected each class once")
        return names

    def json_schema(self, long: JsonSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {**long, "items": {"type": ["string", "integer"]}, "uniqueItems": True}


ClassNames = Annotated[tuple[str, ...], _ClassNames()]


class Source(Kind):
    """A kind of data set."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        """All examples, at most `limit` bytes of them; relative paths start at `base`; `wanted`: what the losses want
        of the targets."""
        raise NotImplementedError(self.kind)


class Npz(Source):
    """Arrays of an .npz file."""

    kind: ClassVar[str] = "npz"

    path: str
    """The file."""
    inputs: str | dict[str, str] = "x"
    """Name of the array of inputs; or of one array for each input of the network."""
    targets: str | dict[str, str] = "y"
    """Name of the array of labels; or of one array for each target. Targets that are called `boxes` (N 4 or N K 4:
    left, top, right, bottom in pixels), `mask` (N H W) or `points` (N K 2) move with the image."""
    mask_values: MaskValues = Field(default={})
    """What the values of masks (targets N H W of whole numbers) mean, where they are no class indices: `{255: 1}`."""
    mmap: bool = False
    """Leave the arrays in the file until they are needed; it must not be compressed."""
    classes: ClassNames = ()
    """Names of the classes."""
    value_range: BlackToWhite = None
    """[black, white] of images, where their type does not say it: `[0, 255]` or `[-1, 1]` of floats, `[0, 4095]` of
    uint16; default: the range of integers of 8 and 16 bits, and 0 to 1 of floats that lie there."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        inputs = {IMAGE: self.inputs} if isinstance(self.inputs, str) else self.inputs
        targets = {LABEL: self.targets} if isinstance(self.targets, str) else self.targets
        path = base / self.path
        texts = set(targets.values()) - set(inputs.values())
        arrays = read_npz(path, {**inputs, **targets}.values(), limit, self.mmap, texts)
        rows = {key: _with_rows(array, key, path) for key, array in arrays.items()}
        typed = {name: array_target(rows[key], name, key, path, self.classes, wanted) for name, key in targets.items()}
        named = {name: each.classes for name, each in typed.items() if each.classes}
        return Examples(
            {name: rows[key] for name, key in inputs.items()},
            {name: self._classes_of_masks(each.values) for name, each in typed.items()},
            named.pop(LABEL, self.classes),
            shown(path),
            target_classes=named,
            value_range=black_to_white(self.value_range, {key: rows[key] for key in inputs.values()}, path),
        )

    def _classes_of_masks(self, values: Array) -> Array:
        masks = self.mask_values and values.ndim >= 3 and np.issubdtype(values.dtype, np.integer)
        return mapped(values, self.mask_values) if masks else values


class Idx(Source):
    """A file of images and one of labels in MNIST's format, gzipped or not."""

    kind: ClassVar[str] = "idx"

    images: str
    """The file of images."""
    labels: str
    """The file of labels."""
    classes: ClassNames = ()
    """Names of the classes."""
    value_range: BlackToWhite = None
    """[black, white] of images, where their type does not say it."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        images = read_idx(base / self.images, limit)
        labels = _whole(read_idx(base / self.labels, limit - images.nbytes))
        path = base / self.images
        said = black_to_white(self.value_range, {self.images: images}, path)
        return Examples({IMAGE: images}, {LABEL: labels}, self.classes, shown(path), value_range=said)


class Cifar10(Source):
    """Files of CIFAR-10's binary version."""

    kind: ClassVar[str] = "cifar10"

    files: Annotated[tuple[str, ...], ONE_OR_LIST] = Field(min_length=1)
    """data_batch_1.bin and so on, in order."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        images: list[Array] = []
        labels: list[Array] = []
        for name in self.files:
            found = read_cifar(base / name, limit - sum(array.nbytes for array in images))
            images.append(found[0])
            labels.append(found[1])
        targets = {LABEL: np.concatenate(labels)}
        return Examples({IMAGE: np.concatenate(images)}, targets, CIFAR10_CLASSES, shown(base / self.files[0]))


class ImageFiles(Source):
    """Images in files."""

    path: str
    """The folder, list or archive."""
    size: Annotated[tuple[Side, Side], LIST]
    """[height, width] that every image gets, as `data.resize` says, unless augmentation cuts it to that size."""
    channels: Literal[1, 3, 4] = 3
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


class _Listed(ImageFiles):
    """Images in files, with annotations in one file."""

    folder: str | None = None
    """Where the paths of images start; default: the list's own folder. No path may lead out of it."""
    classes: ClassNames = ()
    """Names of the classes; default: those that occur, in order."""
    max_boxes: Side | None = None
    """Boxes an image may have; default: as many as the network predicts, else what the list has."""
    exif: Exif | None = None
    """Of images that an EXIF tag turns: whether boxes, key points and masks were drawn in the stored or in the upright
    image, where height and width do not say it."""

    def _examples(
        self,
        base: Path,
        entries: list[Entry],
        classes: tuple[str, ...],
        wanted: Wanted,
        others: Mapping[str, Array] | None = None,
    ) -> Examples:
        root = (base / self.path).parent if self.folder is None else base / self.folder
        reading = self.reading(wanted, classes, self.max_boxes or wanted.boxes)
        reading = replace(reading, box_labels=BOX_LABEL in (wanted.targets or {}), exif=self.exif)
        return examples_of(entries, Folder(root), reading, shown(base / self.path), others)


class ImageList(_Listed):
    """A CSV or JSON list of images with labels, other targets, boxes, key points and masks."""

    kind: ClassVar[str] = "list"

    columns: dict[str, Annotated[tuple[str, ...], ONE_OR_LIST, Field(min_length=1)]] = Field(default={})
    """What is read -> its column, where that has another name: `{image: id_code, label: diagnosis}`. Of a target,
    several columns may be named: numbers to predict, or one 0 or 1 for each of several labels."""
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    """What stands between the values of a CSV; default: what the header shows."""
    ending: str = Field(default="", max_length=20)
    """What is added to each image's path, where the list has names without `.png`."""
    label_separator: str | None = Field(default=None, min_length=1)
    """What stands between the labels of an example that has several, within a column."""
    mask_values: MaskValues = Field(default={})
    """What the values of masks mean, where they are no class indices: `{255: 1}`."""

    def reading(self, wanted: Wanted, classes: tuple[str, ...] = (), boxes: int | None = None) -> Reading:
        return replace(super().reading(wanted, classes, boxes), mask_values=self.mask_values)

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        roles = Roles(self.columns)
        table = read_table(base / self.path, roles.column(IMAGE_COLUMN), self.delimiter)
        found = read_examples(Reader(table, roles, self.classes, self.label_separator, wanted))
        entries = [replace(entry, name=entry.name + self.ending) for entry in found.entries]
        targets = {name: each.values for name, each in found.targets.items()}
        classes = {name: each.classes for name, each in found.targets.items() if each.classes and name != LABEL}
        examples = self._examples(base, entries, found.classes, wanted, targets)
        return replace(examples, target_classes=classes, notes=found.notes)


class Coco(_Listed):
    """COCO's JSON: boxes with their classes (targets `boxes` and `box_label`), key points, and masks."""

    kind: ClassVar[str] = "coco"

    masks: bool = False
    """Draw a mask of each image (target `mask`) from polygons and run lengths: 0 for the ground, the index of the class
    + 1 for objects, smaller objects over larger ones."""
    crowd: Literal["error", "skip", "mask"] = "skip"
    """What happens to annotations of crowds; skip: they are left out and counted; mask: they are drawn, without a
    box."""
    bad_annotations: Literal["error", "skip"] = "error"
    """What happens to annotations of unknown images or categories, without a box, or with one outside the image; skip:
    they are left out and counted."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        known = tuple(wanted.classes.get(BOX_LABEL) or wanted.classes.get(LABEL, ()))
        if not known and (mask_names := wanted.classes.get(MASK, ())):
            known = mask_names[1:]
        skip = self.bad_annotations == "skip"
        rules = CocoRules(self.classes, known, self.masks, self.crowd, skip, self.max_pixels)
        found = read_coco(base / self.path, rules)
        examples = self._examples(base, found.entries, found.classes, wanted)
        classes = {MASK: (GROUND, *found.classes)} if self.masks else {}
        return replace(examples, target_classes=classes, notes=found.notes, point_names=found.point_names)


class Shapes(Source):
    """Synthetic pictures of shapes on textured grounds, with label, boxes and mask."""

    kind: ClassVar[str] = "shapes"

    count: int = Field(gt=0, le=10_000_000)
    """How many."""
    size: Annotated[tuple[Side, Side], LIST] = (32, 32)
    """[height, width]."""
    channels: Literal[1, 3] = 3
    """Gray or in color."""
    most: int = Field(default=1, gt=0, le=50)
    """Shapes in a picture, at most."""
    classes: int = Field(default=len(CLASSES), gt=0, le=len(CLASSES))
    """disk, square, triangle, ring, cross: the first so many."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Two sets of one seed begin alike."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        check_memory((self.count, *self.size, self.channels + 8), 1, limit, "shapes")
        return make_shapes(self.count, self.size, self.channels, self.most, self.classes, self.seed)


class Digits(Source):
    """The handwritten digits of scikit-learn, 8×8, between 0 and 1."""

    kind: ClassVar[str] = "digits"

    part: Literal["train", "test", "all"] = "all"
    """test: every fifth digit; train: the others."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        return read_digits(self.part)


SOURCES: tuple[type[Source], ...] = (Npz, Idx, Cifar10, ImageFolder, Archive, ImageList, Coco, Shapes, Digits)


def _whole(labels: Array) -> Array:
    """Labels as int64; numbers that are none stay as they are (values to regress, or to be refused as classes)."""
    if not np.issubdtype(labels.dtype, np.integer) or (labels.dtype == np.uint64 and (labels > LARGEST_INDEX).any()):
        return labels
    return labels.astype(np.int64)


def array_target(array: Array, target: str, key: str, path: Path, classes: tuple[str, ...], wanted: Wanted) -> Typed:
    """A target [N, …] of an array: whole numbers are indices of classes, texts [N] are their names."""
    if array.dtype.kind not in "US":
        return Typed(_whole(array))
    texts = np.char.decode(array, "utf-8", "backslashreplace") if array.dtype.kind == "S" else array
    if texts.ndim != 1:
        message = f"expected one text an example in {key!r}, found the shape {list(texts.shape)}"
        raise DataError("G402", message, Place(shown(path)))

    def fail(row: int, message: str) -> DataError:
        return DataError("G405", f"{message} at example {row}", Place(f"{shown(path)}[{key}]"))

    try:
        cells = [text.strip() for text in texts.tolist()]
    except ValueError as error:
        raise DataError("G401", f"the texts are damaged: {error}", Place(f"{shown(path)}[{key}]")) from None
    known = wanted.classes.get(target, ())
    return typed(Column(target, cells, fail), wanted.of(target), classes, known)


def _with_rows(array: Array, key: str, path: Path) -> Array:
    if array.ndim == 0:
        raise DataError(
            "G402", f"expected an array with one row an example, found a number in {key!r}", Place(shown(path))
        )
    return array
