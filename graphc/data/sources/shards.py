"""Sources of data sets that are packed in many archives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from graphc.data.annotated import without_bad
from graphc.data.examples import IMAGE, LABEL, Examples
from graphc.data.labels import Column, Typed, typed
from graphc.data.lists import ANNOTATED
from graphc.data.masks import MaskValues
from graphc.data.sample import MASK
from graphc.data.shard_members import Members, Shards
from graphc.data.sources.base import ClassNames
from graphc.data.sources.images import ImageFiles
from graphc.data.stored import StoredImages, StoredMasks
from graphc.data.target_kind import TargetKind
from graphc.data.texts import sequences
from graphc.data.wanted import ANYTHING, Wanted
from graphc.data.webdataset import Index, Layout, Scan, shard_paths
from graphc.data.webdataset_index import about, read_index, write_index
from graphc.errors import DataError, Place
from graphc.files import shown


class WebDataset(ImageFiles):
    """Tar archives in the layout of WebDataset, read in place: files of one example stand one after the other and have
    one name up to the first dot, as `0001.jpg` and `0001.cls`."""

    kind: ClassVar[str] = "webdataset"

    path: str
    """The archives: `train-{000000..000099}.tar`, `{clean,noisy}-{00..19}.tar`, or one."""
    image: str | None = Field(default=None, min_length=1)
    """The ending of images, such as `jpg` or `rgb.png`; default: whichever image an example has."""
    targets: dict[str, str] = Field(default={LABEL: "cls"})
    """Target -> the ending of the file that holds it, a text, a number or JSON: `{label: cls}`; of a mapping in JSON
    what is under a key: `{label: json.category, age: json.person.age}`."""
    mask: str | None = Field(default=None, min_length=1)
    """The ending of masks (target `mask`), such as `seg.png`."""
    mask_values: MaskValues = Field(default={})
    """What the values of masks mean, where they are no class indices: `{255: 1}`."""
    classes: ClassNames = ()
    """Names of the classes; default: those that occur, in order."""
    window: int = Field(default=4096, gt=0)
    """Examples that are shuffled together. An epoch goes through the archives in an order that is drawn, and within
    windows of so many examples in another: neighbors are read from few archives, and no archive is read whole."""
    index: str | None = None
    """A file that keeps where the examples lie, so that the archives are gone through once; it is made where it is not
    there, or where the archives have changed."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        names = shard_paths(self.path)
        shards = Shards([base / name for name in names])
        layout = self._layout(wanted)
        index, notes = self._index(layout, names, shards, base, limit)
        files, places = index.columns()
        images = Members(files, places[:, 0].copy(), places[:, 1].copy(), self.window)
        how = self.reading(wanted)
        inputs = StoredImages(shards, images, how.size, how.channels, how.pixels, how.resizing, how.values)
        found = {name: self._typed(name, index, inputs, wanted, limit) for name in layout.targets}
        targets: dict[str, Any] = {name: each.values for name, each in found.items()}
        if layout.mask is not None:
            masks = Members(files, places[:, 2].copy(), places[:, 3].copy(), self.window)
            targets[MASK] = StoredMasks(
                shards, masks, how.size, how.pixels, self.mask_values, how.resizing, how.mask_fill
            )
        classes = {name: each.classes for name, each in found.items() if each.classes}
        examples = Examples(
            {IMAGE: inputs},
            targets,
            classes.pop(LABEL, self.classes),
            shown(base / self.path),
            target_classes=classes,
            notes=notes,
            value_range=how.value_range,
        )
        return without_bad(examples) if how.skip else examples

    def _layout(self, wanted: Wanted) -> Layout:
        """The members that are read: those of targets that a loss wants, or of all where nobody said."""
        known = self.targets if wanted.targets is None else wanted.targets
        names = [each for each in known if each not in ANNOTATED]
        for name in names:
            if name not in self.targets:
                there = ", ".join(self.targets) or "none"
                message = f"targets: expected the ending of the files that hold {name!r}, found {there}"
                raise DataError("G408", message, Place(shown(self.path)))
        mask = self.mask if wanted.targets is None or MASK in wanted.targets else None
        targets: Mapping[str, str] = {name: self.targets[name] for name in names}
        image = None if self.image is None else self.image.lower()
        return Layout(image, None if mask is None else mask.lower(), targets)

    def _index(
        self, layout: Layout, names: list[str], shards: Shards, base: Path, limit: int
    ) -> tuple[Index, tuple[str, ...]]:
        skip = self.bad_files == "skip"
        of = about(layout, names, shards.paths, skip=skip) if self.index is not None else {}
        if self.index is not None and (known := read_index(base / self.index, of, limit)) is not None:
            return known, ()
        scan = Scan(layout, limit, skip=skip)
        for number, path in enumerate(shards.paths):
            scan.add(path, number)
        if not len(scan.index):
            raise DataError("G403", "found no images", Place(shown(base / self.path)))
        if self.index is not None:
            write_index(base / self.index, scan.index, of)
        return scan.index, scan.left.notes()

    def _typed(self, name: str, index: Index, images: StoredImages, wanted: Wanted, limit: int) -> Typed:
        """A target as the losses want it."""

        def fail(row: int, message: str) -> DataError:
            return DataError("G405", message, Place(images.name(row)))

        column, want = Column(name, index.cells[name], fail, limit=limit), wanted.of(name)
        if TargetKind.SEQUENCE in want.kinds:
            return sequences(column, want)
        return typed(column, want, self.classes, wanted.classes.get(name, ()))
