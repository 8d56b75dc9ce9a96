"""Images that stay where they are, in files, until a batch asks for them: what an array of images looks like to the
rest, and reads pixels only when it is indexed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from graphc.data.drawn import Decoded, Exif, Size
from graphc.data.images import Decoding, decode_mask_with_tag, decode_with_tag, resized
from graphc.data.masks import mapped
from graphc.data.reading import LARGEST_FILE, read_regular
from graphc.data.resizing import STRETCH, Resizing
from graphc.data.sample import Sample
from graphc.data.shard_members import Members
from graphc.data.sides import PIXEL_LIMIT
from graphc.data.value_range import BYTES, ImageValues
from graphc.errors import DataError, Place
from graphc.files import composed, shown
from graphc.system import is_plain_name
from graphc.types import Array


class Store(Protocol):
    """Where files lie: a folder or an archive."""

    def read(self, name: str) -> bytes:
        """A file's bytes."""

    def size(self, name: str) -> int:
        """How many they are."""

    def shown(self, name: str) -> str:
        """What messages call a file."""

    def hints(self, name: str) -> list[str]:
        """What may have been meant by a file that is not there."""


class Folder:
    """Files below a folder; a name that leads out of it, by `..` or a link, is refused."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real = os.path.realpath(root)
        self._folders: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}
        self._composed: dict[str, dict[str, list[str]]] = {}

    def read(self, name: str) -> bytes:
        data = read_regular(self._path(name), LARGEST_FILE)
        if len(data) > LARGEST_FILE:
            raise DataError("G406", f"the file has more than {LARGEST_FILE:,} bytes", Place(self.shown(name)))
        return data

    def size(self, name: str) -> int:
        try:
            return os.stat(self._path(name)).st_size
        except OSError:
            return -1  # `read` says why

    def shown(self, name: str) -> str:
        return shown(f"{self.root}/{name}")

    def hints(self, name: str) -> list[str]:
        """What may have been meant by the name of a file that is not there."""
        folder, _, file = name.rpartition("/")
        there = self._listed(folder)
        alike = [each for each in there if each.casefold() == file.casefold()]
        longer = [each for each in there if each.rpartition(".")[0] == file]
        start = f"{folder}/" if folder else ""
        notes = [f"there is {shown(start + alike[0])}: letters differ in case"] if alike else []
        if longer:
            ending = longer[0][len(file) :]
            notes.append(
                f"there is {shown(start + longer[0])}: `ending: {shown(ending)}` is added to every path of a list"
            )
        return notes + (["paths are written with /"] if "\\" in name else [])

    def _path(self, name: str) -> str:
        """The real path; a name whose accents are written otherwise (NFC or NFD) than the file's finds it too."""
        path = self._written(name)
        if name.isascii() or "\0" in name or os.path.lexists(path):
            return path
        parts: list[str] = []
        for part in name.split("/"):
            alike = self._alike("/".join(parts)).get(composed(part), [])
            if len(alike) != 1:
                return path
            parts += alike
        return self._written("/".join(parts))

    def _listed(self, folder: str) -> list[str]:
        """The names in a folder, which are asked for once; none where it cannot be read."""
        if folder not in self._names:
            try:
                self._names[folder] = sorted(os.listdir(self._inside(folder or ".", folder)))
            except (OSError, DataError):
                self._names[folder] = []
        return self._names[folder]

    def _alike(self, folder: str) -> dict[str, list[str]]:
        """The names in a folder by how they are composed."""
        if folder not in self._composed:
            found: dict[str, list[str]] = {}
            for each in self._listed(folder):
                found.setdefault(composed(each), []).append(each)
            self._composed[folder] = found
        return self._composed[folder]

    def _written(self, name: str) -> str:
        """The real path of a name as it is; folders on the way are looked at once."""
        folder, _, file = name.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._inside(folder or ".", name)
        path = f"{self._folders[folder]}/{file}"
        return path if is_plain_name(file) and not os.path.islink(path) else self._inside(name, name)

    def _inside(self, part: str, name: str) -> str:
        try:
            path = os.path.realpath(os.path.join(self._real, part))
        except ValueError:
            raise DataError("G401", f"the path {name!r} holds a NUL character") from None
        if path != self._real and not path.startswith(f"{self._real.rstrip(os.sep)}{os.sep}"):
            message = f"expected a file inside {shown(self.root)}, found a path out of it"
            raise DataError("G403", message, Place(shown(name)))
        return path


