"""Operators in the forms that exporters write: each import compares its spec with the file in onnxruntime, and the
layers are those that a person would expect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graphc.importers.onnx_import import Request, import_onnx
from tests.importers.models import imported, number, numbers, whole, write_model

SIX = {"three": number(3), "zero": number(0), "six": number(6), "sixth": number(1 / 6)}
HALVES = {"half": number(0.5), "one": number(1), "root": number(2**0.5), "inverse": number(0.5**0.5)}
NORM = {"eps": number(1e-5), "two": number(2), "gamma": [4, 1, 1], "beta": [4, 1, 1]}
MEAN = "m = ReduceMean<axes=[1]>(x) d = Sub(x, m)"

FORMS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "casts to what others are": (
        "a = CastLike(two, x) b = Mul(x, a) c = CastLike(b, x) y = Relu(c)",
        {"two": np.asarray(2.0)},
        ["scale", "relu"],
    ),
    "difference and quotient": (
        "a = Sigmoid(x) b = Sub(x, a) c = Exp(a) y = Div(b, c)",
        {},
        ["sigmoid", "subtract", "exp", "divide"],
    ),
    "from a constant": (
        "a = Sub(one, x) b = Sigmoid(a) y = Div(one, b)",
        HALVES,
        ["scale", "bias_add", "sigmoid", "power"],
    ),
    "extremes": (
        "a = Tanh(x) b = Max(a, x) c = Min(b, a) y = Mean(c, x)",
        {},
        ["tanh", "maximum", "minimum", "average"],
    ),
    "clip": (
        "a = Clip(x, zero, sixth) b = Clip(x, half, six) y = Add(a, b)",
        {**SIX, **HALVES},
        ["clip", "clip", "add"],
    ),
    "plain functions": (
        "a = Abs(x) b = Sqrt(a) c = Softsign(b) d = Neg(c) e = Exp(d) f = Log(e) g = Pow(a, half) y = Add(f, g)",
        HALVES,
        ["absolute", "sqrt", "softsign", "scale", "exp", "log", "power", "add"],
    ),
    "convolution along channels": (
        "a = GlobalAveragePool(x) b = Reshape(a, r) c = Conv<pads=[1, 1]>(b, w) d = Sigmoid(c) e = Reshape(d, s)"
        " f = Shape(x) g = Expand(e, f) y = Mul(x, g)",
        {"r": whole(-1, 1, 4), "w": [1, 1, 3], "s": whole(-1, 4, 1, 1)},
        ["conv1d", "global_avg_pool2d", "multiply", "reshape", "reshape", "sigmoid"],
    ),
    "blocks of pixels as channels, and back": (
        "a = Reshape(x, s) b = Transpose<perm=[0,3,5,1,2,4]>(a) c = Reshape(b, t) r = Relu(c)"
        " d = Reshape(r, u) e = Transpose<perm=[0,3,4,1,5,2]>(d) y = Reshape(e, v)",
        {
            "s": whole(-1, 4, 4, 2, 3, 2),
            "t": whole(-1, 16, 4, 3),
            "u": whole(-1, 2, 2, 4, 4, 3),
            "v": whole(-1, 4, 8, 6),
        },
        ["depth_to_space", "relu", "space_to_depth"],
    ),
    "reciprocal": ("a = Exp(x) y = Reciprocal(a)", {}, ["exp", "power"]),
    "log_softmax": ("y = LogSoftmax<axis=1>(x)", {}, ["log_softmax"]),
    "means and largest of channels": (
        "m = ReduceMean<axes=[1], keepdims=1>(x) n = ReduceMax<axes=[1], keepdims=1>(x) y = Concat<axis=1>(m, n)",
        {},
        ["concat", "reduce_max", "reduce_mean"],
    ),
    "sum and least of pixels": (
        "m = ReduceSum<keepdims=0>(x, a) n = ReduceMin<axes=[2, 3], keepdims=0>(x) y = Add(m, n)",
        {"a": whole(2, 3)},
        ["add", "reduce_min", "reduce_sum"],
    ),
    "silu": ("s = Sigmoid(x) y = Mul(s, x)", {}, ["silu"]),
    "mish": ("a = Softplus(x) b = Tanh(a) y = Mul(x, b)", {}, ["mish"]),
    "relu6 as min of relu": ("a = Relu(x) y = Min(a, six)", SIX, ["relu6"]),
    "hard_sigmoid": ("a = Add(x, three) b = Clip(a, zero, six) y = Div(b, six)", SIX, ["hard_sigmoid"]),
    "hard_sigmoid of its own slope": ("y = HardSigmoid<alpha=0.2>(x)", {}, ["hard_sigmoid"]),
    "hard_swish": ("y = HardSwish(x)", {}, ["hard_swish"]),
    "hard_swish by its gate": ("h = HardSigmoid<alpha=0.16666667>(x) y = Mul(h, x)", {}, ["hard_swish"]),
    "hard_swish, divided last": (
        "a = Add(x, three) b = Clip(a, zero, six) c = Mul(x, b) y = Div(c, six)",
        SIX,
        ["hard_swish"],
    ),
    "hard_swish, divided first": (
        "a = Add(x, three) b = Clip(a, zero, six) c = Mul(b, sixth) y = Mul(x, c)",
        SIX,
        ["hard_swish"],
    ),
    "gelu 1": ("a = Div(x, root) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)", HALVES, ["gelu"]),
    "gelu 2": ("a = Mul(x, inverse) b = Erf(a) c = Add(one, b) d = Mul(c, half) y = Mul(x, d)", HALVES, ["gelu"]),
    "gelu 3": ("h = Mul(half, x) a = Div(x, root) b = Erf(a) c = Add(b, one) y = Mul(h, c)", HALVES, ["gelu"]),
    "unit scale and no shift": (
        "a = Mul(x, one) b = Add(a, zero) c = Identity(b) y = Relu(c)",
        {**HALVES, **SIX},
        ["relu"],
    ),
    "layer norm, as nodes": (
        f"{MEAN} p = Pow(d, two) v = ReduceMean<axes=[1]>(p) e = Add(v, eps) s = Sqrt(e) n = Div(d, s)"
        " g = Mul(n, gamma) y = Add(g, beta)",
        NORM,
        ["layer_norm"],
    ),
    "prelu of one slope": ("y = PRelu(x, one)", HALVES, ["prelu"]),
    "a number each channel": (
        "a = Mul(x, f) y = Sub(a, b)",
        {"f": [4, 1, 1], "b": [1, 4, 1, 1]},
        ["layer_scale", "bias_add"],
    ),
    "a divisor": ("y = Div(x, root)", HALVES, ["scale"]),
    "conv, padded as TensorFlow's": (
        'y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)',
        {"w": [5, 4, 3, 3]},
        ["conv2d"],
    ),
    "conv, the odd pixel first": (
        'y = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(x, w)',
        {"w": [5, 4, 3, 3]},
        ["conv2d"],
    ),
    "conv, padded differently on each side": (
        "y = Conv<pads=[1,0,2,3], dilations=[2,1]>(x, w, b)",
        {"w": [5, 4, 3, 2], "b": [5]},
        ["conv2d"],
    ),
    "max pool, dilated": ("y = MaxPool<kernel_shape=[2,3], dilations=[2,1], pads=[1,1,1,1]>(x)", {}, ["max_pool2d"]),
    "grouped": ("y = Conv<group=2, pads=[1,1,1,1]>(x, w)", {"w": [6, 2, 3, 3]}, ["conv2d"]),
    "depthwise, two filters each": (
        "y = Conv<group=4, pads=[1,1,1,1]>(x, w)",
        {"w": [8, 1, 3, 3]},
        ["depthwise_conv2d"],
    ),
    "transposed": (
        "y = ConvTranspose<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]>(x, w)",
        {"w": [4, 5, 3, 3]},
        ["conv2d_transpose"],
    ),
    "transposed, of a size": (
        "y = ConvTranspose<strides=[2,2], output_shape=[16,12]>(x, w)",
        {"w": [4, 5, 3, 3]},
        ["conv2d_transpose"],
    ),
    "pools": (
        "a = MaxPool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(x)"
        " y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(a)",
        {},
        ["max_pool2d", "avg_pool2d"],
    ),
    "a pool of one pixel": ("a = AveragePool<kernel_shape=[1,1]>(x) y = Relu(a)", {}, ["relu"]),
    "a border below all numbers": (
        "a = Pad(x, pads, low) y = MaxPool<kernel_shape=[3,3], strides=[2,2]>(a)",
        {"pads": whole(0, 0, 1, 0, 0, 0, 0, 1), "low": number(-float("inf"))},
        ["max_pool2d"],
    ),
    "global pool and squeeze": (
        "a = GlobalAveragePool(x) y = Squeeze(a, axes)",
        {"axes": whole(2, 3)},
        ["global_avg_pool2d"],
    ),
    "a mean as a pixel again": (
        "m = ReduceMean<axes=[2,3], keepdims=0>(x) r = Reshape(m, s) c = Conv(r, w) y = Mul(x, c)",
        {"s": whole(-1, 4, 1, 1), "w": [4, 4, 1, 1]},
        ["global_avg_pool2d", "conv2d", "multiply"],
    ),
    "mean of pixels": ("y = ReduceMean<axes=[2,3], keepdims=0>(x)", {}, ["global_avg_pool2d"]),
    "flatten in C H W and gemm": (
        "a = Flatten(x) b = Relu(a) y = Gemm<transB=1, alpha=0.5>(b, w, c)",
        {"w": [7, 192], "c": [7]},
        ["flatten", "relu", "fully_connected"],
    ),
    "reshape and matmul": (
        "a = Reshape(x, s) b = MatMul(a, w) y = Add(b, c)",
        {"s": whole(0, -1), "w": [192, 7], "c": [7]},
        ["flatten", "fully_connected"],
    ),
    "pixels as rows, and rows as an image": (
        "t = Transpose<perm=[0,2,3,1]>(x) a = Reshape(t, r) b = Concat<axis=1>(a, a) i = Reshape(b, s)"
        " p = Transpose<perm=[0,3,1,2]>(i) c = Conv(p, w) y = Reshape(c, r1)",
        {"r": whole(-1, 48, 4), "s": whole(-1, 96, 2, 2), "w": [1, 2, 1, 1], "r1": whole(-1, 96, 2)},
        ["reshape", "concat", "reshape", "conv2d", "reshape"],
    ),
    "a matrix for the channels": (
        "t = Transpose<perm=[0,2,3,1]>(x) a = MatMul(t, w) b = Add(a, c) y = Transpose<perm=[0,3,1,2]>(b)",
        {"w": [4, 5], "c": [5]},
        ["conv2d"],
    ),
    "a gate": (
        "p = GlobalAveragePool(x) f = Flatten(p) a = Gemm(f, w) s = Sigmoid(a) u = Unsqueeze(s, axes) y = Mul(x, u)",
        {"w": [4, 4], "axes": whole(2, 3)},
        ["global_avg_pool2d", "fully_connected", "sigmoid", "reshape", "multiply"],
    ),
    "batch norm": ("y = BatchNormalization(x, g, b, m, v)", {k: [4] for k in "gbmv"}, ["batch_norm"]),
    "shuffle": (
        "a = Reshape(x, s) b = Transpose<perm=[0,2,1,3,4]>(a) y = Reshape(b, e)",
        {"s": whole(-1, 2, 2, 8, 6), "e": whole(-1, 4, 8, 6)},
        ["channel_shuffle"],
    ),
    "shuffle of picked channels": ("y = Gather<axis=1>(x, i)", {"i": whole(0, 2, 1, 3)}, ["channel_shuffle"]),
    "group norm": (
        "a = Reshape(x, s) b = InstanceNormalization(a, o, z) c = Reshape(b, e) d = Mul(c, g) y = Add(d, h)",
        {
            "s": whole(0, 2, -1),
            "e": whole(-1, 4, 8, 6),
            "o": numbers(1, 1),
            "z": numbers(0, 0),
            "g": [4, 1, 1],
            "h": [4, 1, 1],
        },
        ["group_norm"],
    ),
    "shape as a computation": (
        "s = Shape(x) n = Gather(s, first) u = Unsqueeze(n, axis) t = Concat<axis=0>(u, rest) r = Reshape(x, t)"
        " y = MatMul(r, w)",
        {"w": [192, 3], "first": whole(0)[0], "axis": whole(0), "rest": whole(-1)},
        ["flatten", "fully_connected"],
    ),
    "halves of the channels": (
        "a, b = Split<axis=1>(x) c = Relu(b) y = Concat<axis=1>(c, a)",
        {},
        ["slice", "slice", "relu", "concat"],
    ),
    "a part": ("y = Slice(x, s, e, a)", {"s": whole(1, 0), "e": whole(-1, 5), "a": whole(2, 3)}, ["crop"]),
    "a border cut off": ("y = Pad(x, pads)", {"pads": whole(0, 0, -1, 1, 0, 0, 0, 0)}, ["crop", "pad"]),
    "a border before a convolution": (
        "a = Pad(x, pads) y = Conv<strides=[2,2]>(a, w)",
        {"pads": whole(0, 0, 0, 0, 0, 0, 1, 1), "w": [5, 4, 3, 3]},
        ["conv2d"],
    ),
    "mirrored border": ('y = Pad<mode="reflect">(x, pads)', {"pads": whole(0, 0, 2, 1, 0, 0, 1, 1)}, ["pad"]),
    "border again": ('y = Pad<mode="edge">(x, pads)', {"pads": whole(0, 0, 2, 1, 0, 0, 1, 1)}, ["pad"]),
    "transposed, in groups, dilated": (
        "y = ConvTranspose<group=2, strides=[2,2], dilations=[1,2], pads=[1,1,1,1]>(x, w)",
        {"w": [4, 3, 3, 3]},
        ["conv2d_transpose"],
    ),
    "pixel_shuffle": ('y = DepthToSpace<blocksize=2, mode="CRD">(x)', {}, ["depth_to_space"]),
    "twice as large": (
        'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s)',
        {"s": numbers(1, 1, 2, 2)},
        ["resize"],
    ),
    "larger, by size": ('y = Resize<mode="linear">(x, , , s)', {"s": whole(1, 4, 13, 11)}, ["resize"]),
    "blocks as channels": (
        "a = SpaceToDepth<blocksize=2>(x) y = DepthToSpace<blocksize=2>(a)",
        {},
        ["space_to_depth", "depth_to_space"],
    ),
    "neighboring channels": ("y = LRN<size=3, alpha=0.3>(x)", {}, ["local_response_norm"]),
    "softmax": ("y = Softmax<axis=1>(x)", {}, ["softmax"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path: Path, form: str) -> None:
    body, arrays, kinds = FORMS[form]
    shape = "1,4,8,6" if "Resize" in body and "s" in arrays and arrays["s"].dtype == "int64" else "N,4,8,6"
    assert sorted(imported(write_model(tmp_path, body, shape, **arrays))) == sorted(kinds)


OLD: dict[str, tuple[int, str, dict[str, Any], list[str]]] = {
    "limits": (9, "y = Clip<min=0.0, max=6.0>(x)", {}, ["relu6"]),
    "ranges": (9, "y = Slice<starts=[1], ends=[3], axes=[1]>(x)", {}, ["slice"]),
    "pads": (9, "y = Pad<pads=[0,0,1,1,0,0,1,1]>(x)", {}, ["pad"]),
    "upsample": (9, 'y = Upsample<mode="nearest">(x, s)', {"s": numbers(1, 1, 2, 2)}, ["resize"]),
    "resize": (10, 'y = Resize<mode="nearest">(x, s)', {"s": numbers(1, 1, 2, 2)}, ["resize"]),
    "squeeze": (11, "a = GlobalMaxPool(x) y = Squeeze<axes=[2,3]>(a)", {}, ["global_max_pool2d"]),
    "split": (11, "a, y = Split<axis=1, split=[1,3]>(x)", {}, ["slice"]),
    "mean": (18, "y = ReduceMean<keepdims=0>(x, a)", {"a": whole(2, 3)}, ["global_avg_pool2d"]),
}  # fmt: skip
"""Operators whose attributes became inputs, before and after."""


@pytest.mark.parametrize("form", OLD)
def test_every_opset_s_form(tmp_path: Path, form: str) -> None:
    opset, body, arrays, kinds = OLD[form]
    assert imported(write_model(tmp_path, body, opset=opset, **arrays)) == kinds


def test_a_vector_as_an_image(tmp_path: Path) -> None:
    """The outputs of the dense layer before are exchanged: the file's order is C H W."""
    arrays = {"w": [6, 24], "s": whole(-1, 2, 3, 4), "k": [3, 2, 3, 3]}
    path = write_model(tmp_path, "a = MatMul(x, w) b = Reshape(a, s) y = Conv(b, k)", "N,6", **arrays)
    assert imported(path) == ["fully_connected", "reshape", "conv2d"]


