"""Outputs of a model in files: .npy, .json and .png, with what they are in words."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from graphc.errors import SpecError
from graphc.files import atomic_write, shown
from graphc.lazy import np
from graphc.probabilities import largest_first
from graphc.types import Array
from graphc.valid_json import dumps

AXES = {"nhwc": "N H W C", "nchw": "N C H W"}
NUMBERS = "biuf"
"""Kinds of types that arrays in files and pictures are of."""
RGB = 3
"""Channels of a picture in color."""


def as_json(results: Mapping[str, Array], top: int | None) -> str:
    """`describe` of outputs [N, ...] by name."""
    return dumps({key: describe(value, top) for key, value in results.items()}, indent=1) + "\n"


def describe(array: Array, top: int | None) -> Any:
    """Values [N, ...] as lists, or of each example the `top` largest with their index."""
    if top is None or array.ndim != 2 or array.dtype.kind not in NUMBERS:
        return array.tolist()
    order = largest_first(array)[:, :top]
    return [[{"index": int(i), "value": row[i].item()} for i in best] for row, best in zip(array, order, strict=True)]


def said_of(name: str, array: Array, layout: str) -> str:
    """Of an array of any shape: `maps: 1×3×8×8, N C H W, float32`."""
    shape = "×".join(map(str, array.shape))
    axes = f", {AXES[layout]}" if layout in AXES and array.ndim == 4 else ""
    return f"{shown(name)}: {shape}{axes}, {array.dtype}"


def write(path: str, results: Mapping[str, Array], layouts: Mapping[str, str], top: int | None) -> str:
    """Write one output [N, ...] as .npy or .png, or all as .json; what was written, in words."""
    suffix = Path(path).suffix.lower()
    if suffix == ".json":
        atomic_write(path, as_json(results, top).encode())
        return f"{shown(path)}: {'; '.join(said_of(name, each, layouts[name]) for name, each in results.items())}"
    if suffix not in (".npy", ".png"):
        raise SpecError("G333", f"expected an output ending in .npy, .json or .png, got {path!r}")
    if len(results) != 1:
        raise SpecError("G332", f"the model has the outputs {', '.join(results)}: choose one with --name")
    ((name, array),) = results.items()
    if array.dtype.kind not in NUMBERS:
        raise SpecError("G333", f"a {suffix} expects numbers, {shown(name)} has others: .json takes them")
    buffer = io.BytesIO()
    if suffix == ".npy":
        np.save(buffer, array, allow_pickle=False)
        said = said_of(name, array, layouts[name])
    else:
        image, said = picture(array, layouts[name])
        image.save(buffer, "PNG")
        said = f"{shown(name)}: {said}{'' if len(array) == 1 else f'; the first of {len(array)} examples'}"
    atomic_write(path, buffer.getvalue())
    return f"{shown(path)}: {said}"


def picture(array: Array, layout: str) -> tuple[Image.Image, str]:
    """The first example of an image output [N, H, W, C], or in its layout, and how its values became bytes: three
    channels as RGB, others stretched each and side by side."""
    if array.ndim != 4 or 0 in array.shape:
        raise SpecError("G334", f"a .png expects an image output, with four axes, got shape {array.shape}")
    maps = array[0] if layout == "nhwc" else array[0].transpose(1, 2, 0)
    maps = maps.astype(np.float64) if array.dtype != np.uint8 else maps
    if not np.isfinite(maps).all():
        raise SpecError("G334", "a .png expects finite numbers, got NaN or infinity")
    if maps.shape[-1] != RGB:
        low, high = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
        stretched = _bytes(maps, low, high)
        count = maps.shape[-1]
        said = "lowest to highest value as black to white"
        said = said if count == 1 else f"{count} channels side by side, each with its {said}"
        return Image.fromarray(np.concatenate(list(np.moveaxis(stretched, -1, 0)), axis=1)), said
    low, high, said = _range(maps)
    return Image.fromarray(_bytes(maps, low, high)), f"RGB, {said}"


def _range(maps: Array) -> tuple[float, float, str]:
    """(black, white, that in words) of colors: 0 and 1, 0 and 255, or else the lowest and the highest value."""
    low, high = float(maps.min()), float(maps.max())
    if maps.dtype == np.uint8 or (low >= 0 and 1 < high <= 255):
        return 0.0, 255.0, "values from 0 to 255"
    if low >= 0 and high <= 1:
        return 0.0, 1.0, "values from 0 to 1"
    return low, high, f"values from {low:.4g} to {high:.4g} stretched to 0 to 255, all channels alike"


def _bytes(values: Array, low: Any, high: Any) -> Array:
    span = np.maximum(np.subtract(high, low), 1e-12)
    scaled: Array = ((values - low) / span * 255).round().clip(0, 255).astype(np.uint8)
    return scaled
