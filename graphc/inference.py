"""`graphc run`: files in, an ONNX model, files or JSON out."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from graphc.errors import DataError, SpecError, did_you_mean
from graphc.files import atomic_write
from graphc.lazy import np
from graphc.runtime import Session
from graphc.types import Array

IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 25_000_000


def run_files(
    model: str,
    files: Sequence[str],
    *,
    output: str,
    provider: str,
    name: str | None,
    scale: float,
    mean: str | None,
    std: str | None,
    top: int | None,
) -> str:
    """Run the model on one batch of all files; the text to print (empty where a file was written)."""
    session = Session(model, provider=provider)
    given = session.inputs[0]
    channels_last = given.layout == "nhwc"
    raw = given.dtype == "uint8"  # the file has its own preprocessing
    arrays = [read_array(path, given.shape, channels_last, 1.0 if raw else scale, mean, std) for path in files]
    arrays = [array.astype(np.uint8) for array in arrays] if raw else arrays
    results = session.run({given.name: join(arrays, files)})
    if name is not None and name not in results:
        raise SpecError("G330", f"{model} has no output {name!r}{did_you_mean(name, results)}")
    chosen = {name: results[name]} if name is not None else results
    if output == "-":
        return json.dumps({key: describe(value, top) for key, value in chosen.items()}, indent=1) + "\n"
    return write(output, chosen, top)


def read_array(
    path: str, shape: Sequence[int | str], channels_last: bool, scale: float, mean: str | None, std: str | None
) -> Array:
    """A batch of float32: a .npy as it is, an image resized to the model and scaled."""
    if path.endswith(".npy"):
        array = read_npy(path)
        return array[None] if array.ndim == len(shape) - 1 else array
    pixels = read_image(path, shape if channels_last else [shape[0], *shape[2:], shape[1]])
    pixels = pixels * np.float32(scale)
    pixels = (pixels - numbers("--mean", mean, 0.0, pixels)) / numbers("--std", std, 1.0, pixels)
    return np.ascontiguousarray(pixels if channels_last else pixels.transpose(0, 3, 1, 2), np.float32)


def read_npy(path: str) -> Array:
    """The numbers of a .npy file as float32."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header alone cannot claim memory
    except Exception as error:  # NumPy reads the header with Python's tokenizer, which has errors of its own
        raise DataError("G421", f"{path}: expected a .npy array, got {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        found = getattr(array, "dtype", type(array).__name__)
        raise DataError("G421", f"{path}: expected numbers, got {found}")
    with np.errstate(over="ignore"):
        return np.array(array, np.float32)


def read_image(path: str, shape: Sequence[int | str]) -> Array:
    """An image as (1, height, width, channels), resized where the model's size is fixed."""
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise DataError("G422", f"{path}: the model reads {list(shape)}, not an image of 1 or 3 channels; give a .npy")
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                found = f"{image.width}×{image.height}"
                raise DataError("G423", f"{path}: expected at most {MAX_PIXELS:,} pixels, got {found}")
            converted = image.convert("L" if shape[3] == 1 else "RGB")
    except FileNotFoundError:
        raise DataError("G424", f"{path}: no such file") from None
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError("G425", f"{path}: expected an image, got {error}") from None
    height, width = shape[1], shape[2]
    if isinstance(height, int) and isinstance(width, int):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    array: Array = np.asarray(converted, np.float32)
    return array.reshape(1, converted.height, converted.width, int(shape[3]))


def numbers(option: str, text: str | None, default: float, pixels: Array) -> Array:
    """One number, or one a channel."""
    if text is None:
        return np.float32(default)  # type: ignore[return-value]
    channels = pixels.shape[-1]
    try:
        found = np.array([float(part) for part in text.split(",")], np.float32)
    except ValueError:
        raise SpecError("G331", f"{option} expects numbers with commas, got {text!r}") from None
    if len(found) not in (1, channels) or not np.isfinite(found).all() or (option == "--std" and not found.all()):
        count = "1 number" if channels == 1 else f"1 or {channels} numbers"
        raise SpecError("G331", f"{option} expects {count}{', not 0' if option == '--std' else ''}, got {text!r}")
    return found


def join(arrays: list[Array], files: Sequence[str]) -> Array:
    for array, path in zip(arrays, files, strict=True):
        if array.shape[1:] != arrays[0].shape[1:]:
            found = f"{files[0]} {arrays[0].shape[1:]} and {path} {array.shape[1:]}"
            raise DataError("G426", f"expected files of one shape, got {found}")
    return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]


def describe(array: Array, top: int | None) -> Any:
    """Values as lists, or of each example the `top` largest with their index."""
    if top is None or array.ndim != 2:
        return array.tolist()
    order = np.argsort(-array, axis=1, kind="stable")[:, :top]
    return [[{"index": int(i), "value": float(row[i])} for i in best] for row, best in zip(array, order, strict=True)]


def write(path: str, results: dict[str, Array], top: int | None) -> str:
    """Write one output as .npy or .png, or all as .json."""
    suffix = Path(path).suffix.lower()
    if suffix == ".json":
        text = json.dumps({key: describe(value, top) for key, value in results.items()}, indent=1) + "\n"
        atomic_write(path, text.encode())
        return ""
    if len(results) != 1:
        raise SpecError("G332", f"the model has the outputs {', '.join(results)}: choose one with --name")
    (array,) = results.values()
    buffer = io.BytesIO()
    if suffix == ".npy":
        np.save(buffer, array, allow_pickle=False)
    elif suffix == ".png":
        picture(array).save(buffer, "PNG")
    else:
        raise SpecError("G333", f"expected an output ending in .npy, .json or .png, got {path!r}")
    atomic_write(path, buffer.getvalue())
    return ""


def picture(array: Array) -> Image.Image:
    """The first example of an N C H W output as an image: each channel stretched to 0..255, side by side."""
    if array.ndim != 4:
        raise SpecError("G334", f"a .png expects an image output (N, C, H, W), got shape {array.shape}")
    maps = array[0]
    low = maps.min(axis=(1, 2), keepdims=True)
    span = np.maximum(maps.max(axis=(1, 2), keepdims=True) - low, np.float32(1e-12))
    stretched = ((maps - low) / span * 255).round().astype(np.uint8)
    return Image.fromarray(np.concatenate(list(stretched), axis=1))
