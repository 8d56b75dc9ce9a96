"""Which algorithm is chosen, why, and that it is the one that runs."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import SpecError
from graphc.kernels.context import RunContext
from graphc.kernels.conv import (
    ALGORITHMS,
    FORCING,
    choose_conv_algorithm,
    choose_input_gradient_algorithm,
    conv2d,
    conv2d_gradients,
    forced_algorithm,
)
from tests.kernels.conv.plain import drawn, problem_of

SAME = {1: ((0, 0), (0, 0)), 3: ((1, 1), (1, 1)), 5: ((2, 2), (2, 2)), 7: ((3, 3), (3, 3))}


def square(size, taps, channels, filters, stride=1, dilation=1, **given):
    pads = given.pop("pads", SAME[taps])
    pairs = (stride, stride), pads, (dilation, dilation)
    return problem_of((size, size), (taps, taps), *pairs, channels, filters, **{"batch": 16, **given})


CHOICES = [
    # each rule at its edge
    (square(16, 5, 16, 16), "fourier"),
    (square(17, 5, 16, 16), "winograd_1d"),
    (square(17, 5, 32, 32), "winograd_2d"),
    (square(32, 7, 16, 16), "fourier"),
    (square(34, 7, 16, 16), "unfolded"),
    (square(8, 3, 16, 16), "winograd_1d"),
    (square(14, 5, 3, 16), "unfolded"),
    (square(7, 7, 64, 64, pads=SAME[1]), "unfolded"),
    (square(6, 5, 64, 64, pads=SAME[1]), "unfolded"),
    (square(7, 5, 64, 64, pads=SAME[1]), "fourier"),
    (square(14, 5, 2, 16), "few_channels"),
    (square(14, 5, 16, 16, batch=15), "winograd_1d"),
    (square(28, 5, 1, 32), "few_channels"),
    (square(28, 5, 1, 33), "unfolded"),
    (square(32, 3, 3, 16), "few_channels"),
    (square(32, 3, 8, 16), "winograd_1d"),
    (square(32, 3, 7, 40), "unfolded"),
    (square(8, 3, 64, 64), "winograd_2d"),
    (square(8, 3, 64, 64, training=False), "winograd_1d"),
    (square(8, 3, 64, 47), "winograd_1d"),
    (square(5, 3, 64, 64), "unfolded"),
    (square(6, 3, 64, 64), "winograd_1d"),
    (square(8, 1, 64, 64), "pointwise"),
    (square(8, 1, 64, 64, groups=2), "pointwise"),
    (square(8, 1, 64, 64, stride=2), "unfolded"),
    (square(8, 3, 64, 64, stride=2), "unfolded"),
    (square(8, 3, 64, 64, dilation=2, pads=SAME[5]), "unfolded"),
    (square(8, 3, 64, 64, groups=2), "unfolded"),
    (square(8, 3, 64, 64, pads=((3, 3), (3, 3))), "unfolded"),
    (square(8, 3, 64, 64, groups=64), "depthwise_rows"),
    (square(8, 3, 64, 64, groups=64, stride=2), "depthwise_rows"),
    (square(8, 3, 64, 64, groups=64, dilation=2, pads=SAME[5]), "depthwise"),
    (square(8, 3, 64, 128, groups=64), "depthwise"),
    (square(8, 3, 1, 8), "few_channels"),
]


@pytest.fixture(autouse=True)
def _not_forced(monkeypatch):
    monkeypatch.delenv(FORCING, raising=False)


@pytest.mark.parametrize(("problem", "name"), CHOICES)
def test_the_choice(problem, name):
    algorithm, reason = choose_conv_algorithm(problem)
    assert algorithm.name == name
    assert algorithm.supports(problem)
    assert reason == algorithm.pays(problem).reason


def heights(name):
    return {h for h in range(1, 13) if choose_conv_algorithm(square_of_height(h)).algorithm.name == name}


def square_of_height(height):
    return problem_of((height, 8), (3, 3), (1, 1), SAME[3], (1, 1), 16, 16, training=False)


def test_winograd_is_left_to_heights_that_four_nearly_divides():
    assert heights("winograd_1d") == {3, 4, 6, 7, 8, 9, 10, 11, 12}


def test_reasons_name_the_figures():
    reasons = {name: choose_conv_algorithm(problem).reason for problem, name in reversed(CHOICES)}
    assert reasons["winograd_1d"] == "4 rows of 5 taps by 8 products in place of 20"
    assert reasons["unfolded"].startswith("nothing saves enough at 7×7 taps, 16 channels, 16")
    assert reasons["fourier"] == "5×5 taps on 20×20 pixels, padded: 486 products in place of 6400"
    assert reasons["few_channels"] == "50 numbers in a window, 16 filters: unfolded along the width only"
    assert reasons["winograd_2d"] == "training, 4×4 pixels of 5×5 taps by 64 products in place of 400"


@pytest.mark.parametrize(("problem", "name"), CHOICES)
def test_what_is_chosen_is_what_runs(problem, name, monkeypatch):
    """And nothing else, but for the gradient of the input, which may be a convolution of its own."""
    ran = []
    for algorithm in ALGORITHMS:
        for method in ("forward", "weight_gradient", "gradients"):
            real = getattr(algorithm, method)
            record = lambda *given, each=algorithm.name, real=real: ran.append(each) or real(*given)  # noqa: E731
            monkeypatch.setattr(algorithm, method, record)
    x, w, dy = drawn(problem)
    conv2d(RunContext(), problem, x, w)
    conv2d_gradients(RunContext(input_gradient=False), problem, x, dy, w)
    assert ran == [name, name]
    ran.clear()
    conv2d_gradients(RunContext(), problem, x, dy, w)
    assert ran[0] == name
    assert set(ran) <= {name, choose_input_gradient_algorithm(problem).algorithm.name}


def test_a_window_that_is_the_whole_image_is_a_product_there_and_back(monkeypatch):
    """Its input gradient as a convolution would be of the window's pixels in padding."""
    whole, large = square(7, 7, 64, 64, pads=SAME[1]), square(9, 7, 64, 64, pads=SAME[1])
    assert choose_input_gradient_algorithm(whole) == choose_conv_algorithm(whole)
    assert choose_input_gradient_algorithm(whole).algorithm.name == "unfolded"
    assert choose_input_gradient_algorithm(large).reason.startswith(
        "as a convolution of 64 channels: 7×7 taps on 15×15"
    )
    ran = []
    for algorithm in ALGORITHMS:
        record = lambda *given, each=algorithm: ran.append(each.name) or type(each).input_gradient(each, *given)  # noqa: E731
        monkeypatch.setattr(algorithm, "input_gradient", record)
    x, w, dy = drawn(whole)
    dx, _ = conv2d_gradients(RunContext(), whole, x, dy, w)
    assert ran == ["unfolded"]
    np.testing.assert_allclose(dx, np.einsum("nf,ijcf->nijc", dy[:, 0, 0], w), rtol=0, atol=1e-12)


