"""What an ONNX file says of its inputs and outputs in its metadata, so that it is run as its training run predicts."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from graphc.data.alphabet import Alphabet
from graphc.data.examples import IMAGES
from graphc.data.placement import Placement
from graphc.data.preprocess import RAW, FittedPreprocess, Preprocess
from graphc.data.resizing import STRETCH, AnyResizing
from graphc.data.sides import PIXEL_LIMIT
from graphc.data.value_range import BYTES, ImageValues
from graphc.dims import is_image
from graphc.errors import DataError, SpecError
from graphc.probabilities import ACTIVATIONS, Activation, largest_first
from graphc.settings import Settings
from graphc.types import Array

KEY = "graphc.signature"
"""Of the metadata."""
MOST_CLASSES = 2**31
"""Of boxes: a row of a class that is no such number holds none."""
CATEGORY, IDS = "category_id", "category_ids"
CLASSES = "graphc.classes"
"""Of the metadata: the classes of the training set's labels, a JSON list."""


class StoredArray(Settings):
    """An array as text."""

    dtype: Literal["float32", "int64"]
    shape: tuple[int, ...]
    data: str
    """The bytes, little-endian, in base64."""

    @classmethod
    def of(cls, array: Array) -> StoredArray:
        """Of any shape: floats as float32, whole numbers as int64."""
        dtype: Literal["float32", "int64"] = "int64" if array.dtype.kind in "iu" else "float32"
        data = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes()
        return cls(dtype=dtype, shape=array.shape, data=base64.b64encode(data).decode())

    def array(self) -> Array:
        """The numbers in their own shape."""
        values = np.frombuffer(base64.b64decode(self.data, validate=True), np.dtype(self.dtype).newbyteorder("<"))
        return values.astype(self.dtype).reshape(self.shape)


class InputSignature(Settings):
    """What images are before they are given to an input, and what is done to them for that."""

    shape: tuple[int | None, ...]
    """Of an example before preprocessing; an image's is height, width, channels. None: any size."""
    preprocess: Preprocess | None = None
    """What is done before the file gets them; None where the file does it itself."""
    arrays: dict[str, StoredArray] = Field(default_factory=dict)
    """What the preprocessing's steps have learned."""
    read: ImageValues | None = BYTES
    """Type and range in which images in files are read and resized; None: their own."""
    values: ImageValues = BYTES
    """Type and range of the training set's examples before preprocessing; others are brought to them."""
    raw: ImageValues = BYTES
    """What they are brought to then, where the file does its preprocessing itself."""
    max_pixels: int = Field(default=PIXEL_LIMIT, gt=0)
    resize: AnyResizing = STRETCH
    """How an image of another size gets this one."""

    @model_validator(mode="after")
    def _fits(self) -> InputSignature:
        done = self.preprocess
        if done is not None and (done.is_open or done.lacks_source):
            raise ValueError("preprocess: expected every number, found `fit` or a `rescale` without its `source`")
        for side in self._sides():
            if not 0 < side[0] * side[1] <= PIXEL_LIMIT or min(side) < 1:
                raise ValueError(f"expected images of 1 to {PIXEL_LIMIT:,} pixels, found {side[0]:,}×{side[1]:,}")
        if is_image(self.shape) and self.shape[0] is not None and self.shape[1] is not None:
            self.resize.check((self.shape[0], self.shape[1]))
        return self

    def _sides(self) -> Iterator[tuple[int, int]]:
        """Heights and widths that images get on the way, as far as they are said."""
        if is_image(self.shape):
            height, width = (1 if side is None else side for side in self.shape[:2])
            yield height, width
        for each in (self.resize, *(self.preprocess.steps if self.preprocess is not None else ())):
            size, shorter = getattr(each, "size", None), getattr(each, "shorter_side", None)
            yield size or (shorter or 1, shorter or 1)

    def prepared(self, examples: Array, dtype: str) -> Array:
        """Examples [N, ...] of any type as the input takes them."""
        examples = self.values.taken(examples) if examples.ndim == IMAGES else examples
        if self.preprocess is None:
            return self.raw.taken(examples, self.values) if examples.ndim == IMAGES else examples
        done = FittedPreprocess(self.preprocess, {name: each.array() for name, each in self.arrays.items()})
        out = np.empty((len(examples), *self.preprocess.output_shape(examples.shape[1:])), dtype)
        unit = self.values.unit if examples.ndim == IMAGES else 1 / 255 if examples.dtype == np.uint8 else 1.0
        done.apply(examples, out, unit)
        return out


