"""Where examples come from, as a recipe writes it: `{idx: {images: …, labels: …}}`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from graphc.data.cifar import CIFAR10_CLASSES, read_cifar
from graphc.data.digits import read_digits
from graphc.data.examples import IMAGE, LABEL, Examples
from graphc.data.folder import read_folder
from graphc.data.idx import read_idx
from graphc.data.images import PIXEL_LIMIT
from graphc.data.npz import read_npz
from graphc.errors import DataError, Place
from graphc.files import shown
from graphc.settings import LIST, ONE_OR_LIST, Kind
from graphc.types import Array

Side = Annotated[int, Field(gt=0, le=100_000)]


class Source(Kind):
    """A kind of data set."""

    def load(self, base: Path, limit: int) -> Examples:
        """All examples, at most `limit` bytes of them; relative paths start at `base`."""
        raise NotImplementedError(self.kind)


class Npz(Source):
    """Arrays of an .npz file."""

    kind: ClassVar[str] = "npz"

    path: str
    """The file."""
    inputs: str | dict[str, str] = "x"
    """Name of the array of inputs; or of one array for each input of the network."""
    targets: str | dict[str, str] = "y"
    """Name of the array of labels; or of one array for each target."""
    classes: Annotated[tuple[str, ...], LIST] = ()
    """Names of the classes."""

    def load(self, base: Path, limit: int) -> Examples:
        inputs = {IMAGE: self.inputs} if isinstance(self.inputs, str) else self.inputs
        targets = {LABEL: self.targets} if isinstance(self.targets, str) else self.targets
        arrays = read_npz(base / self.path, {**inputs, **targets}.values(), limit)
        rows = {key: _with_rows(array, key, base / self.path) for key, array in arrays.items()}
        return Examples(
            {name: rows[key] for name, key in inputs.items()},
            {name: _whole(rows[key]) for name, key in targets.items()},
            self.classes,
            shown(base / self.path),
        )


class Idx(Source):
    """A file of images and one of labels in MNIST's format, gzipped or not."""

    kind: ClassVar[str] = "idx"

    images: str
    """The file of images."""
    labels: str
    """The file of labels."""
    classes: Annotated[tuple[str, ...], LIST] = ()
    """Names of the classes."""

    def load(self, base: Path, limit: int) -> Examples:
        images = read_idx(base / self.images, limit)
        labels = _whole(read_idx(base / self.labels, limit - images.nbytes))
        return Examples({IMAGE: images}, {LABEL: labels}, self.classes, shown(base / self.images))


class Cifar10(Source):
    """Files of CIFAR-10's binary version."""

    kind: ClassVar[str] = "cifar10"

    files: Annotated[tuple[str, ...], ONE_OR_LIST] = Field(min_length=1)
    """data_batch_1.bin and so on, in order."""

    def load(self, base: Path, limit: int) -> Examples:
        images: list[Array] = []
        labels: list[Array] = []
        for name in self.files:
            found = read_cifar(base / name, limit - sum(array.nbytes for array in images))
            images.append(found[0])
            labels.append(found[1])
        targets = {LABEL: np.concatenate(labels)}
        return Examples({IMAGE: np.concatenate(images)}, targets, CIFAR10_CLASSES, shown(base / self.files[0]))


class ImageFolder(Source):
    """A folder with one folder a class, its name the class's."""

    kind: ClassVar[str] = "image_folder"

    path: str
    """The folder."""
    size: Annotated[tuple[Side, Side], LIST]
    """[height, width] that every image is resized to."""
    channels: Literal[1, 3, 4] = 3
    """1: grey, 3: RGB, 4: RGB and alpha."""
    max_pixels: int = Field(default=PIXEL_LIMIT, gt=0)
    """An image of more is refused before it is read."""

    def load(self, base: Path, limit: int) -> Examples:
        return read_folder(base / self.path, self.size, self.channels, limit, self.max_pixels)


class Digits(Source):
    """The handwritten digits of scikit-learn, 8×8, between 0 and 1."""

    kind: ClassVar[str] = "digits"

    part: Literal["train", "test", "all"] = "all"
    """test: every fifth digit; train: the others."""

    def load(self, base: Path, limit: int) -> Examples:
        return read_digits(self.part)


SOURCES: tuple[type[Source], ...] = (Npz, Idx, Cifar10, ImageFolder, Digits)


def _whole(labels: Array) -> Array:
    """Labels as int64; other numbers stay as they are (values to regress, or to be refused as classes)."""
    return labels.astype(np.int64) if np.issubdtype(labels.dtype, np.integer) else labels


def _with_rows(array: Array, key: str, path: Path) -> Array:
    if array.ndim == 0:
        raise DataError(
            "G402", f"expected an array with one row an example, found a number in {key!r}", Place(shown(path))
        )
    return array