def test_channels_last(tmp_path: Path) -> None:
    """TensorFlow's files have a Transpose before their convolutions."""
    body = "t = Transpose<perm=[0,3,1,2]>(x) a = Conv(t, w) b = Transpose<perm=[0,2,3,1]>(a) y = Relu(b)"
    path = write_model(tmp_path, body, "N,9,7,3", w=[5, 3, 3, 3])
    assert "x: [N, 9, 7, 3]" in import_onnx(path).text
    assert imported(path) == ["conv2d", "relu"]


def test_open_sizes_stay_open(tmp_path: Path) -> None:
    body = "a = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w) y = GlobalAveragePool(a)"
    path = write_model(tmp_path, body, "N,3,H,W", w=[5, 3, 3, 3])
    assert "x: [N, H, W, 3]" in import_onnx(path).text
    assert "x: [N, 32, 48, 3]" in import_onnx(path, Request(sizes={"": (32, 48)})).text
    path = write_model(tmp_path, body, "N,3,16,W", w=[5, 3, 3, 3])
    assert "x: [N, 16, W, 3]" in import_onnx(path).text


def test_padding_that_is_same_for_even_sizes_alone_leaves_none_others_open(tmp_path: Path) -> None:
    """One pixel behind is TensorFlow's `same` for 224 pixels, and not for 225."""
    path = write_model(tmp_path, "y = Conv<pads=[0,0,1,1], strides=[2,2]>(x, w)", "N,3,H,W", w=[5, 3, 3, 3])
    text = import_onnx(path).text
    assert 'x: [N, "32*H", "32*W", 3]' in text
    assert "same" not in text  # conv2d's own default


