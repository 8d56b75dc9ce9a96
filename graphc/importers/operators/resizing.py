"""Images in another size."""

from __future__ import annotations

from typing import Any

from graphc.importers.flat import Value
from graphc.importers.float32 import short
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build
from graphc.importers.operators.windows import written

METHODS = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}
COORDINATES = {
    "half_pixel": "half_pixel", "pytorch_half_pixel": "half_pixel", "align_corners": "align_corners",
    "asymmetric": "asymmetric",
}  # fmt: skip


def resize(build: Build, node: OnnxNode) -> None:
    x = build.image()
    if len(node.inputs) > 1:
        raise RefusedError("its sizes are computed")
    if node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise RefusedError("it keeps the aspect")
    new = build.output_shape()
    if new[1] != x.shape[2]:
        raise RefusedError("it resizes the channels")
    mode = node.get("mode", "nearest")
    upsample = node.op == "Upsample"
    coordinates = node.get("coordinate_transformation_mode", "asymmetric" if upsample else "half_pixel")
    if mode not in METHODS or coordinates not in COORDINATES:
        raise RefusedError(f"its mode is {mode} with coordinates {coordinates}")
    if coordinates == "pytorch_half_pixel" and 1 in new[2:]:
        raise RefusedError("its one pixel is the first, not the middle one")
    method, chosen = METHODS[mode], COORDINATES[coordinates]
    arguments = {**_size(node, x, (new[2], new[3])), "method": method if method != "nearest" else None}
    if method == "nearest":
        rounding = node.get("nearest_mode", "floor" if upsample else "round_prefer_floor")
        arguments.update(_nearest(chosen, rounding, arguments.get("scale")))
    else:
        arguments.update(_interpolated(node, method, chosen))
    build.give(build.layer("resize", [x], arguments))


def _interpolated(node: OnnxNode, method: str, coordinates: str) -> dict[str, Any]:
    """What is not the default of bilinear or bicubic."""
    antialias = bool(node.get("antialias", 0))
    if node.get("exclude_outside", 0) and not antialias and method == "bicubic":
        raise RefusedError("it leaves out pixels outside of the image")
    found: dict[str, Any] = {"coordinates": coordinates if coordinates != "half_pixel" else None}
    coefficient = short(node.get("cubic_coeff_a", -0.75))
    if method == "bicubic" and coefficient != (-0.5 if antialias else -0.75):
        found["cubic_coeff"] = coefficient
    return {**found, "antialias": antialias or None}


def _size(node: OnnxNode, x: Value, new: tuple[int, int]) -> dict[str, Any]:
    """A whole factor where the file says one, else the new size."""
    height, width, _ = x.shape
    assert isinstance(height, int)
    assert isinstance(width, int)
    scales = node.get("scales")
    if new[0] % height == 0 and new[1] % width == 0:
        factors = new[0] // height, new[1] // width
        if scales is None or tuple(scales[-2:]) == factors:
            return {"scale": written(factors)}
    if scales is not None and any(
        size * factor != got for size, factor, got in zip((height, width), scales[-2:], new, strict=True)
    ):
        raise RefusedError(f"its scales {scales[-2:]} do not give whole sizes")
    return {"size": written(new)}


def _nearest(coordinates: str, rounding: str, scale: Any) -> dict[str, Any]:
    """What is not the default of nearest; where pixels are repeated, the common ways to say so are the default."""
    if scale is not None:
        if coordinates == "half_pixel" and rounding.startswith("round_prefer"):
            return {}
        if (coordinates, rounding) == ("asymmetric", "round_prefer_floor") and scale in (1, 2):
            return {}
    default = "floor" if coordinates == "asymmetric" else "round_prefer_floor"
    return {
        "coordinates": coordinates if coordinates != "asymmetric" else None,
        "rounding": rounding if rounding != default else None,
    }
