"""Operators on sequences, volumes and tensors that are reshaped: as `test_operators.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.importers.models import imported, number, whole, write_model

STATES = {"w": [1, 24, 4], "r": [1, 24, 6], "b": [1, 48]}
BOTH = {"w": [2, 24, 4], "r": [2, 24, 6], "b": [2, 48], "s": whole(0, 0, -1)}
GATES = {"w": [1, 18, 4], "r": [1, 18, 6], "b": [1, 36], "direction": whole(0)}
TOGETHER = "d = MatMul(x, w) e = Add(d, b) q = Reshape(e, apart) k = Transpose<perm=[2,0,3,1,4]>(q)"
PARTS = "one, two, three = Split<axis=0>(k) q1 = Squeeze(one, z) k1 = Squeeze(two, z) v1 = Squeeze(three, z)"
JOINED = "o = Transpose<perm=[0,2,1,3]>(c) j = Reshape(o, joined)"
TIME_FIRST = "t = Transpose<perm=[1,0,2]>(x)"

FORMS: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    "lstm": (
        "N,7,4",
        f"{TIME_FIRST} a, hidden, cell = LSTM<hidden_size=6>(t, w, r, b) s = Squeeze(a, direction)"
        " y = Transpose<perm=[1,0,2]>(s)",
        {**STATES, "direction": whole(1)},
        ["lstm"],
    ),
    "lstm, the last state": (
        "N,7,4",
        f"{TIME_FIRST} a, hidden, cell = LSTM<hidden_size=6>(t, w, r, b) y = Squeeze(hidden, direction)",
        {**STATES, "direction": whole(0)},
        ["lstm"],
    ),
    "lstm both ways, its states and its last ones": (
        "N,7,4",
        f"{TIME_FIRST} a, hidden, c = LSTM<hidden_size=6, direction=\"bidirectional\">(t, w, r, b)"
        " p = Transpose<perm=[2,0,1,3]>(a) e = Reshape(p, s) m = ReduceMean<axes=[1], keepdims=0>(e)"
        " q = Transpose<perm=[1,0,2]>(hidden) f = Flatten(q) y = Add(m, f)",
        BOTH,
        ["lstm", "global_avg_pool1d", "slice", "slice", "slice", "slice", "concat", "flatten", "add"],
    ),
    "gru": (
        "N,7,4",
        f"{TIME_FIRST} a, hidden = GRU<hidden_size=6, linear_before_reset=1>(t, w, r, b)"
        " y = Squeeze(hidden, direction)",
        GATES,
        ["gru"],
    ),
    "transposed convolution": (
        "N,4,7",
        "y = ConvTranspose<strides=[2], pads=[1,1], output_padding=[1]>(x, w, b)",
        {"w": [4, 6, 3], "b": [6]},
        ["conv1d_transpose"],
    ),
    "transposed convolution, more at one end": (
        "N,4,7",
        "y = ConvTranspose<group=2, strides=[3], dilations=[2], pads=[2,0]>(x, w)",
        {"w": [4, 3, 3]},
        ["conv1d_transpose"],
    ),
    "transposed convolution of a size": (
        "N,4,7",
        "y = ConvTranspose<strides=[2], output_shape=[15]>(x, w)",
        {"w": [4, 6, 3]},
        ["conv1d_transpose"],
    ),
    "transposed convolution of a volume": (
        "N,2,3,4,5",
        "y = ConvTranspose<strides=[1,2,2], pads=[1,0,1,1,0,0]>(x, w, b)",
        {"w": [2, 3, 3, 2, 3], "b": [3]},
        ["conv3d_transpose"],
    ),
    "transposed convolution of a volume, without pads": (
        "N,2,3,4,5", "y = ConvTranspose<strides=[2,2,2]>(x, w)", {"w": [2, 3, 2, 2, 2]}, ["conv3d_transpose"]
    ),
    "product of two": (
        "N,7,4",
        "t = Transpose<perm=[0,2,1]>(x) a = MatMul(x, t) y = MatMul(a, x)",
        {},
        ["matmul", "matmul"],
    ),
    "products along a length": (
        "N,7,4",
        "t = Transpose<perm=[0,2,1]>(x) a = MatMul(t, w) u = Transpose<perm=[0,2,1]>(a) y = MatMul(v, u)",
        {"w": [7, 5], "v": [3, 5]},
        ["transpose", "fully_connected", "fully_connected"],
    ),
    "einsum of two": (
        "N,7,4",
        'a = Einsum<equation="nlc,nmc->nlm">(x, x) y = Einsum<equation="nlm,nmc->nlc">(a, x)',
        {},
        ["matmul", "matmul"],
    ),
    "einsum with a table": ("N,7,4", 'y = Einsum<equation="nlc,chd->nhld">(x, w)', {"w": [4, 2, 3]},
                            ["fully_connected", "reshape", "transpose"]),
    "attention, of one matrix": (
        "N,7,4",
        f"{TOGETHER} {PARTS} t = Transpose<perm=[0,1,3,2]>(k1) m = MatMul(q1, t) f = Mul(m, half)"
        f" a = Softmax<axis=-1>(f) c = MatMul(a, v1) {JOINED} p = MatMul(j, u) y = Add(p, h)",
        {
            "w": [4, 12], "b": [12], "apart": whole(-1, 7, 3, 2, 2), "z": whole(0), "half": number(0.5),
            "joined": whole(-1, 7, 4), "u": [4, 4], "h": [4],
        },
        ["multi_head_attention"],
    ),
    "attention whose heads and examples are one axis": (
        "N,7,4",
        f"{TIME_FIRST} q = MatMul(t, w) k = MatMul(t, v) a = Reshape(q, heads) b = Transpose<perm=[1,0,2]>(a)"
        " c = Reshape(k, heads) d = Transpose<perm=[1,2,0]>(c) e = Transpose<perm=[1,0,2]>(c) m = MatMul(b, d)"
        " s = Softmax<axis=-1>(m) o = MatMul(s, e) p = Transpose<perm=[1,0,2]>(o) r = Reshape(p, rows)"
        " g = Gemm(r, u, h) i = Reshape(g, whole) y = Transpose<perm=[1,0,2]>(i)",
        {
            "w": [4, 4], "v": [4, 4], "heads": whole(7, -1, 2), "rows": whole(-1, 4), "u": [4, 4], "h": [4],
            "whole": whole(7, -1, 4),
        },
        ["multi_head_attention"],
    ),
    "attention between others that move numbers": (
        "N,7,4",
        "t = Transpose<perm=[0,2,1]>(x) m = MatMul(x, t) s = Softmax<axis=-1>(m) y = MatMul(s, x)",
        {},
        ["matmul", "softmax", "matmul"],
    ),
    "rows of all examples": (
        "N,7,4",
        "a = Reshape(x, s) b = Gemm(a, w, c) r = Relu(b) y = Reshape(r, e)",
        {"s": whole(-1, 4), "w": [4, 5], "c": [5], "e": whole(-1, 7, 5)},
        ["fully_connected", "relu"],
    ),
    "positions and a token": (
        "N,7,4",
        "n = Shape<end=1>(x) t = Concat<axis=0>(n, rest) e = Expand(v, t) a = Concat<axis=1>(e, x)"
        " b = Add(a, p) l = LayerNormalization(b, g, h) y = Gather<axis=1>(l, first)",
        {"v": [1, 1, 4], "rest": whole(1, 4), "p": [1, 8, 4], "g": [4], "h": [4], "first": whole(0)[0]},
        ["class_token", "position_embedding", "layer_norm", "slice", "flatten"],
    ),
    "convolution of a sequence": (
        "N,4,19",
        "a = Conv<pads=[1,1], strides=[2]>(x, w, b) n = BatchNormalization(a, g, h, g, g) r = Relu(n)"
        " p = MaxPool<kernel_shape=[2], strides=[2]>(r) d = Conv<group=6>(p, v) e = GlobalAveragePool(d)"
        " y = Flatten(e)",
        {"w": [6, 4, 3], "b": [6], "g": [6], "h": [6], "v": [6, 1, 2]},
        ["conv1d", "batch_norm", "relu", "max_pool1d", "depthwise_conv1d", "global_avg_pool1d"],
    ),
    "convolution of a volume": (
        "N,2,4,6,6",
        "a = Conv<pads=[1,1,1,1,1,1]>(x, w) i = InstanceNormalization(a, g, g)"
        " p = AveragePool<kernel_shape=[2,2,2], strides=[2,2,2]>(i) f = Flatten(p) y = Gemm(f, m)",
        {"w": [3, 2, 3, 3, 3], "g": [3], "m": [54, 5]},
        ["conv3d", "instance_norm", "avg_pool3d", "flatten", "fully_connected"],
    ),
    "one matrix of windows": (
        "N,3,8,8",
        "t = Transpose<perm=[0,2,3,1]>(x) a = Reshape(t, s) b = Transpose<perm=[0,1,3,2,4,5]>(a) c = Reshape(b, r)"
        " d = MatMul(c, w) e = Reshape(d, q) f = Transpose<perm=[0,1,3,2,4,5]>(e) g = Reshape(f, z)"
        " y = Transpose<perm=[0,3,1,2]>(g)",
        {
            "s": whole(-1, 2, 4, 2, 4, 3), "r": whole(-1, 16, 3), "w": [3, 5], "q": whole(-1, 2, 2, 4, 4, 5),
            "z": whole(-1, 8, 8, 5),
        },
        ["conv2d"],
    ),
    "a table as wide as it is long": (
        "N,9",
        "a = Reshape(x, s) b = MatMul(a, a) y = Softmax<axis=1>(b)",
        {"s": whole(-1, 3, 3)},
        ["reshape", "matmul", "softmax"],
    ),
    "softmax of rows": ("N,4,8,6", "y = Softmax<axis=2>(x)", {}, ["softmax"]),
    "every second pixel": (
        "N,4,8,6",
        "y = Slice(x, s, e, a, t)",
        {"s": whole(1, 0), "e": whole(99, 99), "a": whole(2, 3), "t": whole(2, 2)},
        ["crop", "max_pool2d"],
    ),
    "every second channel": (
        "N,4,8,6",
        "y = Slice(x, s, e, a, t)",
        {"s": whole(0), "e": whole(4), "a": whole(1), "t": whole(2)},
        ["reshape", "slice", "reshape"],
    ),
    "the root of squares": ("N,4,8,6", "y = LpPool<kernel_shape=[2,2], strides=[2,2]>(x)", {}, ["lp_pool2d"]),
    "the root of squares, by means": (
        "N,4,8,6",
        "q = Pow(x, two) m = AveragePool<kernel_shape=[2,2], strides=[2,2]>(q) s = Sign(m) a = Abs(m) r = Relu(a)"
        " p = Mul(s, r) t = Mul(p, four) y = Pow(t, half)",
        {"two": number(2), "four": number(4), "half": number(0.5)},
        ["lp_pool2d"],
    ),
    "where the largest was": (
        "N,4,8,6",
        "a, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) b = Sigmoid(a)"
        " y = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(b, i)",
        {},
        ["max_pool2d", "sigmoid", "max_unpool2d"],
    ),
    "larger, by cubes": ("1,4,8,6", 'y = Resize<mode="cubic">(x, , , s)', {"s": whole(1, 4, 13, 11)}, ["resize"]),
    "the nearest by another rounding": (
        "1,4,8,6",
        'y = Resize<mode="nearest", nearest_mode="round_prefer_ceil">(x, , , s)',
        {"s": whole(1, 4, 13, 11)},
        ["resize"],
    ),
    "length of channels": (
        "N,4,8,6",
        "n = ReduceL2<axes=[1]>(x) y = Div(x, n)",
        {},
        ["divide", "reduce_sum", "sqrt", "square"],
    ),
    "a limit": ("N,4,8,6", "a = Max(x, half) y = Min(a, one)", {"half": number(0.5), "one": number(1)}, ["clip"] * 2),
    "an image of numbers added": (
        "N,4,8,6",
        "y = Add(x, b)",
        {"b": [8, 6]},
        ["transpose", "reshape", "position_embedding", "reshape"],
    ),
}  # fmt: skip
"""What it is -> the input's shape, nodes, constants, and the kinds of the layers."""


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path: Path, form: str) -> None:
    shape, body, arrays, kinds = FORMS[form]
    assert sorted(imported(write_model(tmp_path, body, shape, **arrays))) == sorted(kinds)
