"""Convolutions."""

from __future__ import annotations

from random import Random

from graphc.layers.conv import Conv2d, Convolution
from graphc.layers.conv_transpose import Conv2dTranspose
from graphc.layers.depthwise_conv import DepthwiseConv2d, SeparableConv2d
from tests.layers.cases import Case

IMAGE = (7, 6, 4)
WIDE = (8, 5, 8)
"""With enough channels for the kernels' faster ways."""

CASES = [
    Case(Conv2d(filters=5, kernel=3), (IMAGE,)),
    Case(Conv2d(filters=5, kernel=3, padding="valid", bias=False), (IMAGE,)),
    Case(Conv2d(filters=3, kernel=(3, 2), stride=2), (IMAGE,)),
    Case(Conv2d(filters=3, kernel=3, stride=2), ((8, 8, 2),)),
    Case(Conv2d(filters=3, kernel=3, stride=2, padding="same_fixed"), ((8, 8, 2),)),
    Case(Conv2d(filters=3, kernel=4, stride=(1, 3), padding="same_fixed"), (IMAGE,)),
    Case(Conv2d(filters=2, kernel=3, padding=((0, 2), (3, 1))), (IMAGE,)),
    Case(Conv2d(filters=2, kernel=3, dilation=(2, 1)), (IMAGE,), reach="inside"),
    Case(Conv2d(filters=2, kernel=3, dilation=2, stride=2), ((9, 8, 2),), reach="inside"),
    Case(Conv2d(filters=6, kernel=3, groups=2), (IMAGE,)),
    Case(Conv2d(filters=8, kernel=(1, 3), groups=4), (IMAGE,)),
    Case(Conv2d(filters=3, kernel=1), (IMAGE,)),
    Case(Conv2d(filters=3, kernel=1, stride=2), (IMAGE,)),
    Case(Conv2d(filters=3, kernel=2, stride=3), (IMAGE,)),
    Case(Conv2d(filters=3, kernel=(7, 6), padding="valid"), (IMAGE,)),
    Case(Conv2d(filters=3, kernel=3, trainable=False), (IMAGE,)),
    Case(Conv2d(filters=9, kernel=3), (WIDE,)),
    Case(Conv2d(filters=9, kernel=3, padding="valid"), (WIDE,)),
    Case(Conv2d(filters=9, kernel=3, padding=((2, 1), (0, 1)), stride=(1, 2)), (WIDE,)),
    Case(Conv2d(filters=3, kernel=3, weight_standardization=True), (IMAGE,)),
    Case(Conv2d(filters=4, kernel=3, groups=2, weight_standardization=True, bias=False), (IMAGE,)),
    Case(Conv2d(filters=3, kernel=3, stride=2, padding_mode="reflect"), (IMAGE,), reach="any"),
    Case(Conv2d(filters=2, kernel=5, padding=((2, 1), (0, 3)), padding_mode="edge"), (IMAGE,), reach="any"),
    Case(Conv2d(filters=2, kernel=5, dilation=(1, 2), padding_mode="symmetric"), (IMAGE,), reach="any"),
    Case(Conv2d(filters=9, kernel=3, padding="same_fixed", padding_mode="circular"), (WIDE,), reach="any"),
    Case(Conv2d(filters=3, kernel=3, padding="valid", padding_mode="reflect"), (IMAGE,)),
    Case(DepthwiseConv2d(kernel=3, padding_mode="circular"), (IMAGE,), reach="any"),
    Case(SeparableConv2d(filters=5, kernel=3, stride=2, padding_mode="edge"), (IMAGE,), reach="any"),
    Case(DepthwiseConv2d(kernel=3), (IMAGE,)),
    Case(DepthwiseConv2d(kernel=3, stride=2, bias=False), (IMAGE,)),
    Case(DepthwiseConv2d(kernel=3, depth_multiplier=3, padding="valid"), (IMAGE,)),
    Case(DepthwiseConv2d(kernel=(2, 3), stride=2, padding="same_fixed"), (IMAGE,)),
    Case(DepthwiseConv2d(kernel=3, dilation=2), (IMAGE,), reach="inside"),
    Case(DepthwiseConv2d(kernel=3), ((5, 5, 1),)),
    Case(SeparableConv2d(filters=5, kernel=3), (IMAGE,)),
    Case(SeparableConv2d(filters=5, kernel=3, depth_multiplier=2, stride=2, bias=False), (IMAGE,)),
    Case(SeparableConv2d(kernel=3, depth_multiplier=2), (IMAGE,)),
    Case(SeparableConv2d(filters=3, kernel=3, dilation=(1, 2), padding="valid"), (IMAGE,), reach="inside"),
    Case(Conv2dTranspose(filters=3, kernel=3), (IMAGE,)),
    Case(Conv2dTranspose(filters=9, kernel=3), (WIDE,)),
    Case(Conv2dTranspose(filters=3, kernel=3, stride=2), (IMAGE,)),
    Case(Conv2dTranspose(filters=3, kernel=2, stride=2, bias=False), (IMAGE,)),
    Case(Conv2dTranspose(filters=3, kernel=3, stride=2, padding="valid"), (IMAGE,)),
    Case(Conv2dTranspose(filters=3, kernel=(2, 4), stride=(2, 5)), ((3, 2, 2),)),
    Case(Conv2dTranspose(filters=3, kernel=1, stride=3, padding="valid"), ((3, 2, 2),)),
    Case(Conv2dTranspose(filters=2, kernel=3, stride=2, padding=1, output_padding=1), (IMAGE,)),
    Case(Conv2dTranspose(filters=2, kernel=3, stride=2, padding=1, output_padding=(0, 1)), (IMAGE,)),
    Case(Conv2dTranspose(filters=2, kernel=3, stride=2, padding=1, like="x1"), ((2, 3, 2), (4, 5, 1)), reach="any"),
    Case(Conv2dTranspose(filters=2, kernel=3, stride=2, like="x1"), ((2, 3, 2), (3, 6, 1)), reach="any"),
    Case(Conv2dTranspose(filters=2, kernel=4, stride=2, padding=((1, 0), (2, 1))), (IMAGE,)),
    Case(Conv2dTranspose(filters=6, kernel=3, stride=2, groups=2), (IMAGE,)),
    Case(Conv2dTranspose(filters=4, kernel=3, stride=(1, 2), groups=4, padding="valid"), (IMAGE,)),
    Case(Conv2dTranspose(filters=3, kernel=3, stride=2, dilation=2), ((4, 3, 2),), reach="within"),
    Case(Conv2dTranspose(filters=2, kernel=2, stride=(3, 2), dilation=(2, 3), groups=2), ((3, 4, 2),), reach="within"),
    Case(Conv2dTranspose(filters=2, kernel=3, dilation=2, padding=1), (IMAGE,), reach="within"),
]


