"""Conventions of pooling. Values are TensorFlow's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import onnx
import onnxruntime
import pytest

from graphc.compiler import compile_plan, plan_spec
from graphc.dims import Formula
from graphc.errors import RuleError
from graphc.execution.network import evaluate
from graphc.layers.global_pool import GlobalAvgPool2d, GlobalMaxPool2d
from graphc.layers.pool import AvgPool2d, MaxPool2d
from tests.layers.apply import apply, gradient
from tests.layers.cases import Case
from tests.layers.one_layer import emitted_nodes

COUNT = np.arange(16.0).reshape(4, 4, 1)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (AvgPool2d(kernel=3, stride=2, padding="same"), [[5, 6.5], [11, 12.5]]),
        (
            AvgPool2d(kernel=3, stride=1, padding="same"),
            [[2.5, 3, 4, 4.5], [4.5, 5, 6, 6.5], [8.5, 9, 10, 10.5], [10.5, 11, 12, 12.5]],
        ),
        (MaxPool2d(kernel=3, stride=2, padding="same"), [[10, 11], [14, 15]]),
        (
            MaxPool2d(kernel=3, stride=1, padding="same"),
            [[5, 6, 7, 7], [9, 10, 11, 11], [13, 14, 15, 15], [13, 14, 15, 15]],
        ),
        (MaxPool2d(kernel=2), [[5, 7], [13, 15]]),
        (AvgPool2d(kernel=2), [[2.5, 4.5], [10.5, 12.5]]),
        (MaxPool2d(kernel=1, stride=2), [[0, 2], [8, 10]]),
    ],
)
def test_values(layer, expected):
    np.testing.assert_array_equal(apply(layer, COUNT), expected)


def test_padding_never_wins_a_maximum():
    found = apply(MaxPool2d(kernel=3, stride=1, padding="same"), COUNT - 100)
    np.testing.assert_array_equal(found, apply(MaxPool2d(kernel=3, stride=1, padding="same"), COUNT) - 100)


def test_a_tie_goes_to_the_first_pixel():
    x = np.zeros((2, 2, 1))
    dy = np.ones((1, 1, 1))
    np.testing.assert_array_equal(gradient(MaxPool2d(kernel=2), x, dy), [[1, 0], [0, 0]])
    np.testing.assert_array_equal(gradient(GlobalMaxPool2d(), x, dy[0, 0]), [[1, 0], [0, 0]])


def test_average_gradient_is_shared_by_the_windows_pixels():
    found = gradient(AvgPool2d(kernel=3, stride=2, padding="same"), COUNT, np.ones((2, 2, 1)))
    rows = np.array([[1, 0], [1, 0], [1, 1], [0, 1]])  # pixels × windows along one axis
    shares = rows @ np.diag([1 / 3, 1 / 2])
    np.testing.assert_allclose(found, np.multiply.outer(shares.sum(axis=1), shares.sum(axis=1)), atol=1e-15)


def test_global_pools_give_a_vector_unless_told():
    image = np.array([[[1.0, 8], [3, 2]]])  # 1×2 pixels, 2 channels
    np.testing.assert_array_equal(apply(GlobalAvgPool2d(), image), [2, 5])
    np.testing.assert_array_equal(apply(GlobalMaxPool2d(), image), [3, 8])
    assert GlobalAvgPool2d().infer_shape((7, 7, 64)) == (64,)
    assert GlobalMaxPool2d(keep_dims=True).infer_shape((7, 7, 64)) == (1, 1, 64)


def test_flops_are_the_kernels_area_an_output():
    assert MaxPool2d(kernel=2).count_flops((8, 8, 3)) == 4 * 4 * 3 * 4
    assert AvgPool2d(kernel=3, stride=1, padding="same").count_flops((8, 8, 3)) == 8 * 8 * 3 * 9
    assert GlobalAvgPool2d().count_flops((8, 8, 3)) == 8 * 8 * 3


def test_stride_is_the_kernels_size_unless_told():
    assert MaxPool2d(kernel=(2, 3)).infer_shape((6, 6, 1)) == (3, 2, 1)
    assert MaxPool2d(kernel=(2, 3), stride=1).infer_shape((6, 6, 1)) == (5, 4, 1)


def test_a_window_of_padding_alone_is_refused():
    with pytest.raises(RuleError, match="must be less than kernel") as caught:
        MaxPool2d(kernel=2, padding=2).infer_shape((8, 8, 3))
    assert caught.value.argument == "padding"


def test_average_is_emitted_without_its_padding():
    (node,) = emitted_nodes(Case(AvgPool2d(kernel=3, stride=2, padding="same"), ((8, 8, 3),)))
    assert (node["op_type"], node["pads"], node["count_include_pad"]) == ("AveragePool", [0, 0, 1, 1], 0)


def test_global_average_is_emitted_as_a_pool_and_a_flatten():
    nodes = emitted_nodes(Case(GlobalAvgPool2d(), ((8, 8, 3),)))
    assert [node["op_type"] for node in nodes] == ["GlobalAveragePool", "Flatten"]
    assert nodes[1]["axis"] == 1


def test_same_padding_of_an_open_size_by_strides_larger_than_the_kernel():
    height, width = Formula.symbol("H"), Formula.symbol("W")
    assert MaxPool2d(kernel=2, stride=3, padding="same").infer_shape((height, width, 1))[0] == (height + 2) // 3
    with pytest.raises(RuleError, match="strides larger than the kernel with padding=same need a fixed size"):
        MaxPool2d(kernel=3, stride=4, padding="same").infer_shape((height, width, 1))
    with pytest.raises(RuleError, match="strides larger than the kernel"):  # the height's pads decide for both axes
        AvgPool2d(kernel=(3, 1), stride=2, padding="same").infer_shape((height, width, 1))


def peers_pool(kind: str, x, **attributes):
    """onnxruntime's own rounding up and counting, which is PyTorch's."""
    node = onnx.helper.make_node(kind, ["x"], ["y"], ceil_mode=1, **attributes)
    infos = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4) for name in "xy"]
    graph = onnx.helper.make_graph([node], "pool", infos[:1], infos[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.transpose(2, 0, 1)[None]})[0][0].transpose(1, 2, 0)


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_sizes_rounded_up_are_pytorchs(kernel):
    x = np.random.default_rng(0).normal(size=(9, 8, 2)).astype(np.float32)
    for stride, pad, size in itertools.product((1, 2, 3, 4), range(kernel // 2 + 1), (5, 6, 7, 8)):
        window = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        arguments = {"kernel": kernel, "stride": stride, "padding": pad, "ceil_mode": True}
        cut = x[:size]
        np.testing.assert_array_equal(apply(MaxPool2d(**arguments), cut), peers_pool("MaxPool", cut, **window))
        for counted in (0, 1):
            expected = peers_pool("AveragePool", cut, count_include_pad=counted, **window)
            found = apply(AvgPool2d(count_include_pad=bool(counted), **arguments), cut)
            np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=f"{arguments} {counted} {size}")


def test_an_open_size_is_rounded_up_as_every_fixed_one():
    height, width = Formula.symbol("H"), Formula.symbol("W")
    for kernel, stride, pad in ((2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 3, 0), (4, 3, 1)):
        layer = MaxPool2d(kernel=kernel, stride=stride, padding=pad, ceil_mode=True)
        rows = layer.infer_shape((height, width, 1))[0]
        for size in range(5, 20):
            assert rows.evaluate({"H": size}) == layer.infer_shape((size, size, 1))[0]
    with pytest.raises(RuleError, match="ceil_mode=true with stride=3 over a kernel of 2 needs a fixed size"):
        MaxPool2d(kernel=2, stride=3, ceil_mode=True).infer_shape((height, width, 1))


@pytest.mark.parametrize(("size", "count"), [(7, 5), (5, 7), (8, 3), (8, 4), (5, 2), (1, 3)])
def test_adaptive_windows(size, count):
    x = np.random.default_rng(0).normal(size=(size, 6, 2))
    parts = [x[math.floor(i * size / count) : math.ceil((i + 1) * size / count)] for i in range(count)]
    for kind, over in ((MaxPool2d, np.max), (AvgPool2d, np.mean)):
        layer = kind(output_size=(count, 1)).fitted(x.shape)
        assert layer.infer_shape(x.shape) == (count, 1, 2)
        expected = np.stack([over(part, axis=(0, 1)) for part in parts])
        np.testing.assert_allclose(apply(layer, x), expected, atol=1e-15)


def test_adaptive_windows_that_are_equal_are_an_ordinary_pool():
    assert AvgPool2d(output_size=4).fitted((8, 12, 1)) == AvgPool2d(kernel=(2, 3), stride=(2, 3))
    assert MaxPool2d(output_size=2).fitted((5, 3, 1)) == MaxPool2d(kernel=(3, 2), stride=(2, 1))


@pytest.mark.parametrize(
    ("kind", "given", "sizes"),
    [("2d", "H, W, 3", ((9, 5), (8, 16), (2, 1))), ("2d", "H, 6, 3", ((7, 6),)), ("1d", "W, 3", ((5,), (8,)))],
)
@pytest.mark.parametrize("what", ["max", "avg"])
def test_adaptive_windows_of_an_open_size(what, kind, given, sizes, tmp_path):
    """One file for every size gives what NumPy does, as spatial pyramid pooling asks for."""
    ort = pytest.importorskip("onnxruntime")
    path = tmp_path / "net.yaml"
    layers = f"[{what}_pool{kind}: {{output_size: 4}}]"
    path.write_text(f"graphc: 1\nname: net\ninputs: {{x: [N, {given}]}}\nlayers: {layers}\n")
    plan = plan_spec(path)
    (node,) = plan.nodes
    assert node.receptive_field is None
    session = ort.InferenceSession(compile_plan(plan, {}).serialize(), providers=["CPUExecutionProvider"])
    for size in sizes:
        x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
        (theirs,) = session.run(None, {"x": x})
        ours = evaluate(plan, {}, {"x": x})[node.node.name]
        np.testing.assert_allclose(theirs, ours, atol=1e-6)


def test_what_an_output_size_needs():
    with pytest.raises(ValueError, match="stride goes with kernel, not with output_size"):
        MaxPool2d(output_size=1, stride=2)
    with pytest.raises(ValueError, match="expected either kernel or output_size"):
        AvgPool2d(output_size=6, kernel=2)


def test_a_dilated_window_without_a_pixel_is_refused():
    with pytest.raises(RuleError, match=r"dilation=3 over a kernel of 2 .* a window without a pixel of its input of 2"):
        MaxPool2d(kernel=2, stride=1, dilation=3, padding="same").infer_shape((2, 2, 1))
    assert MaxPool2d(kernel=2, stride=1, dilation=3, padding="same").infer_shape((4, 4, 1)) == (4, 4, 1)


def test_a_dilated_pool_of_an_open_size():
    height, width = Formula.symbol("H"), Formula.symbol("W")
    rows = MaxPool2d(kernel=3, stride=2, dilation=2, padding=1).infer_shape((height, width, 1))[0]
    assert [rows.evaluate({"H": size}) for size in (7, 8)] == [3, 3]


def test_same_padding_is_never_counted():
    with pytest.raises(RuleError, match="padding=same is never counted"):
        AvgPool2d(kernel=3, padding="same", count_include_pad=True).infer_shape((8, 8, 3))
