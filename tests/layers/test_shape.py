"""Kinds that move numbers about, against TensorFlow's documented examples and small cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from graphc.dims import Formula
from graphc.errors import RuleError
from graphc.kernels.context import RunContext
from graphc.layers.base import Layer
from graphc.layers.channel_shuffle import ChannelShuffle
from graphc.layers.crop import Crop, Slice
from graphc.layers.dropout import Dropout, DropPath, SpatialDropout
from graphc.layers.gaussian_noise import GaussianNoise
from graphc.layers.pad import Pad
from graphc.layers.reshape import Flatten, Reshape
from graphc.layers.resize import Resize
from graphc.layers.space_to_depth import DepthToSpace, SpaceToDepth


def run(layer: Layer, x: np.ndarray) -> np.ndarray:
    return layer.forward(RunContext(), {}, x).output


def row(*values: float) -> np.ndarray:
    """An image of one row and one channel."""
    return np.array(values, np.float64).reshape(1, 1, -1, 1)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ([[[1], [2]], [[3], [4]]], [[[1, 2, 3, 4]]]),
        ([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], [[list(range(1, 13))]]),
        (
            [[[1], [2], [5], [6]], [[3], [4], [7], [8]], [[9], [10], [13], [14]], [[11], [12], [15], [16]]],
            [[[1, 2, 3, 4], [5, 6, 7, 8]], [[9, 10, 11, 12], [13, 14, 15, 16]]],
        ),
    ],
)
def test_space_to_depth_has_tensorflows_documented_values(image: list, expected: list) -> None:
    np.testing.assert_array_equal(run(SpaceToDepth(block=2), np.array([image]))[0], expected)
    np.testing.assert_array_equal(run(DepthToSpace(block=2), np.array([expected]))[0], image)


def test_channel_shuffle_deals_the_groups_out() -> None:
    y = run(ChannelShuffle(groups=2), np.arange(6).reshape(1, 1, 1, 6))
    assert y.ravel().tolist() == [0, 3, 1, 4, 2, 5]


def test_flatten_is_height_width_channels() -> None:
    x = np.arange(24).reshape(1, 2, 3, 4)
    assert run(Flatten(), x).tolist() == [list(range(24))]


@pytest.mark.parametrize(
    ("layer", "x", "expected"),
    [
        (Resize(scale=(1, 2)), row(1, 2), [1, 1, 2, 2]),
        (Resize(size=(1, 5)), row(1, 2, 3), [1, 1, 2, 2, 3]),
        (Resize(size=(1, 2)), row(1, 2, 3, 4, 5), [1, 3]),
        (Resize(scale=(1, 2), method="bilinear"), row(1, 2), [1, 1.25, 1.75, 2]),
        (Resize(size=(1, 5), method="bilinear", coordinates="align_corners"), row(0, 1, 2), [0, 0.5, 1, 1.5, 2]),
        (Resize(scale=(1, 2), method="bilinear", coordinates="asymmetric"), row(1, 2), [1, 1.5, 2, 2]),
        (Resize(size=(1, 2), method="bilinear"), row(1, 2, 3, 4), [1.5, 3.5]),
        (Pad(padding=((0, 0), (2, 2)), mode="reflect"), row(1, 2, 3), [3, 2, 1, 2, 3, 2, 1]),
        (Pad(padding=((0, 0), (1, 2)), mode="edge"), row(1, 2, 3), [1, 1, 2, 3, 3, 3]),
        (Pad(padding=((0, 0), (2, 1)), mode="symmetric"), row(1, 2, 3), [2, 1, 1, 2, 3, 3]),
        (Pad(padding=((0, 0), (2, 1)), mode="circular"), row(1, 2, 3), [2, 3, 1, 2, 3, 1]),
        (Pad(padding=((0, 0), (1, 2)), value=9), row(1), [9, 1, 9, 9]),
        (Crop(cut=((0, 0), (1, 2))), row(1, 2, 3, 4), [2]),
        (Crop(size=(1, 2)), row(1, 2, 3, 4, 5), [2, 3]),
        (Slice(start=1, stop=3, axis="width"), row(1, 2, 3, 4), [2, 3]),
    ],
)
def test_one_row(layer: Layer, x: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_allclose(run(layer, x).ravel(), expected)


def test_reach_of_a_resized_image_is_exact() -> None:
    reach = Resize(scale=2, method="bilinear").reach((4, 4, 1))[0]
    assert [(reach.first(y), reach.last(y)) for y in range(4)] == [(-1, 0), (0, 1), (0, 1), (1, 2)]
    reach = Resize(size=(2, 2)).reach((6, 6, 1))[0]
    assert [(reach.first(y), reach.last(y)) for y in range(2)] == [(0, 0), (3, 3)]


def test_dropout_scales_what_it_keeps_and_draws_the_same_for_the_same_step() -> None:
    x = np.ones((4, 1000), np.float32)
    layer = Dropout(rate=0.25)
    steps = [layer.forward(RunContext(training=True, key=(1, 2, 3)), {}, x) for _ in range(2)]
    y = steps[0].output
    np.testing.assert_array_equal(y, steps[1].output)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.05
    np.testing.assert_array_equal(steps[0].backward(x).inputs[0], y)
    assert (layer.forward(RunContext(training=True, key=(1, 2, 4)), {}, x).output != y).any()
    assert layer.forward(RunContext(), {}, x).output is x


def test_noise_is_normal_in_training_and_nothing_in_inference() -> None:
    mean = np.full((50, 4, 5, 20), 3, np.float32)
    deviation = np.broadcast_to(np.arange(1, 21, dtype=np.float32), mean.shape)
    layer = GaussianNoise(stddev=0.5)
    step = layer.forward(RunContext(training=True), {}, mean, deviation)
    noise = (step.output - mean) / deviation
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 0.5) < 0.02
    assert abs((noise > 0.5).mean() - 0.1587) < 0.02  # a standard deviation above
    dmean, ddeviation = step.backward(np.ones_like(mean)).inputs
    np.testing.assert_array_equal(dmean, np.ones_like(mean))
    np.testing.assert_allclose(ddeviation, noise, atol=1e-6)
    assert layer.forward(RunContext(), {}, mean, deviation).output is mean


@pytest.mark.parametrize(
    ("layer", "axes"),
    [(SpatialDropout(rate=0.25), (1, 2)), (DropPath(rate=0.25), (1, 2, 3))],
)
def test_what_is_dropped_as_one(layer: Layer, axes: tuple[int, ...]) -> None:
    x = np.ones((1000 // (1 if len(axes) == 3 else 4), 2, 3, 4), np.float32)
    y = layer.forward(RunContext(training=True), {}, x).output
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    np.testing.assert_array_equal(y.max(axis=axes), y.min(axis=axes))
    assert abs((y == 0).mean() - 0.25) < 0.05


@pytest.mark.parametrize(
    ("layer", "shape", "code", "sentence"),
    [
        (Reshape(shape=(5, -1)), (2, 3, 2), "G207", r"shape=\[5, -1\] does not fit the 12 numbers"),
        (Reshape(shape=(-1, -1)), (2, 3, 2), "G207", "2 sizes of -1; one may be"),
        (Reshape(shape=(0, 5)), (2, 3, 2), "G207", "does not fit the 12 numbers"),
        (Flatten(), (Formula.symbol("H"), Formula.symbol("W"), 2), "G205", "one is open at most, got H×W×2"),
        (
            Pad(padding=3, mode="reflect"),
            (3, 4, 2),
            "G203",
            "reflecting 3 pixels needs a height of more",
        ),
        (Pad(padding=4, mode="symmetric"), (3, 4, 2), "G203", "mirroring 4 pixels needs a height of as many, got 3"),
        (Pad(padding=5, mode="circular"), (5, 4, 2), "G203", "5 pixels of the other side needs a width of as many"),
        (SpatialDropout(), (8,), "G201", "spatial_dropout drops channels of several values, got 8; dropout drops"),
        (Crop(cut=2), (4, 9, 2), "G203", "cutting 4 of 4 pixels leaves nothing"),
        (Crop(size=5), (4, 9, 2), "G203", "size=5×5 is larger than its input of 4×9"),
        (Slice(start=3), (4, 9, 2), "G203", "start=3 is not below 2"),
        (Slice(stop=5), (4, 9, 2), "G203", "stop=5 is past the end of channels, which is 2"),
        (SpaceToDepth(block=2), (4, 9, 2), "G203", "block=2 does not divide the width, which is 9"),
        (SpaceToDepth(block=2), (Formula.symbol("H"), 4, 2), "G205", r"write the input's size as 2\*H"),
        (DepthToSpace(block=2), (4, 9, 6), "G203", "block=2 needs a multiple of 4 channels, got 6"),
        (ChannelShuffle(groups=4), (4, 9, 6), "G204", "groups=4 does not divide the 6 channels"),
        (Resize(size=4), (Formula.symbol("H"), 4, 2), "G205", "resize needs fixed sizes"),
        (Resize(scale=1.5, method="bilinear"), (Formula.symbol("H"), 4, 2), "G205", r"input's size as 2\*H"),
        (Resize(scale=0.5, method="bilinear", antialias=True), (Formula.symbol("H"), 4, 2), "G205", "with antialias"),
        (Pad(padding=1), (8,), "G201", "pad expects length×channels, .*, got 8"),
        (Pad(padding=(1, 2, 3)), (8, 8, 1), "G201", r"\[1, 2, 3\] is for 3 axes, got 8×8×1 with 2 spatial axes"),
        (Resize(scale=(1, 2)), (8, 2), "G201", r"scale=\[1, 2\] is for 2 axes, got 8×2 with 1 spatial axis"),
        (Crop(size=(2, 9)), (8, 8, 1), "G203", "size=2×9 is larger than its input of 8×8"),
        (Slice(start=-9), (8,), "G203", "start=-9 is before the first of channels, which is 8"),
        (Slice(start=-1, stop=-3), (8,), "G203", "start=-1 is not below -3"),
    ],
)
def test_shape_that_cannot_be_is_a_sentence(layer: Layer, shape: tuple, code: str, sentence: str) -> None:
    with pytest.raises(RuleError, match=sentence) as caught:
        layer.infer_shape(shape)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("kind", "arguments", "sentence"),
    [
        (Resize, {}, "either scale or size"),
        (Resize, {"scale": 2, "size": 4}, "either scale or size"),
        (Resize, {"scale": 2, "like": "c1"}, "either scale or size or like"),
        (Resize, {"scale": 0.1234567}, "no fraction with a denominator of at most 1,000"),
        (Resize, {"scale": 2, "method": "bilinear", "rounding": "floor"}, "rounding is for method: nearest"),
        (Resize, {"scale": 2, "cubic_coeff": -0.5}, "cubic_coeff is for method: bicubic"),
        (Resize, {"scale": 2, "antialias": True}, "antialias is for bilinear and bicubic"),
        (Crop, {}, "either cut or size"),
        (Dropout, {"rate": 1.0}, "less than 1"),
        (Dropout, {"rate": "0.5"}, "valid number"),
        (Reshape, {"shape": []}, "at least 1"),
    ],
)
def test_arguments_that_cannot_be(kind: type[Layer], arguments: dict, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        kind(**arguments)


def test_space_to_depth_of_a_multiple_of_a_symbol() -> None:
    size = 2 * Formula.symbol("H")
    assert SpaceToDepth(block=2).infer_shape((size, 4, 3)) == (Formula.symbol("H"), 2, 12)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Dropout(), (3, 4, 2)),
        (Flatten(), (6,)),
        (Reshape(shape=(3, -1, 2)), (3, 4, 2)),
        (Pad(padding=0), (3, 4, 2)),
        (Crop(cut=0), (3, 4, 2)),
        (Crop(size=(3, 4)), (3, 4, 2)),
        (Slice(stop=2), (3, 4, 2)),
        (Resize(scale=1, method="bilinear"), (3, 4, 2)),
        (Resize(size=(3, 4), method="bilinear", coordinates="align_corners"), (3, 4, 2)),
        (SpaceToDepth(block=1), (3, 4, 2)),
        (DepthToSpace(block=1), (3, 4, 2)),
        (ChannelShuffle(groups=1), (3, 4, 2)),
        (ChannelShuffle(groups=2), (3, 4, 2)),
    ],
    ids=str,
)
def test_what_says_that_it_does_nothing_does_nothing(layer: Layer, shape: tuple) -> None:
    x = np.random.default_rng(0).standard_normal((2, *shape))
    assert layer.does_nothing(shape)
    np.testing.assert_array_equal(run(layer, x), x)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Flatten(), (3, 4, 2)),
        (Flatten(), (2, 6)),
        (Reshape(shape=(4, 3, 2)), (3, 4, 2)),
        (Pad(padding=((0, 0), (0, 1))), (3, 4, 2)),
        (Crop(cut=((0, 0), (0, 1))), (3, 4, 2)),
        (Slice(start=1), (3, 4, 2)),
        (Resize(scale=(1, 2)), (3, 4, 2)),
        (SpaceToDepth(block=2), (4, 4, 2)),
        (ChannelShuffle(groups=2), (3, 4, 4)),
    ],
    ids=str,
)
def test_what_does_something_says_so(layer: Layer, shape: tuple) -> None:
    assert not layer.does_nothing(shape)
