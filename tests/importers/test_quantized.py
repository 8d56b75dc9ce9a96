"""Quantized files: without their rounding on request, and with what their ranges did besides rounding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.errors import WeightsError
from graphc.importers.onnx_import import Request, import_onnx
from tests.importers.models import imported, number, write_model

QUANTIZED = (
    "a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) w = DequantizeLinear(q, t)"
    " c = Conv(b, w) d = Relu(c) e = QuantizeLinear(d, s, z) y = DequantizeLinear(e, s, z)"
)


def test_a_quantized_file_on_request(tmp_path: Path) -> None:
    """Without its rounding, which is compared; how far the rounding is is said."""
    weights = np.random.default_rng(0).integers(-100, 100, (5, 4, 1, 1)).astype(np.int8)
    arrays = {"s": number(0.05), "z": np.asarray(128, np.uint8), "q": weights, "t": number(0.01)}
    path = write_model(tmp_path, QUANTIZED, **arrays)
    with pytest.raises(WeightsError, match="cannot be said") as raised:
        import_onnx(path)
    assert "--dequantize" in raised.value.notes[0]
    assert imported(path, dequantize=True) == ["conv2d", "relu"]
    assert "without its rounding it differs from the file by" in import_onnx(path, Request(dequantize=True)).said[-1]


@pytest.mark.parametrize(
    ("zero", "scale", "kinds"),
    [
        (np.uint8(0), 0.05, ["conv2d", "relu", "conv2d"]),
        (np.int8(-128), 6 / 255, ["conv2d", "relu6", "conv2d"]),
        (np.uint8(128), 0.05, ["conv2d", "conv2d"]),
    ],
)
def test_a_relu_that_a_quantizer_left_to_the_range_is_put_back(
    tmp_path: Path, zero: Any, scale: float, kinds: list[str]
) -> None:
    body = "a = Conv(x, w) b = QuantizeLinear(a, s, z) c = DequantizeLinear(b, s, z) y = Conv(c, w)"
    arrays = {"w": np.eye(4, dtype=np.float32)[:, :, None, None], "s": number(scale), "z": np.asarray(zero)}
    path = write_model(tmp_path, body, **arrays)
    assert imported(path, dequantize=True) == kinds
    said = import_onnx(path, Request(dequantize=True)).said[-1]
    assert float(re.findall(r"by (\S+) of", said)[0]) < 0.02


def test_a_way_back_by_another_scale_is_no_rounding(tmp_path: Path) -> None:
    body = "b = QuantizeLinear(x, s, z) c = DequantizeLinear(b, t, z) y = Relu(c)"
    path = write_model(tmp_path, body, s=number(0.1), t=number(0.2), z=np.asarray(0, np.int8))
    with pytest.raises(WeightsError, match="cannot be said"):
        import_onnx(path, Request(dequantize=True))


def test_a_quantized_file_that_leaves_its_sizes_open(tmp_path: Path) -> None:
    """Its rounding is looked at in the sizes that it was read for."""
    weights = np.random.default_rng(0).integers(-100, 100, (5, 4, 1, 1)).astype(np.int8)
    arrays = {"s": number(0.05), "z": np.asarray(128, np.uint8), "q": weights, "t": number(0.01)}
    found = import_onnx(write_model(tmp_path, QUANTIZED, "N,4,H,W", **arrays), Request(dequantize=True))
    assert "[N, H, W, 4]" in found.text
    assert "without its rounding it differs from the file by" in found.said[-1]
