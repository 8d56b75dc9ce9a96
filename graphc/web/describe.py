"""What a page or a program must know of an ONNX file: what pictures become, what outputs mean.

What these cannot do exactly is refused with a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graphc.bench import shapes_of
from graphc.data.preprocess import FittedPreprocess
from graphc.data.resizing import STRETCH, Resizing
from graphc.data.sides import PIXEL_LIMIT
from graphc.data.value_range import BYTES, ImageValues, ValueRange
from graphc.emit.front import merged
from graphc.emit.operations import Affine
from graphc.errors import SpecError
from graphc.files import shown
from graphc.inference import Scaling, numbers
from graphc.runtime import Port, Session
from graphc.signature import InputSignature, OutputSignature, read_signature

DTYPES = ("uint8", "float32")
"""Of inputs, that a page makes of a picture's bytes."""
CHANNELS = (1, 3, 4)
MOST_MAPS = 16
"""Channels that are shown side by side."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The input: a picture's bytes, resized to height and width, times scale plus offset, a channel each."""

    name: str
    dtype: str
    layout: str
    height: int
    width: int
    channels: int
    resize: dict[str, Any]
    """As `graphc.data.resizing` writes it."""
    rounds: bool
    """Whether resizing rounds to bytes, as it does where images are read as bytes."""
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    max_pixels: int