class Together:
    """Several stores as one: a file's name begins with the number of its store."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = stores

    def read(self, name: str) -> bytes:
        store, own = self._of(name)
        return store.read(own)

    def size(self, name: str) -> int:
        store, own = self._of(name)
        return store.size(own)

    def shown(self, name: str) -> str:
        store, own = self._of(name)
        return store.shown(own)

    def hints(self, name: str) -> list[str]:
        store, own = self._of(name)
        return store.hints(own)

    def _of(self, name: str) -> tuple[Store, str]:
        number, _, own = name.partition(":")
        return self.stores[int(number)], own


@dataclass(frozen=True, slots=True)
class StoredImages:
    """Images in files, as N H W C bytes."""

    store: Store
    names: Sequence[str]
    size: tuple[int, int]
    """What an image is resized to where it is asked for as a part of an array."""
    channels: int = 3
    pixels: int = PIXEL_LIMIT
    resizing: Resizing = STRETCH
    values: ImageValues = BYTES
    """What files are brought to."""
    sizes: Sequence[Size | None] = ()
    """Of each image in which boxes and key points were drawn; nothing, or None: it is not said."""
    exif: Exif | None = None
    """Whether annotations were drawn in the stored or the upright image, where sizes do not say it."""
    decoded: Sequence[Decoded | None] | None = field(default=None, repr=False, compare=False)
    """Images that are in memory; None: those that are read when they are asked for."""

    ndim = 4

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.values.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.names), *self.size, self.channels)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, row: int) -> Array:
        """An image in its own size, upright: [H, W, C]."""
        return self.decode(row).pixels

    def decode(self, row: int) -> Decoded:
        """The same, with its EXIF tag."""
        if self.decoded is not None and (image := self.decoded[row]) is not None:
            return image
        name = self.names[row]
        decoding = Decoding(self.channels, pixels=self.pixels, values=self.values)
        return decode_with_tag(self.store.read(name), self.store.shown(name), decoding)

    def drawn_in(self, row: int) -> Size | None:
        """(height, width) of the image in which boxes and key points were drawn, where it is said."""
        return self.sizes[row] if self.sizes else None

    def name(self, row: int) -> str:
        return self.store.shown(self.names[row])

    def held(self, limit: int) -> StoredImages:
        """The same, as many of the first ones decoded and kept as `limit` bytes have room for."""
        decoded: list[Decoded | None] = [None] * len(self)
        for row in range(len(self)):
            image = self.decode(row)
            limit -= image.pixels.nbytes
            if limit < 0:
                break
            decoded[row] = image
        return replace(self, decoded=decoded)

    @property
    def count_held(self) -> int:
        """How many are in memory."""
        return sum(image is not None for image in self.decoded or ())

    def take(self, rows: Array) -> StoredImages:
        """Some of them, by [n] indices."""
        chosen = rows.tolist()
        decoded = None if self.decoded is None else [self.decoded[row] for row in chosen]
        sizes = [self.sizes[row] for row in chosen] if self.sizes else ()
        return replace(self, names=_some(self.names, chosen), sizes=sizes, decoded=decoded)

    def is_read_as(self, other: StoredImages) -> bool:
        """Whether another's files become the same kind of images."""
        own, theirs = ((e.size, e.channels, e.resizing, e.values, e.exif) for e in (self, other))
        return own == theirs

    def and_then(self, other: StoredImages) -> StoredImages:
        """These images, then those of another that are read as they are."""
        both = (self, other)
        names = [f"{number}:{name}" for number, each in enumerate(both) for name in each.names]
        return replace(
            self,
            store=Together([each.store for each in both]),
            names=names,
            pixels=max(each.pixels for each in both),
            sizes=[each.drawn_in(row) for each in both for row in range(len(each))],
            decoded=[each.decoded[row] if each.decoded else None for each in both for row in range(len(each))],
        )

    def __getitem__(self, rows: Any) -> Array:
        """Decoded and resized."""
        chosen = np.arange(len(self))[rows]
        if chosen.ndim == 0:
            return np.asarray(self[[int(chosen)]][0])
        out = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        for at, row in enumerate(chosen.tolist()):
            sample = Sample(self.read(row), value_range=self.values.said_range)
            out[at] = resized(sample, self.size, self.resizing, self.name(row)).image
        return out

    def fingerprint(self) -> bytes:
        return _digest(self.names, self.shape, self.store)