class OutputSignature(Settings):
    """What the numbers of an output say."""

    says: Literal["probability", "score", "boxes"] | None = None
    """What a class's number is, behind the activation; boxes: rows of a box, its score and its class; None where the
    output is of no classes."""
    activation: Activation = "none"
    """What makes the output that."""
    classes: tuple[str, ...] = ()
    category_ids: tuple[int, ...] = ()
    """What the training set's COCO file calls the classes of boxes, where it says so."""
    codes: Alphabet | None = None
    """Where the output says labels in order: what they are read with."""

    def described(self, prediction: Array, top: int, placement: Placement | None = None) -> dict[str, Any]:
        """The most probable classes of one prediction [...], or its values where it is no row of classes [K]; the boxes
        of rows [D, 6], in the image's own pixels where `placement` says how it lies in what was read."""
        if self.says == "boxes":
            return {"boxes": self._boxes(prediction, placement)}
        if self.codes is not None and prediction.ndim == 2 and prediction.shape[1]:
            labels = self.codes.read(prediction)
            known = len(self.codes.characters) + 1 == prediction.shape[1]  # a file's metadata may say anything
            return {"text": self.codes.text(labels)} if known else {"labels": labels}
        if self.says is None or prediction.ndim != 1 or len(prediction) < 2:
            return {"values": prediction.tolist()}
        numbers = ACTIVATIONS[self.activation](prediction if prediction.dtype.kind == "f" else prediction.astype(float))
        order = largest_first(numbers)[:top].tolist()
        found = [{"class": self.name_of(i), self.says: float(numbers[i])} for i in order]
        return {**found[0], **({"top": found} if top > 1 else {})}

    def name_of(self, index: int) -> str:
        """What a class is called."""
        return self.classes[index] if index < len(self.classes) else str(index)

    def _named(self, index: int) -> dict[str, Any]:
        """The class of a box, by name and number, and by its COCO id where that is known."""
        known = {CATEGORY: self.category_ids[index]} if index < len(self.category_ids) else {}
        return {"class": self.name_of(index), "class_id": index, **known}

    def _boxes(self, rows: Array, placement: Placement | None) -> list[dict[str, Any]]:
        """What is said of each of the rows [D, 6] that hold a box."""
        there = rows[(rows[:, 5] >= 0) & (rows[:, 5] < MOST_CLASSES)].astype(np.float64)
        boxes = there[:, :4] if placement is None else placement.of_image(there[:, :4])
        return [
            {**self._named(int(kind)), "score": score, "box": box}
            for box, score, kind in zip(boxes.tolist(), there[:, 4].tolist(), there[:, 5].tolist(), strict=True)
        ]


class Signature(Settings):
    """Inputs and outputs by name; what is not here is not known."""

    inputs: dict[str, InputSignature] = Field(default_factory=dict)
    outputs: dict[str, OutputSignature] = Field(default_factory=dict)
    """Those that the run's losses are on, in the recipe's order."""

    def metadata(self) -> dict[str, str]:
        of_outputs = self.outputs.values()
        known = {"codes": any(each.codes for each in of_outputs), IDS: any(each.category_ids for each in of_outputs)}
        unknown = {name for name, there in known.items() if not there}
        return {KEY: self.model_dump_json(exclude={"outputs": {"__all__": unknown}} if unknown else None)}


def read_signature(metadata: Mapping[str, str], name: str) -> Signature:
    """Of the model `name`; empty where it has none, an error where it has one that cannot be read."""
    text = metadata.get(KEY)
    if text is None:
        return Signature()
    try:
        found = Signature.model_validate_json(text)
        for each in found.inputs.values():
            arrays = {name: stored.array() for name, stored in each.arrays.items()}
            if RAW in arrays:
                FittedPreprocess(each.preprocess or Preprocess(), arrays).check()
    except (ValidationError, ValueError, OverflowError, DataError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise SpecError("G349", f"{name}: expected a signature of inputs and outputs in {KEY}, got {first}") from None
    return found