def window(rng: Random) -> dict[str, object]:
    """Arguments of a window over an image that is at least 9×9."""
    pad = lambda: rng.randint(0, 2)  # noqa: E731
    explicit = ((pad(), pad()), (pad(), pad()))
    return {
        "kernel": (rng.randint(1, 3), rng.randint(1, 4)),
        "stride": (rng.randint(1, 3), rng.randint(1, 3)),
        "padding": rng.choice(["same", "valid", "same_fixed", explicit]),
    }


def dilated(rng: Random) -> dict[str, object]:
    return {**window(rng), "dilation": (rng.randint(1, 2), rng.randint(1, 2)), "bias": rng.choice([True, False])}


def size(rng: Random) -> tuple[int, int]:
    return rng.randint(9, 12), rng.randint(9, 12)


def with_reach(layer: Convolution, shape: tuple[int, ...]) -> Case:
    return Case(layer, (shape,), reach="exact" if layer.dilation == (1, 1) else "inside")


def conv2d(rng: Random) -> Case:
    groups = rng.choice([1, 1, 2, 3])
    layer = Conv2d(filters=groups * rng.randint(1, 3), groups=groups, **dilated(rng))
    return with_reach(layer, (*size(rng), groups * rng.choice([1, 2, 8])))


def depthwise_conv2d(rng: Random) -> Case:
    layer = DepthwiseConv2d(depth_multiplier=rng.randint(1, 3), **dilated(rng))
    return with_reach(layer, (*size(rng), rng.randint(1, 4)))


def separable_conv2d(rng: Random) -> Case:
    layer = SeparableConv2d(filters=rng.choice([None, 1, 4]), depth_multiplier=rng.randint(1, 2), **dilated(rng))
    return with_reach(layer, (*size(rng), rng.randint(1, 4)))


def conv2d_transpose(rng: Random) -> Case:
    arguments = window(rng)
    adds = 0 if isinstance(arguments["padding"], str) else rng.randrange(min(arguments["stride"]))
    dilation, groups = (rng.randint(1, 2), rng.choice([1, 1, 2])), rng.choice([1, 1, 2])
    more = {"output_padding": adds, "dilation": dilation, "groups": groups, "bias": rng.choice([True, False])}
    layer = Conv2dTranspose(filters=groups * rng.randint(1, 3), **more, **arguments)
    shape = (rng.randint(5, 7), rng.randint(5, 7), groups * rng.randint(1, 3))
    return Case(layer, (shape,), reach="exact" if dilation == (1, 1) else "within")


SAMPLERS = {
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise_conv2d,
    "separable_conv2d": separable_conv2d,
    "conv2d_transpose": conv2d_transpose,
}