def test_the_environment_forces_one(monkeypatch):
    monkeypatch.setenv(FORCING, "fourier")
    algorithm, reason = choose_conv_algorithm(square(8, 3, 64, 64))
    assert (algorithm.name, reason) == ("fourier", "GRAPHC_CONV_ALGORITHM says so")
    assert forced_algorithm() is algorithm


def test_what_it_does_not_support_goes_as_ever_and_says_so(monkeypatch):
    monkeypatch.setenv(FORCING, "winograd_2d")
    algorithm, reason = choose_conv_algorithm(square(8, 3, 64, 64, stride=2))
    assert algorithm.name == "unfolded"
    assert reason == (
        "stride 2: windows as rows of one matrix product (GRAPHC_CONV_ALGORITHM=winograd_2d does not take it: "
        "3 or 5 taps each way, one group, stride 1, no dilation, padding below the window only)"
    )


def test_a_name_that_is_none_is_an_error(monkeypatch):
    monkeypatch.setenv(FORCING, "winograd_3d")
    expected = r"GRAPHC_CONV_ALGORITHM=winograd_3d: expected one of fourier, .*, unfolded \(did you mean 'winograd_.d'"
    for ask in (forced_algorithm, lambda: choose_conv_algorithm(square(8, 3, 8, 8))):
        with pytest.raises(SpecError, match=expected):
            ask()
    monkeypatch.delenv(FORCING)
    assert forced_algorithm() is None
