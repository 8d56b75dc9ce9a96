"""What a file must give for one input that everybody can make, so that a page finds out whether its runtime is right.

WebGPU's convolutions have been wrong without a word (docs: `--target webgpu`); other providers may be.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.emit.read import open_model, precision_of
from graphc.errors import SpecError
from graphc.files import shown
from graphc.runtime import Session
from graphc.types import Array
from graphc.web.describe import Description, Picture

MOST = 4096
"""Values of an output that are kept: all, or as many at equal distances."""
TOLERANCE = {"float32": 1e-3, "float16": 0.02, "int8": 0.1}
"""Of an output's largest absolute value, by what a file computes in. Sums in float32 in another order differ by far
less, wrong ones by far more; in 8-bit integers a value that is rounded the other way is a whole step off."""


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """Of each output, in the file's order: its shape, and values at every `step`-th place."""

    tolerance: float
    outputs: dict[str, dict[str, Any]]


def known_input(picture: Picture) -> Array:
    """A slope of light with noise, in every channel another: [1, H, W, C] or [1, C, H, W], as the file takes it.

    Whole numbers of 32 bits alone, so that the page's own script (`answer.js`) makes the same.
    """
    height, width, channels = picture.height, picture.width, picture.channels
    index = np.arange(height * width * channels, dtype=np.uint32).reshape(height, width, channels)
    noise = index * np.uint32(2654435761)
    noise ^= noise >> np.uint32(15)
    noise = (noise * np.uint32(2246822519)) >> np.uint32(24)
    row, column = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
    slope = (row * 255 // max(height - 1, 1) + column * 255 // max(width - 1, 1)) // 2
    bytes_ = (noise.astype(np.int64) + slope) // 2
    return as_input(bytes_.astype(np.uint8), picture)


def as_input(pixels: Array, picture: Picture) -> Array:
    """Bytes [H, W, C] as the input takes them, [1, H, W, C] or [1, C, H, W]."""
    values = (pixels * np.array(picture.scale) + np.array(picture.offset)).astype(picture.dtype)
    values = values if picture.layout == "nhwc" else values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None])


def known_answer(session: Session, path: str, description: Description) -> KnownAnswer:
    """By onnxruntime on this machine's processor; a SpecError where the answer says nothing."""
    results = session.run({description.input.name: known_input(description.input)})
    outputs = {}
    for name, values in results.items():
        if values.dtype.kind not in "biuf":
            raise SpecError("G353", f"{session.name}: expected outputs of numbers, {shown(name)} has others")
        numbers = np.asarray(values, np.float32)
        if not np.isfinite(numbers).all():
            raise SpecError("G353", f"{session.name} gives NaN or infinity for the page's known picture in {name}")
        step = -(-numbers.size // MOST) or 1
        kept = np.ascontiguousarray(numbers.ravel()[::step], "<f4")
        data = base64.b64encode(kept.tobytes()).decode()
        outputs[name] = {"shape": list(numbers.shape), "step": step, "values": data}
    return KnownAnswer(TOLERANCE[precision_of(open_model(path))], outputs)
