"""Convolutions and pooling of sequences and volumes."""

from __future__ import annotations

from random import Random

from graphc.layers.adaptive_pool import AdaptiveAvgPool1d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool3d
from graphc.layers.conv_ranks import Conv1d, Conv3d, DepthwiseConv1d, DepthwiseConv3d
from graphc.layers.global_pool import GlobalAvgPool1d, GlobalAvgPool3d, GlobalMaxPool1d, GlobalMaxPool3d
from graphc.layers.pool_ranks import AvgPool1d, AvgPool3d, MaxPool1d, MaxPool3d
from tests.layers.cases import Case

SEQUENCE = (9, 4)
VOLUME = (4, 5, 3, 2)

CASES = [
    Case(Conv1d(filters=5, kernel=3), (SEQUENCE,)),
    Case(Conv1d(filters=3, kernel=4, stride=3, padding="valid", bias=False), (SEQUENCE,)),
    Case(Conv1d(filters=6, kernel=3, stride=2, padding=(2, 0), groups=2), (SEQUENCE,)),
    Case(Conv1d(filters=3, kernel=3, dilation=2, padding="same_fixed"), (SEQUENCE,), reach="inside"),
    Case(Conv1d(filters=3, kernel=3, padding_mode="reflect"), (SEQUENCE,), reach="any"),
    Case(Conv1d(filters=3, kernel="input", padding="valid").fitted(SEQUENCE), (SEQUENCE,)),
    Case(Conv1d(filters=3, kernel=3, weight_standardization=True), (SEQUENCE,)),
    Case(DepthwiseConv1d(kernel=3, depth_multiplier=2), (SEQUENCE,)),
    Case(DepthwiseConv1d(kernel=4, stride=2, padding="valid"), (SEQUENCE,)),
    Case(Conv3d(filters=3, kernel=3), (VOLUME,)),
    Case(Conv3d(filters=4, kernel=(2, 3, 1), stride=(2, 1, 2), groups=2, padding="valid"), (VOLUME,)),
    Case(Conv3d(filters=2, kernel=3, stride=2, padding=1, bias=False), (VOLUME,)),
    Case(Conv3d(filters=2, kernel=(1, 3, 3), padding="same"), (VOLUME,)),
    Case(Conv3d(filters=2, kernel=(3, 1, 1), padding=((3, 2), (0, 0), (0, 1))), (VOLUME,)),
    Case(Conv3d(filters=2, kernel=2, dilation=(2, 1, 2), padding="valid"), (VOLUME,), reach="inside"),
    Case(Conv3d(filters=2, kernel=3, padding_mode="edge"), (VOLUME,), reach="any"),
    Case(DepthwiseConv3d(kernel=3, depth_multiplier=2), (VOLUME,)),
    Case(DepthwiseConv3d(kernel=2, stride=2, padding="valid"), (VOLUME,)),
    *(
        Case(layer, (SEQUENCE,))
        for kind in (MaxPool1d, AvgPool1d)
        for layer in (kind(kernel=3, stride=2, padding="same"), kind(kernel=4), kind(kernel=2, stride=3))
    ),
    *(
        Case(layer, (VOLUME,))
        for kind in (MaxPool3d, AvgPool3d)
        for layer in (
            kind(kernel=2),
            kind(kernel=3, stride=2, padding="same"),
            kind(kernel=(1, 2, 3), stride=(1, 2, 2), padding=((0, 0), (0, 1), (2, 1)), ceil_mode=True),
        )
    ),
    Case(MaxPool1d(kernel=2, stride=2, dilation=3, padding=1), (SEQUENCE,), reach="inside"),
    Case(MaxPool3d(kernel=2, stride=1, dilation=(2, 1, 2)), (VOLUME,), reach="inside"),
    Case(AvgPool1d(kernel=3, stride=2, padding=1, count_include_pad=True), (SEQUENCE,)),
    Case(AvgPool3d(kernel=3, stride=2, padding=1, count_include_pad=True), (VOLUME,)),
    *(Case(kind(output_size=4), (SEQUENCE,)) for kind in (AdaptiveMaxPool1d, AdaptiveAvgPool1d)),
    *(Case(kind(output_size=(3, 2, 2)), (VOLUME,)) for kind in (AdaptiveMaxPool3d, AdaptiveAvgPool3d)),
    *(Case(kind(), (SEQUENCE,)) for kind in (GlobalAvgPool1d, GlobalMaxPool1d)),
    *(Case(kind(keep_dims=True), (SEQUENCE,)) for kind in (GlobalAvgPool1d, GlobalMaxPool1d)),
    *(Case(kind(), (VOLUME,)) for kind in (GlobalAvgPool3d, GlobalMaxPool3d)),
    *(Case(kind(keep_dims=True), (VOLUME,)) for kind in (GlobalAvgPool3d, GlobalMaxPool3d)),
]


def conv3d(rng: Random) -> Case:
    groups, one = rng.choice([1, 2]), lambda low, high: tuple(rng.randint(low, high) for _ in range(3))
    explicit = tuple(zip(one(0, 2), one(0, 2), strict=True))
    layer = Conv3d(
        filters=groups * rng.randint(1, 2),
        groups=groups,
        kernel=one(1, 3),
        stride=one(1, 2),
        dilation=one(1, 2),
        padding=rng.choice(["same", "valid", "same_fixed", explicit]),
    )
    shape = (*one(5, 6), groups * rng.randint(1, 2))
    return Case(layer, (shape,), reach="exact" if layer.dilation == (1, 1, 1) else "inside")


def pool3d(kind: type[MaxPool3d] | type[AvgPool3d], rng: Random) -> Case:
    kernel = tuple(rng.randint(1, 3) for _ in range(3))
    explicit = tuple((rng.randrange(size), rng.randrange(size)) for size in kernel)
    stride = rng.choice([None, tuple(rng.randint(1, 2) for _ in range(3))])
    shape = (*(rng.randint(3, 5) for _ in range(3)), 2)
    padding = rng.choice(["same", "valid", "same_fixed", explicit])
    return Case(kind(kernel=kernel, stride=stride, padding=padding, ceil_mode=rng.choice([True, False])), (shape,))


SAMPLERS = {
    "conv3d": conv3d,
    "max_pool3d": lambda rng: pool3d(MaxPool3d, rng),
    "avg_pool3d": lambda rng: pool3d(AvgPool3d, rng),
}
