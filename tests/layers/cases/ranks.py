"""Convolutions and pooling of sequences and volumes."""

from __future__ import annotations

from random import Random

from graphc.layers.adaptive_pool import AdaptiveAvgPool1d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool3d
from graphc.layers.conv_ranks import Conv1d, Conv3d, DepthwiseConv1d, DepthwiseConv3d, SeparableConv1d, SeparableConv3d
from graphc.layers.conv_transpose_ranks import Conv1dTranspose, Conv3dTranspose
from graphc.layers.crop import Crop, Slice
from graphc.layers.global_pool import GlobalAvgPool1d, GlobalAvgPool3d, GlobalMaxPool1d, GlobalMaxPool3d
from graphc.layers.pad import Pad
from graphc.layers.pool_ranks import AvgPool1d, AvgPool3d, MaxPool1d, MaxPool3d
from graphc.layers.resize import Resize
from tests.layers.cases import Case

SEQUENCE = (9, 4)
VOLUME = (4, 5, 3, 2)
PAD_MODES = ("reflect", "edge", "symmetric", "circular")

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
    Case(SeparableConv1d(filters=3, kernel=3, depth_multiplier=2), (SEQUENCE,)),
    Case(SeparableConv1d(kernel=3, stride=2), (SEQUENCE,)),
    Case(SeparableConv3d(filters=3, kernel=2, padding="valid", bias=False), (VOLUME,)),
    Case(Conv1dTranspose(filters=3, kernel=4, stride=2), (SEQUENCE,)),
    Case(Conv1dTranspose(filters=6, kernel=3, stride=3, padding=(1, 0), output_padding=2, groups=2), (SEQUENCE,)),
    Case(Conv1dTranspose(filters=2, kernel=3, stride=2, dilation=2, padding="valid"), (SEQUENCE,), reach="within"),
    Case(Conv1dTranspose(filters=2, kernel=4, stride=2, padding=1, like="x1"), ((3, 2), (7, 1)), reach="any"),
    Case(Conv3dTranspose(filters=3, kernel=2, stride=2), ((2, 3, 2, 2),)),
    Case(Conv3dTranspose(filters=2, kernel=3, stride=(2, 1, 2), padding=1, output_padding=(1, 0, 1)), (VOLUME,)),
    Case(Conv3dTranspose(filters=4, kernel=(1, 2, 3), groups=2, padding="valid", bias=False), (VOLUME,)),
    Case(Conv3dTranspose(filters=1, kernel=2, dilation=(2, 1, 1), stride=(1, 2, 1)), (VOLUME,), reach="within"),
    Case(Conv3dTranspose(filters=1, kernel=3, stride=2, like="x1"), ((2, 2, 3, 2), (3, 4, 5, 1)), reach="any"),
    Case(Pad(padding=(2, 1), value=0.5), (SEQUENCE,)),
    Case(Pad(padding=((1, 0), (0, 2), (1, 1))), (VOLUME,)),
    *(Case(Pad(padding=2, mode=mode), (shape,), reach="any") for mode in PAD_MODES for shape in (SEQUENCE, VOLUME)),
    Case(Pad(like="x1", align="center"), ((3, 4), (6, 1)), reach="any"),
    Case(Pad(like="x1"), ((2, 3, 3, 2), (3, 4, 3, 1)), reach="any"),
    Case(Crop(cut=(1, 2)), (SEQUENCE,)),
    Case(Crop(size=5), (SEQUENCE,)),
    Case(Crop(cut=((1, 0), (0, 1), (1, 1))), (VOLUME,)),
    Case(Crop(size=(3, 2, 2), offset=(1, 0, 1)), (VOLUME,)),
    Case(Crop(like="x1"), (VOLUME, (2, 5, 1, 1)), reach="any"),
    Case(Slice(start=-3, stop=-1, axis="length"), (SEQUENCE,)),
    Case(Slice(start=-2, axis="depth"), (VOLUME,)),
    Case(Slice(start=1, stop=-1), (VOLUME[:3],)),
    *(
        Case(layer, (shape,), reach="within" if layer.method != "nearest" else "exact")
        for shape in ((5, 3), (2, 3, 2, 2))
        for layer in (
            Resize(scale=2),
            Resize(scale=2, method="bilinear"),
            Resize(scale=1.5, method="bilinear"),
            Resize(scale=2, method="bicubic"),
            Resize(scale=2, method="bilinear", coordinates="align_corners"),
        )
    ),
    Case(Resize(size=3, method="bilinear", antialias=True), (SEQUENCE,), reach="within"),
    Case(Resize(size=(3, 4, 5), coordinates="half_pixel"), (VOLUME,), reach="any"),
    Case(Resize(scale=(1, 0.5, 2)), ((2, 4, 3, 2),), reach="any"),
    Case(Resize(like="x1"), ((3, 2), (7, 1)), reach="any"),
    Case(Resize(like="x1", method="bilinear"), ((2, 2, 3, 2), (4, 3, 3, 1)), reach="any"),
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


def conv3d_transpose(rng: Random) -> Case:
    groups, one = rng.choice([1, 2]), lambda low, high: tuple(rng.randint(low, high) for _ in range(3))
    stride, explicit = one(1, 3), tuple(zip(one(0, 1), one(0, 1), strict=True))
    padding = rng.choice(["same", "valid", "same_fixed", explicit])
    adds = (0, 0, 0) if isinstance(padding, str) else tuple(rng.randrange(each) for each in stride)
    layer = Conv3dTranspose(
        filters=groups * rng.randint(1, 2),
        groups=groups,
        kernel=one(2, 3),
        stride=stride,
        dilation=one(1, 2),
        padding=padding,
        output_padding=adds,
    )
    shape = (*one(3, 4), groups * rng.randint(1, 2))
    return Case(layer, (shape,), reach="exact" if layer.dilation == (1, 1, 1) else "within")


def pool3d(kind: type[MaxPool3d] | type[AvgPool3d], rng: Random) -> Case:
    kernel = tuple(rng.randint(1, 3) for _ in range(3))
    explicit = tuple((rng.randrange(size), rng.randrange(size)) for size in kernel)
    stride = rng.choice([None, tuple(rng.randint(1, 2) for _ in range(3))])
    shape = (*(rng.randint(3, 5) for _ in range(3)), 2)
    padding = rng.choice(["same", "valid", "same_fixed", explicit])
    return Case(kind(kernel=kernel, stride=stride, padding=padding, ceil_mode=rng.choice([True, False])), (shape,))


SAMPLERS = {
    "conv3d": conv3d,
    "conv3d_transpose": conv3d_transpose,
    "max_pool3d": lambda rng: pool3d(MaxPool3d, rng),
    "avg_pool3d": lambda rng: pool3d(AvgPool3d, rng),
}
