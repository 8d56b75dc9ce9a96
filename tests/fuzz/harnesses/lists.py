"""Lists of images and annotations: CSV, JSON, JSON lines, COCO."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.data.sources import Coco as CocoSource
from graphc.data.sources import ImageList
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import Want, Wanted
from tests.fuzz.harness import Harness

from .images import image

LIMIT = 10_000_000
SIZE = (8, 8)
VALUES = Want(frozenset({TargetKind.VALUES}))
SEVERAL = Want(frozenset({TargetKind.MULTI_LABEL}))
KEYS = (
    "image", "label", "boxes", "box_labels", "box_label", "points", "mask", "height", "width", "left", "top", "right",
    "bottom", "x1", "y1", "a.png", "b.png", "m.png", ".png", "../a.png", "/a.png", "nan", "inf", "NA", "1e400",
)  # fmt: skip


class Listed(Harness):
    is_text = True

    def prepare(self) -> None:
        for name, mode in (("a.png", "RGB"), ("b.png", "L"), ("m.png", "P")):
            (self.folder / name).write_bytes(image(mode, "PNG"))

    def words(self) -> Sequence[bytes]:
        return [word.encode() for word in KEYS]


class CsvList(Listed):
    """Labels, boxes, key points and masks; the examples are read."""

    name = "list.csv"
    suffix = ".csv"

    def seeds(self) -> Sequence[bytes]:
        return [
            b"image,label\na.png,cat\nb.png,dog\n",
            b"image;label;left;top;right;bottom;box_label\na.png;1;0;0;3;4;x\na.png;1;1;1;5.5;6;y\nb.png;0;;;;;\n",
            b'image,x1,y1,x2,y2,mask,height,width\r\n"a.png",1,2,3,4,m.png,9,12\r\nb.png,,,4,5,m.png,9,12\r\n',
            b"\xef\xbb\xbfimage\tlabel\na.png\tred\n\nb.png\t2\n",
        ]

    def read(self) -> None:
        source = ImageList(path=self.path.name, size=SIZE)
        examples = source.load(self.folder, LIMIT)
        rows = np.arange(min(len(examples), 2))
        for array in (*examples.inputs.values(), *examples.targets.values()):
            array[rows]
        examples.fingerprint()


class CsvLabels(Listed):
    """Columns as other targets: numbers, several labels, columns for each label."""

    name = "list.csv, targets"
    suffix = ".csv"

    def seeds(self) -> Sequence[bytes]:
        return [
            b"image,age,tags,one,two\na.png,3.5,red|blue,0,1\nb.png,1e2,blue,1,0\n",
            b"image,age,tags,one,two\na.png,1,\"['red', 'blue']\",1,1\nb.png,2,,0,0\n",
        ]

    def read(self) -> None:
        columns = {"both": ("one", "two"), "age": ("age",), "tags": ("tags",)}
        wanted = Wanted({"age": VALUES, "tags": SEVERAL, "both": SEVERAL})
        ImageList(path=self.path.name, size=SIZE, columns=columns, label_separator="|").load(self.folder, LIMIT, wanted)


ROWS: list[dict[str, Any]] = [
    {
        "image": "a.png",
        "label": "cat",
        "boxes": [[0, 0, 3.5, 4]],
        "box_labels": ["x"],
        "points": [[1, 2], [None, None]],
    },
    {"image": "b.png", "label": "dog", "boxes": [], "box_labels": [], "points": [[1, 2], [3, 4]]},
]


class JsonList(CsvList):
    name = "list.json"
    suffix = ".json"

    def seeds(self) -> Sequence[bytes]:
        masks = [{"image": name, "mask": "m.png", "height": 9, "width": 12, "label": 1} for name in ("a.png", "b.png")]
        return [json.dumps(ROWS, indent=1).encode(), json.dumps(masks).encode()]


class JsonLines(CsvList):
    name = "list.jsonl"
    suffix = ".jsonl"

    def seeds(self) -> Sequence[bytes]:
        return ["\n".join(json.dumps(row) for row in ROWS).encode()]


COCO = {
    "images": [
        {"id": 1, "file_name": "a.png", "height": 9, "width": 12},
        {"id": 2, "file_name": "b.png", "height": 9, "width": 12},
    ],
    "categories": [
        {"id": 3, "name": "cat", "keypoints": ["left", "right"], "skeleton": [[1, 2]], "supercategory": "animal"},
        {"id": 7, "name": "dog", "keypoints": ["left", "right"]},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 4, 5], "iscrowd": 0, "keypoints": [1, 2, 2, 0, 0, 0],
         "segmentation": [[1, 1, 5, 1, 5, 6, 1, 6]], "area": 20, "num_keypoints": 1},
        {"id": 2, "image_id": 2, "category_id": 7, "bbox": [0, 0, 12, 9], "iscrowd": 0, "keypoints": [1, 2, 2, 3, 3, 1],
         "segmentation": {"size": [9, 12], "counts": [10, 20, 30, 48]}, "area": 68},
        {"id": 3, "image_id": 2, "category_id": 7, "bbox": [0, 0, 3, 3], "iscrowd": 1,
         "segmentation": {"size": [9, 12], "counts": "0h03N2"}},
    ],
}  # fmt: skip


class Coco(Listed):
    """Boxes and key points."""

    name = "coco"
    suffix = ".json"
    settings: dict[str, Any] = {"crowd": "skip"}  # noqa: RUF012

    def seeds(self) -> Sequence[bytes]:
        plain = {
            **COCO,
            "annotations": [{k: v for k, v in each.items() if k != "keypoints"} for each in COCO["annotations"]],
        }
        return [json.dumps(COCO, indent=1).encode(), json.dumps(plain, indent=1).encode()]

    def words(self) -> Sequence[bytes]:
        keys = dict.fromkeys(key for part in COCO.values() for each in part for key in each)
        return [*super().words(), *(key.encode() for key in (*COCO, *keys, "size", "counts"))]

    def read(self) -> None:
        examples = CocoSource(path=self.path.name, size=SIZE, **self.settings).load(self.folder, LIMIT)
        rows = np.arange(min(len(examples), 2))
        for array in (*examples.inputs.values(), *examples.targets.values()):
            array[rows]
        examples.fingerprint()


class CocoMasks(Coco):
    """Polygons and run lengths, drawn."""

    name = "coco, masks"
    settings = {"masks": True, "crowd": "mask", "bad_annotations": "skip", "max_pixels": 1_000_000}  # noqa: RUF012