class Drawing(Protocol):
    """A mask that is drawn when it is needed, from polygons or run lengths."""

    def draw(self) -> Array:
        """Class indices [H, W], in the size in which the annotation was made."""

    def __str__(self) -> str:
        """What messages call it."""

    def __repr__(self) -> str:
        """All that it is drawn from, for the fingerprint."""


@dataclass(frozen=True, slots=True)
class StoredMasks:
    """Masks in files, as N H W class indices: the values of a gray or palette PNG; or drawings."""

    store: Store
    names: Sequence[str | Drawing]
    size: tuple[int, int]
    pixels: int = PIXEL_LIMIT
    values: Mapping[int, int] = field(default_factory=dict)
    """Stored value -> class; others stand for themselves."""
    resizing: Resizing = STRETCH
    fill: int = 0
    """Class of what is beside the image."""

    dtype = np.dtype(np.int64)
    ndim = 3

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.names), *self.size)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, row: int) -> Array:
        """A mask in its own size, as its file has it or as it is drawn: class indices [H, W]."""
        return self.decode(row).pixels

    def decode(self, row: int) -> Decoded:
        """A mask with its own EXIF tag, by which it is turned."""
        name = self.names[row]
        if not isinstance(name, str):
            return Decoded(name.draw())
        found = decode_mask_with_tag(self.store.read(name), self.store.shown(name), self.pixels)
        return Decoded(mapped(found.pixels, self.values), found.orientation)

    def name(self, row: int) -> str:
        name = self.names[row]
        return self.store.shown(name) if isinstance(name, str) else str(name)

    def take(self, rows: Array) -> StoredMasks:
        """Some of them, by [n] indices."""
        return replace(self, names=_some(self.names, rows.tolist()))

    def __getitem__(self, rows: Any) -> Array:
        chosen = np.arange(len(self))[rows]
        if chosen.ndim == 0:
            return np.asarray(self[[int(chosen)]][0])
        out = np.empty((len(chosen), *self.size), np.int64)
        for at, row in enumerate(chosen.tolist()):
            mask = self.read(row)
            alone = Sample(np.zeros((*mask.shape, 1), np.uint8), mask, mask_fill=self.fill)
            out[at] = np.asarray(resized(alone, self.size, self.resizing, self.name(row)).mask)
        return out

    def fingerprint(self) -> bytes:
        return _digest(self.names, (*self.shape, *sorted(self.values.items())), self.store)


STORED = (StoredImages, StoredMasks)


def _some(names: Sequence[Any], rows: Sequence[int]) -> Sequence[Any]:
    return names.take(rows) if isinstance(names, Members) else [names[row] for row in rows]


def _digest(names: Sequence[str | Drawing], shape: tuple[Any, ...], store: Store) -> bytes:
    """Over names and sizes of the files: reading them all could take hours."""
    digest = hashlib.sha256(repr(shape).encode())
    for name in names:
        said = f"{name} {store.size(name)};" if isinstance(name, str) else f"{name!r};"
        digest.update(said.encode("utf-8", "surrogateescape"))
    return digest.digest()