@dataclass(frozen=True, slots=True)
class Output:
    """One output, and how it is shown."""

    name: str
    shown_as: str
    """classes, boxes, mask, image, text or values."""
    layout: str
    says: str
    """What a class's number is: probability, score, or value where nobody says it."""
    activation: str
    classes: tuple[str, ...] = ()
    characters: str = ""
    blank: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """All of it."""

    title: str
    file: str
    input: Picture
    outputs: tuple[Output, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def describe(session: Session, title: str, file: str, sizes: Mapping[str, int], scaling: Scaling) -> Description:
    """Of a loaded file; a SpecError where a page cannot show it. `sizes`: as of `shapes_of`."""
    signature = read_signature(session.metadata, session.name)
    shapes, batch = shapes_of(session, 1, sizes, fixed=False)
    if batch != 1:
        raise SpecError("G353", f"{session.name} takes {batch} pictures at once, expected one: --batch 1 compiles so")
    if len(session.inputs) != 1:
        names = ", ".join(port.name for port in session.inputs)
        raise SpecError("G353", f"expected a model of one picture, {session.name} takes {names}")
    (port,) = session.inputs
    picture = picture_of(session.name, port, shapes[port.name], signature.inputs.get(port.name), scaling)
    outputs = [_output(each, signature.outputs.get(each.name)) for each in session.outputs]
    order = list(signature.outputs)
    outputs.sort(key=lambda each: order.index(each.name) if each.name in order else len(order))
    return Description(title, file, picture, tuple(outputs))


def picture_of(
    name: str, port: Port, shape: tuple[int, ...], known: InputSignature | None, scaling: Scaling
) -> Picture:
    """Of an input of this shape, with the batch; `known`: what is said of it. A SpecError where it is none that a page
    can make."""
    if len(shape) != 4:
        raise SpecError("G353", f"expected a model of one picture, {name} takes {port.name} of {len(shape)} axes")
    layout = port.layout or ("nchw" if shape[1] in CHANNELS and shape[3] not in CHANNELS else "nhwc")
    height, width, channels = shape[1:] if layout == "nhwc" else (*shape[2:], shape[1])
    if channels not in CHANNELS:
        raise SpecError("G353", f"expected a picture of 1, 3 or 4 channels, {name} takes {channels}")
    if not 0 < height * width <= PIXEL_LIMIT:
        found = f"{height}×{width}"
        raise SpecError("G353", f"expected a picture of 1 to {PIXEL_LIMIT:,} pixels, {name} takes {found}")
    if port.dtype not in DTYPES:
        raise SpecError("G353", f"expected an input of {' or '.join(DTYPES)}, {name} takes {port.dtype}")
    resize: Resizing = STRETCH
    rounds, most = True, PIXEL_LIMIT
    if scaling.given:
        affine = _given(scaling, channels, name, known)
    elif known is None:
        affine = _unsaid(name, port)
    else:
        affine, rounds = _said(name, known)
        height, width = _before(known, height, width, name)
        resize, most = known.resize, known.max_pixels
    scale, offset = (tuple(np.broadcast_to(part, channels).tolist()) for part in affine)
    if not np.isfinite([scale, offset]).all():
        found = f"the factor {scale} and the offset {offset}"
        raise SpecError("G353", f"{shown(name)}: expected pictures times a factor plus an offset, found {found}")
    facts = {"kind": resize.kind, **resize.model_dump(mode="json")}
    return Picture(port.name, port.dtype, layout, height, width, channels, facts, rounds, scale, offset, most)


def _unsaid(name: str, port: Port) -> tuple[Any, Any]:
    """(scale, offset) for a file without a signature."""
    if port.dtype == "uint8":
        return 1.0, 0.0
    notes = ["graphc compile --with-preprocess has the file do it, or say it here: --scale, --mean, --std"]
    raise SpecError("G353", f"{name} does not say how images were preprocessed in training", notes=notes)


def _given(scaling: Scaling, channels: int, name: str, known: InputSignature | None) -> tuple[Any, Any]:
    """(bytes * scale - mean) / std."""
    if known is not None and known.preprocess is None:
        raise SpecError("G331", f"{name} preprocesses its images itself: --scale, --mean and --std do not go with it")
    pixels = np.empty((1, 1, channels), np.float32)
    factor = 1 / 255 if scaling.scale is None else scaling.scale
    mean, std = (numbers(*each, pixels) for each in (("--mean", scaling.mean, 0.0), ("--std", scaling.std, 1.0)))
    return factor / std, -mean / std


def _said(name: str, known: InputSignature) -> tuple[tuple[Any, Any], bool]:
    """((scale, offset) from bytes to what the input takes, whether they are resized as bytes)."""
    for values in (known.read, known.values, known.raw):
        if values is not None and values.dtype not in ("uint8", "float32", "float64", "float16"):
            raise SpecError("G353", f"expected a model of pictures of bytes, {name} was trained on {values.dtype}")
    to_values = _between(BYTES, known.values, name)
    rounds = known.values.dtype == "uint8" or known.read is None or known.read.dtype == "uint8"
    if known.preprocess is None:
        return _after(to_values, _between(known.values, known.raw, name)), rounds
    done = FittedPreprocess(known.preprocess, {key: each.array() for key, each in known.arrays.items()})
    shape = tuple(size or 0 for size in known.shape)
    for operation in merged(done.operations(shape, known.values.unit)):
        if not isinstance(operation, Affine) or max(operation.scale.ndim, operation.offset.ndim) > 1:
            what = type(operation).__name__
            found = f"its preprocessing is more than a factor and an offset ({what})"
            raise SpecError("G353", f"{name}: {found}: --with-preprocess compiles it into the file")
        to_values = _after(to_values, (operation.scale, operation.offset))
    return to_values, rounds


def _between(here: ImageValues, there: ImageValues, name: str) -> tuple[Any, Any]:
    """(scale, offset) from one range of values to another."""
    if here.dtype == there.dtype or np.dtype(here.dtype).kind == np.dtype(there.dtype).kind == "f":
        return 1.0, 0.0
    low, high = here.range, there.range
    if not (isinstance(low, ValueRange) and isinstance(high, ValueRange)):
        raise SpecError("G353", f"{name} does not say which values of its images are black and white")
    factor = high.span / low.span
    return factor, high.low - low.low * factor


def _after(first: tuple[Any, Any], then: tuple[Any, Any]) -> tuple[Any, Any]:
    """Both as one."""
    return np.multiply(first[0], then[0]), np.multiply(first[1], then[0]) + then[1]


def _before(known: InputSignature, height: int, width: int, name: str) -> tuple[int, int]:
    """Height and width before preprocessing, which the input's own are unless that changes them."""
    rows, columns = known.shape[0] or height, known.shape[1] or width
    if known.preprocess is not None and (rows, columns) != (height, width):
        message = f"its preprocessing makes {height}×{width} of {rows}×{columns}: --with-preprocess compiles it in"
        raise SpecError("G353", f"{shown(name)}: {message}")
    return rows, columns


def _output(port: Port, known: OutputSignature | None) -> Output:
    known = known or OutputSignature()
    rank = len(port.shape)
    kind = _kind(port, known, rank)
    codes = known.codes
    return Output(
        port.name,
        kind,
        port.layout,
        known.says or "value",
        known.activation,
        known.classes,
        codes.characters if codes is not None else "",
        codes.blank if codes is not None else 0,
    )


def _kind(port: Port, known: OutputSignature, rank: int) -> str:
    """How an output is shown."""
    channels = port.shape[1] if port.layout == "nchw" else port.shape[-1]
    table: Sequence[tuple[str, bool]] = (
        ("boxes", known.says == "boxes" and rank == 3),
        ("text", known.codes is not None and rank == 3),
        ("classes", known.says in ("probability", "score") and rank == 2),
        ("mask", known.says in ("probability", "score") and rank == 4),
        ("image", rank == 4 and isinstance(channels, int) and channels <= MOST_MAPS),
    )
    return next((kind for kind, fits in table if fits), "values")
