"""Sources of images in files, with annotations in one file beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from graphc.data.annotated import Entry, Reading, examples_of
from graphc.data.coco import GROUND, CocoRules, read_coco
from graphc.data.drawn import Exif
from graphc.data.examples import BOX_LABEL, LABEL, Examples
from graphc.data.listed import IMAGE as IMAGE_COLUMN
from graphc.data.listed import Roles
from graphc.data.lists import Reader, read_examples
from graphc.data.masks import MaskValues
from graphc.data.sample import MASK
from graphc.data.sources.base import ClassNames, Side
from graphc.data.sources.images import ImageFiles
from graphc.data.stored import Folder
from graphc.data.tables import read_table
from graphc.data.wanted import ANYTHING, Wanted
from graphc.files import shown
from graphc.garbage import no_collection
from graphc.settings import ONE_OR_LIST
from graphc.types import Array


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
        limit: int,
        others: Mapping[str, Array] | None = None,
    ) -> Examples:
        root = (base / self.path).parent if self.folder is None else base / self.folder
        reading = self.reading(wanted, classes, self.max_boxes or wanted.boxes)
        reading = replace(reading, box_labels=BOX_LABEL in (wanted.targets or {}), exif=self.exif, limit=limit)
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
        with no_collection():
            roles = Roles(self.columns)
            table = read_table(base / self.path, roles.column(IMAGE_COLUMN), self.delimiter, limit)
            found = read_examples(Reader(table, roles, self.classes, self.label_separator, wanted, limit))
            entries = found.entries
            if self.ending:
                entries = [replace(entry, name=entry.name + self.ending) for entry in entries]
        targets = {name: each.values for name, each in found.targets.items()}
        classes = {name: each.classes for name, each in found.targets.items() if each.classes and name != LABEL}
        examples = self._examples(base, entries, found.classes, wanted, limit, targets)
        return replace(examples, target_classes=classes, notes=found.notes)


class Coco(_Listed):
    """COCO's JSON: boxes with their classes (targets `boxes` and `box_label`), key points, and masks."""

    kind: ClassVar[str] = "coco"

    masks: bool = False
    """Draw a mask of each image (target `mask`) from polygons and run lengths: 0 for the ground, the index of the class
    + 1 for objects, smaller objects over larger ones."""
    crowd: Literal["error", "skip", "mask", "ignore"] = "skip"
    """What happens to annotations of crowds; skip: they are left out and counted; mask: they are drawn, without a
    box; ignore: their boxes are kept for metrics, which count what is found there as neither right nor wrong, as
    pycocotools does, and no loss learns them."""
    bad_annotations: Literal["error", "skip"] = "error"
    """What happens to annotations of unknown images or categories, without a box, or with one outside the image; skip:
    they are left out and counted."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        known = tuple(wanted.classes.get(BOX_LABEL) or wanted.classes.get(LABEL, ()))
        if not known and (mask_names := wanted.classes.get(MASK, ())):
            known = mask_names[1:]
        skip = self.bad_annotations == "skip"
        rules = CocoRules(self.classes, known, self.masks, self.crowd, skip, self.max_pixels)
        found = read_coco(base / self.path, rules, limit)
        examples = self._examples(base, found.entries, found.classes, wanted, limit)
        classes = {MASK: (GROUND, *found.classes)} if self.masks else {}
        return replace(
            examples,
            target_classes=classes,
            notes=found.notes,
            point_names=found.point_names,
            category_ids=found.category_ids,
        )
