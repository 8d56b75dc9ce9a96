"""What `graphc predict` has found, in files: a table, JSON, or a folder of pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graphc.errors import SpecError
from graphc.files import atomic_write, make_folder, shown
from graphc.signature import CATEGORY
from graphc.train.loss_term import LossTerm
from graphc.types import Array
from graphc.valid_json import dumps

Answer = Mapping[str, Any]
LARGEST_MASK = 256
"""Classes that a PNG's palette has room for."""


def answer_of(name: str, found: Mapping[str, Answer]) -> dict[str, Any]:
    """What is said of one input: the first head's answer, and all of them by name where there are several."""
    return {"input": name, **next(iter(found.values())), **({"heads": found} if len(found) > 1 else {})}


def write_answers(answers: Iterable[Answer], output: str) -> str:
    """Write them as the file's ending says; what was written, in words."""
    write = WRITERS[Path(output).suffix.lower()]
    rows = list(answers)
    atomic_write(output, write(rows).encode())
    return f"{shown(output)}: {len(rows):,} predictions"


def check_output(output: str) -> None:
    """An error where nothing of this name can be written; a name without an ending is a folder of pictures."""
    suffix = Path(output).suffix.lower()
    if suffix and suffix not in WRITERS and not Path(output).is_dir():
        known = ", ".join(WRITERS)
        raise SpecError("G617", f"expected -o with an ending of {known}, or a folder for masks, found {shown(output)}")


def is_folder(output: str) -> bool:
    return Path(output).is_dir() or not Path(output).suffix


def as_csv(rows: list[Answer]) -> str:
    """A line a prediction, or a box; the first line names the columns."""
    lines = [line for row in rows for line in (_box_lines(row) if "boxes" in row else [dict(_cells(row))])]
    cells = [{name: _printable(value) for name, value in line.items()} for line in lines]
    columns = list(dict.fromkeys(name for each in cells for name in each)) or ["input"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    return text.getvalue()


def as_json(rows: list[Answer]) -> str:
    """All answers as a list; of boxes as COCO's results, which pycocotools reads."""
    if rows and all("boxes" in row for row in rows):
        return dumps([result for row in rows for result in coco_results(row)], indent=1) + "\n"
    return dumps(rows, indent=1) + "\n"


def coco_results(row: Answer) -> Iterator[dict[str, Any]]:
    """Each box of an image: the image's id is the number that its file is called, else the file's name; categories
    are those of the COCO file that the network was trained on, or count the classes from 1 where there was none."""
    name = Path(row["input"]).stem
    for each in row["boxes"]:
        left, top, right, bottom = each["box"]
        yield {
            "image_id": int(name) if name.isascii() and name.isdecimal() else row["input"],
            "category_id": each.get(CATEGORY, each["class_id"] + 1),
            "bbox": [left, top, right - left, bottom - top],
            "score": each["score"],
            "category": each["class"],
        }


def _box_lines(row: Answer) -> Iterator[dict[str, Any]]:
    """A line for each box: column and value."""
    for each in row["boxes"]:
        sides = dict(zip(("left", "top", "right", "bottom"), each["box"], strict=True))
        yield {"input": row["input"], "class": each["class"], "score": each["score"], **sides}


WRITERS: dict[str, Callable[[list[Answer]], str]] = {
    ".csv": as_csv,
    ".json": as_json,
    ".jsonl": lambda rows: "".join(dumps(row) + "\n" for row in rows),
}


def _cells(answer: Answer, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Column and value: `class`, or with several `class_1` and so on; of several heads `NAME.class`."""
    if "input" in answer:
        yield "input", answer["input"]
    if "heads" in answer:
        for name, each in answer["heads"].items():
            yield from _cells(each, f"{name}.")
    elif "top" in answer:
        for place, each in enumerate(answer["top"], start=1):
            yield from ((f"{prefix}{key}_{place}", value) for key, value in each.items())
    elif "values" in answer:
        yield from _values(answer["values"], prefix)
    else:
        yield from ((f"{prefix}{key}", value) for key, value in answer.items() if key != "input")


def _printable(value: Any) -> Any:
    return shown(value) if isinstance(value, str) else value


def _values(values: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(values, list):
        values = [values]
    if any(isinstance(value, list) for value in values):
        raise SpecError("G617", "a CSV has no room for maps: name a folder with -o to get them as masks, or a .json")
    if len(values) == 1:
        yield f"{prefix}value", values[0]
    else:
        yield from ((f"{prefix}value_{place}", value) for place, value in enumerate(values, start=1))


def mask_of(prediction: Array, head: LossTerm) -> Array:
    """The class of each pixel of a prediction [H, W, K], uint8 [H, W]: the highest, or of a single output whether it is
    more likely than not."""
    scores = head.loss.scores(prediction) if prediction.ndim == 3 else None
    if scores is None or prediction.shape[-1] > LARGEST_MASK:
        shape = "×".join(map(str, prediction.shape))
        raise SpecError(
            "G617",
            f"masks expect up to {LARGEST_MASK} classes a pixel, {head.name} with {head.loss.kind} gives {shape}",
        )
    what, numbers = scores
    if numbers.shape[-1] == 1:
        return (numbers[..., 0] > (0.5 if what == "probability" else 0.0)).astype(np.uint8)
    return np.asarray(numbers.argmax(axis=-1), np.uint8)


def write_mask(mask: Array, path: Path) -> None:
    """A PNG of a mask [H, W] whose values are classes, with a palette to look at."""
    image = Image.fromarray(mask, "L")
    image.putpalette(_palette())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    make_folder(path.parent)
    atomic_write(path, buffer.getvalue())


@cache
def _palette() -> bytes:
    """Black for class 0, then colors that differ in the bits of the class, as PASCAL VOC's do."""
    table = np.zeros((256, 3), np.uint8)
    for kind in range(256):
        for bit in range(8):
            for channel in range(3):
                table[kind, channel] |= ((kind >> (3 * bit + channel)) & 1) << (7 - bit) if 3 * bit + channel < 8 else 0
    return table.tobytes()
