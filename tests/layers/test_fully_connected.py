"""Conventions of fully connected layers, biases and maxout."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import RuleError
from graphc.layers.bias_add import BiasAdd
from graphc.layers.fully_connected import FullyConnected
from graphc.layers.maxout import Maxout
from tests.layers.apply import apply
from tests.layers.cases import Case
from tests.layers.one_layer import emitted_nodes


def test_a_row_of_weights_belongs_to_an_input():
    weights = np.array([[1.0, 10], [100, 1000], [0, 2]])
    found = apply(FullyConnected(units=2), np.array([1.0, 2, 3]), weights=weights, biases=np.array([0.5, 0]))
    np.testing.assert_array_equal(found, [201.5, 2016])


def test_costs():
    layer = FullyConnected(units=4096)
    assert sum(np.prod(spec.shape) for spec in layer.declare_params((25088,)).values()) == 102_764_544  # VGG-16's fc6
    assert layer.count_macs((25088,)) == 102_760_448
    assert layer.count_flops((25088,)) == 2 * 102_760_448 + 4096


def test_an_image_is_refused_with_what_to_do():
    with pytest.raises(RuleError, match=r"got 7×7×512: put flatten before it, or use conv2d with kernel 1"):
        FullyConnected(units=10).infer_shape((7, 7, 512))


def test_it_is_emitted_as_gemm_with_transposed_weights():
    (node,) = emitted_nodes(Case(FullyConnected(units=3), ((5,),)))
    assert (node["op_type"], node["transB"]) == ("Gemm", 1)


def test_bias_add_adds_by_channel():
    found = apply(BiasAdd(), np.zeros((1, 2, 3)), biases=np.array([1.0, 2, 3]))
    np.testing.assert_array_equal(found, [[1, 2, 3], [1, 2, 3]])
    assert BiasAdd().count_flops((4, 5, 3)) == 60


def test_maxout_takes_neighbouring_channels():
    np.testing.assert_array_equal(apply(Maxout(units=2), np.array([1.0, 5, 3, 2, 0, 4])), [5, 4])
    with pytest.raises(RuleError, match="units=4 must divide channels=6"):
        Maxout(units=4).infer_shape((2, 2, 6))
