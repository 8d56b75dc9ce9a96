"""Images in another size."""

from __future__ import annotations

from typing import Any

from graphc.importers.flat import Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build
from graphc.importers.operators.windows import written_pair

BILINEAR = {
    "half_pixel": "half_pixel", "pytorch_half_pixel": "half_pixel", "align_corners": "align_corners",
    "asymmetric": "asymmetric",
}  # fmt: skip


def resize(build: Build, node: OnnxNode) -> None:
    x = build.image()
    if len(node.inputs) > 1:
        raise RefusedError("its sizes are computed")
    if node.get("antialias", 0) or node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise RefusedError("it smooths, or keeps the aspect")
    new = build.output_shape()
    if new[1] != x.shape[2]:
        raise RefusedError("it resizes the channels")
    mode = node.get("mode", "nearest")
    upsample = node.op == "Upsample"
    coordinates = node.get("coordinate_transformation_mode", "asymmetric" if upsample else "half_pixel")
    arguments = _size(node, x, (new[2], new[3]))
    if mode == "nearest":
        rounding = node.get("nearest_mode", "floor" if upsample else "round_prefer_floor")
        _check_nearest(coordinates, rounding, arguments.get("scale"))
    elif mode == "linear" and coordinates in BILINEAR:
        if coordinates == "pytorch_half_pixel" and 1 in new[2:]:
            raise RefusedError("its one pixel is the first, not the middle one")
        arguments["method"] = "bilinear"
        arguments["coordinates"] = BILINEAR[coordinates] if BILINEAR[coordinates] != "half_pixel" else None
    else:
        raise RefusedError(f"its mode is {mode} with coordinates {coordinates}")
    build.give(build.layer("resize", [x], arguments))


def _size(node: OnnxNode, x: Value, new: tuple[int, int]) -> dict[str, Any]:
    """A whole factor where the file says one, else the new size."""
    height, width, _ = x.shape
    assert isinstance(height, int)
    assert isinstance(width, int)
    scales = node.get("scales")
    if new[0] % height == 0 and new[1] % width == 0:
        factors = new[0] // height, new[1] // width
        if scales is None or tuple(scales[-2:]) == factors:
            return {"scale": written_pair(factors)}
    if scales is not None and any(
        size * factor != got for size, factor, got in zip((height, width), scales[-2:], new, strict=True)
    ):
        raise RefusedError(f"its scales {scales[-2:]} do not give whole sizes")
    return {"size": written_pair(new)}


def _check_nearest(coordinates: str, rounding: str, scale: Any) -> None:
    """Nothing where this is the pixel at floor(position * old/new)."""
    if (coordinates, rounding) == ("asymmetric", "floor"):
        return
    if scale is not None:
        if coordinates in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round_prefer"):
            return
        if (coordinates, rounding) == ("asymmetric", "round_prefer_floor") and scale in (1, 2):
            return
    raise RefusedError(f"it takes the nearest pixel by {rounding} and {coordinates}: expected floor and asymmetric")
