"""Conventions of pooling. Values are TensorFlow's."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.dims import Formula
from graphc.errors import RuleError
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
