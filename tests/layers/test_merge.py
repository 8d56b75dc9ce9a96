"""Merges: what may meet what."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.dims import Formula
from graphc.errors import RuleError
from graphc.kernels.context import RunContext
from graphc.layers.elementwise_merge import Add, Average, Divide, Maximum, Multiply, Subtract
from graphc.layers.merge import Concat, Scale
from graphc.layers.weighted_sum import WeightedSum

H = Formula.symbol("H")


def test_a_gate_counts_for_every_pixel() -> None:
    image, gate = np.ones((2, 3, 4, 5)), np.arange(10.0).reshape(2, 1, 1, 5)
    step = Multiply().forward(RunContext(), {}, image, gate)
    np.testing.assert_array_equal(step.output, np.broadcast_to(gate, image.shape))
    _, to_gate = step.backward(np.ones_like(image)).inputs
    np.testing.assert_array_equal(to_gate, np.full(gate.shape, 12.0))


def test_gate_may_come_first_and_sizes_may_be_symbols() -> None:
    assert Multiply().infer_shape((1, 1, 8), (H, 2 * H, 8)) == (H, 2 * H, 8)
    assert Add().infer_shape((8,), (H, 2 * H, 1), (2 * H, 1)) == (H, 2 * H, 8)
    assert Concat().infer_shape((H, 4, 8), (H, 4, 3)) == (H, 4, 11)
    assert Concat(axis="height").infer_shape((H, 4, 8), (2, 4, 8)) == (H + 2, 4, 8)


@pytest.mark.parametrize(
    ("layer", "shapes", "sentence"),
    [
        (Add(), ((4, 4, 8), (4, 4, 6)), "or 1, along each axis, got 4×4×8 and 4×4×6: channels is 8 and 6"),
        (Multiply(), ((4, 4, 8), (4,)), "got 4×4×8 and 4: channels is 8 and 4"),
        (Divide(), ((4, 4, 8), (3, 8)), "got 4×4×8 and 3×8: width is 4 and 3"),
        (Maximum(), ((8,), (1, 1, 8), (4, 6, 8), (5, 6, 8)), "got 8 and 1×1×8 and 4×6×8 and 5×6×8: height is 4 and 5"),
        (Add(), ((8,), (6,)), "add expects shapes of equal sizes, or 1, along each axis, got 8 and 6: channels is 8"),
        (Add(), ((H, 4, 8), (H + 1, 4, 8)), r"got H×4×8 and \(H \+ 1\)×4×8: height is H and H \+ 1"),
        (Concat(), ((4, 4, 8), (5, 4, 8)), "concat along channels expects otherwise equal shapes, got 4×4×8 and 5×4×8"),
        (Concat(), ((4, 4, 8), (8,)), "got 4×4×8 and 8"),
    ],
)
def test_shapes_that_do_not_fit(layer, shapes, sentence) -> None:
    with pytest.raises(RuleError, match=sentence) as caught:
        layer.infer_shape(*shapes)
    assert caught.value.code == "G202"


def test_an_addition_is_one_operation_an_element() -> None:
    assert Add().count_flops((4, 4, 8), (4, 4, 8), (4, 4, 8)) == 2 * 128
    assert Multiply().count_flops((4, 4, 8), (4, 4, 8)) == 0
    assert Subtract().count_flops((4, 4, 8), (8,)) == 128
    assert Average().count_flops((4, 4, 8), (4, 4, 8)) == 2 * 128


def test_the_same_array_twice_gets_both_gradients() -> None:
    x = np.array([[2.0, 3.0]])
    step = Multiply().forward(RunContext(), {}, x, x)
    np.testing.assert_array_equal(sum(step.backward(np.ones_like(x)).inputs), 2 * x)


def test_scale_is_an_affine_map() -> None:
    factor, offset = Scale(factor=0.17).as_affine({})
    assert (factor.shape, offset.shape, float(factor), float(offset)) == ((), (), pytest.approx(0.17), 0.0)


def test_a_quotient_over_zero_is_infinite_and_warns_of_nothing() -> None:
    step = Divide().forward(RunContext(), {}, np.array([[1.0, -1.0]]), np.array([[0.0, 2.0]]))
    np.testing.assert_array_equal(step.output, [[np.inf, -0.5]])


def test_what_is_equally_large_shares_the_gradient() -> None:
    one, other = np.array([[1.0, 5.0, 2.0]]), np.array([[1.0, 4.0, 3.0]])
    first, second = Maximum().forward(RunContext(), {}, one, other).backward(np.ones_like(one)).inputs
    np.testing.assert_array_equal(first, [[0.5, 1, 0]])
    np.testing.assert_array_equal(second, [[0.5, 0, 1]])


def test_shares_are_those_of_efficientdet() -> None:
    """ReLU of the weights over their sum and an epsilon (Tan et al. 2020, "fast normalized fusion")."""
    x, y = np.ones((1, 2, 2, 3)), np.full((1, 2, 2, 3), 10.0)
    weights = np.array([3.0, -1.0])
    fast = WeightedSum(epsilon=0.5).forward(RunContext(), {"weights": weights}, x, y)
    np.testing.assert_allclose(fast.output, x * 3 / 3.5)
    softmax = WeightedSum(normalization="softmax").forward(RunContext(), {"weights": weights}, x, y)
    np.testing.assert_allclose(softmax.output, x * (np.exp(3) + 10 * np.exp(-1)) / (np.exp(3) + np.exp(-1)))
    plain = WeightedSum(normalization="none").forward(RunContext(), {"weights": weights}, x, y)
    np.testing.assert_allclose(plain.output, x * -7)
    assert fast.backward(x).params["weights"][1] == 0  # a ReLU that is shut