def test_a_comparison_that_says_little_is_said(tmp_path: Path) -> None:
    """An output that is always 0, or hardly moves: a wrong layer before it would not be seen."""
    still = "the comparison says little"
    for body, told in (("Relu(b)", True), ("Sigmoid(a)", False)):
        for shape in ("N,4,8,6", "1,4,8,6"):
            text = f"a = Conv(x, w) b = Add(a, low) y = {body}"
            path = write_model(tmp_path, text, shape, w=[4, 4, 1, 1], low=number(-1e6))
            assert any(still in line for line in import_onnx(path).said) == told


def test_sizes_that_layers_depend_on_are_fixed_and_said(tmp_path: Path) -> None:
    path = write_model(tmp_path, "a = Relu(x) b = Flatten(a) y = MatMul(b, w)", "N,3,H,W", w=[192, 5])
    assert "x: [N, 8, 8, 3]" in import_onnx(path, Request(sizes={"x": (3, 8, 8)})).text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("names", "{0: 'cat', 1: \"dog's\"}"),
        ("classes", '["cat", "dog\'s"]'),
        ("labels", '{"1": "dog\'s", "0": "cat"}'),
    ],
)
def test_classes_from_the_metadata(tmp_path: Path, key: str, text: str) -> None:
    path = write_model(tmp_path, "y = Relu(x)")
    model = onnx.load(path)
    model.metadata_props.add(key=key, value=text)
    path.write_bytes(model.SerializeToString())
    assert "# 2 classes: cat, dog's\n" in import_onnx(path).text


def test_until_a_value_or_a_node(tmp_path: Path) -> None:
    path = write_model(tmp_path, "a = Conv(x, w) b = Relu(a) y = Sin(b)", w=[5, 4, 3, 3])
    assert imported(path, until=("b",)) == ["conv2d", "relu"]
    assert imported(path, until=("a",)) == ["conv2d"]


def test_an_output_within_a_branch_can_be_named(tmp_path: Path) -> None:
    body = "a = Relu(x) b = Sigmoid(a) c = Tanh(b) y = Add(a, c)"
    found = import_onnx(write_model(tmp_path, body, out="b, float[] y"))
    assert "with structure" not in " ".join(found.said)
    assert "outputs: {b: sigmoid, y: add}" in found.text
