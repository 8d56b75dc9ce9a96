"""Dropout and the kinds that move numbers about."""

from __future__ import annotations

from random import Random

from graphc.layers.channel_shuffle import ChannelShuffle
from graphc.layers.crop import Crop, Slice
from graphc.layers.dropout import Dropout, DropPath, SpatialDropout
from graphc.layers.gaussian_noise import GaussianNoise
from graphc.layers.pad import Pad
from graphc.layers.reshape import Flatten, Reshape
from graphc.layers.resize import Resize
from graphc.layers.roll import Roll
from graphc.layers.space_to_depth import DepthToSpace, SpaceToDepth
from graphc.layers.split import Split
from graphc.layers.transpose import Transpose
from tests.layers.cases import Case

# Interpolation repeats the rim where a position lies outside the image, so fewer pixels are seen there.
_RIM = "within"

CASES = [
    Case(Dropout(), ((3, 4, 5),)),
    Case(Dropout(rate=0.2), ((50,),)),
    Case(Dropout(rate=0.0), ((5,),)),
    Case(SpatialDropout(), ((3, 4, 5),)),
    Case(SpatialDropout(rate=0.2), ((50, 3),)),
    Case(DropPath(rate=0.3), ((3, 4, 5),)),
    Case(DropPath(rate=0.3), ((7,),)),
    Case(GaussianNoise(stddev=0.5), ((3, 4, 5),)),
    Case(GaussianNoise(), ((6,), (6,)), reach="within"),
    Case(GaussianNoise(), ((3, 4, 5), (3, 4, 5)), reach="within"),
    Case(GaussianNoise(stddev=0.1), ((2, 2, 2, 3),)),
    Case(Flatten(), ((3, 4, 5),)),
    Case(Flatten(), ((1, 1, 5),)),
    Case(Flatten(), ((2, 3, 2, 5),)),
    Case(Flatten(), ((6,),)),
    Case(Reshape(shape=(4, 3, 5)), ((3, 4, 5),), reach="any"),
    Case(Reshape(shape=(2, -1)), ((3, 4, 5),), reach="any"),
    Case(Reshape(shape=(-1,)), ((3, 4, 5),), reach="any"),
    Case(Reshape(shape=(1, 1, -1)), ((12,),), reach="any"),
    Case(Reshape(shape=(2, 3, 2)), ((12,),), reach="any"),
    Case(Reshape(shape=(2, 2, 3)), ((1, 1, 12),), reach="any"),
    Case(Reshape(shape=(2, 2, 3, 1)), ((2, 3, 2),), reach="any"),
    Case(Reshape(shape=(6, 2, 1)), ((2, 3, 2),), reach="any"),
    Case(Split(parts=2, part=1), ((3, 4, 6),)),
    Case(Split(parts=3, part=1, axis="width"), ((2, 6, 2),)),
    Case(Split(parts=2, part=0), ((6,),)),
    Case(Pad(padding=1), ((3, 4, 2),)),
    Case(Pad(padding=((0, 2), (1, 0)), value=1.5), ((3, 4, 2),)),
    Case(Pad(padding=((2, 1), (3, 0)), mode="reflect"), ((3, 4, 2),), reach="any"),
    *(
        Case(Pad(padding=((2, 1), (3, 0)), mode=mode), ((3, 4, 2),), reach="any")
        for mode in ("edge", "symmetric", "circular")
    ),
    Case(Crop(cut=1), ((4, 5, 2),)),
    Case(Crop(cut=((0, 2), (1, 0))), ((4, 5, 2),)),
    Case(Crop(size=(2, 2)), ((4, 5, 2),)),
    Case(Crop(size=(2, 3), offset=(1, 2)), ((4, 5, 2),)),
    Case(Crop(like="x1"), ((4, 5, 2), (3, 3, 1)), reach="any"),
    Case(Crop(like="x1", offset=(1, 0)), ((4, 5, 2), (3, 3, 1)), reach="any"),
    Case(Pad(axis="channels", before=1, after=2, value=0.5), ((3, 4, 2),)),
    Case(Pad(axis=0, before=2), ((3, 4, 2),)),
    Case(Pad(axis=0, after=1), ((5, 2),), reach="any"),
    Case(Transpose(axes=(1, 0, 2)), ((3, 4, 2),), reach="within"),
    Case(Transpose(axes=(2, 0, 1)), ((3, 4, 2),), reach="any"),
    Case(Transpose(axes=(1, 0)), ((3, 4),), reach="any"),
    Case(Transpose(axes=(3, 1, 0, -2)), ((2, 3, 4, 5),), reach="any"),
    Case(Transpose(axes=(0, 1, 2)), ((3, 4, 2),)),
    Case(Reshape(shape=(0, 2, -1)), ((3, 4, 2),), reach="any"),
    Case(Slice(start=1, axis=0), ((4, 3, 2),)),
    Case(Slice(start=1, stop=2, axis=-2), ((2, 3, 4, 2),), reach="any"),
    Case(Pad(like="x1"), ((3, 4, 2), (5, 5, 1)), reach="any"),
    Case(Pad(like="x1", align="center", mode="reflect"), ((3, 4, 2), (6, 5, 1)), reach="any"),
    Case(Slice(start=2, stop=5), ((3, 4, 6),)),
    Case(Slice(start=2), ((6,),)),
    Case(Slice(stop=2), ((4, 6),)),
    Case(Slice(start=1, stop=3, axis="length"), ((4, 6),)),
    Case(Slice(start=1, axis="depth"), ((3, 2, 2, 2),)),
    Case(Slice(stop=2), ((3, 2, 2, 4),)),
    Case(Slice(start=1, stop=3, axis="height"), ((4, 3, 2),)),
    Case(Slice(start=1, axis="width"), ((4, 3, 2),)),
    Case(Resize(scale=2), ((3, 4, 2),)),
    Case(Resize(scale=(1, 3)), ((3, 4, 2),)),
    Case(Resize(size=(5, 7)), ((3, 4, 2),)),
    Case(Resize(size=(2, 2)), ((4, 6, 2),)),
    Case(Resize(scale=2, method="bilinear"), ((3, 4, 2),), reach=_RIM),
    Case(Resize(scale=3, method="bilinear"), ((3, 4, 2),), reach=_RIM),
    Case(Resize(size=(7, 5), method="bilinear"), ((3, 9, 2),), reach=_RIM),
    Case(Resize(size=(2, 2), method="bilinear"), ((4, 6, 2),)),
    Case(Resize(scale=2, method="bilinear", coordinates="align_corners"), ((3, 4, 2),)),
    Case(Resize(size=(7, 3), method="bilinear", coordinates="align_corners"), ((3, 9, 2),)),
    Case(Resize(size=(1, 1), method="bilinear", coordinates="align_corners"), ((3, 9, 2),)),
    Case(Resize(scale=2, method="bilinear", coordinates="asymmetric"), ((3, 4, 2),), reach=_RIM),
    Case(Resize(size=(5, 3), method="bilinear", coordinates="asymmetric"), ((3, 4, 2),), reach=_RIM),
    Case(Resize(scale=1.5), ((3, 4, 2),)),
    Case(Resize(scale=(0.5, 0.75), coordinates="half_pixel"), ((5, 4, 2),), reach="any"),
    Case(Resize(scale=(0.5, 2), coordinates="half_pixel", rounding="round_prefer_ceil"), ((5, 4, 2),), reach="any"),
    Case(Resize(scale=(0.5, 1.5), rounding="ceil"), ((5, 4, 2),), reach="any"),
    Case(Resize(size=(5, 3), coordinates="align_corners", rounding="round_prefer_floor"), ((3, 4, 2),)),
    Case(Resize(scale=(1.5, 0.5), method="bilinear"), ((3, 5, 2),), reach=_RIM),
    Case(Resize(scale=1.5, method="bilinear", coordinates="align_corners"), ((3, 4, 2),)),
    Case(Resize(scale=2, method="bicubic"), ((3, 4, 2),), reach=_RIM),
    Case(Resize(size=(7, 3), method="bicubic", cubic_coeff=-0.5), ((3, 9, 2),), reach=_RIM),
    Case(Resize(scale=2, method="bicubic", coordinates="align_corners"), ((3, 4, 2),), reach=_RIM),
    Case(Resize(scale=(0.5, 1.5), method="bicubic", coordinates="asymmetric"), ((5, 3, 2),), reach=_RIM),
    Case(Resize(size=(3, 4), method="bilinear", antialias=True), ((7, 9, 2),), reach=_RIM),
    Case(Resize(scale=(0.4, 2), method="bicubic", antialias=True), ((7, 5, 2),), reach=_RIM),
    Case(Resize(like="x1"), ((4, 5, 2), (7, 10, 3)), reach="any"),
    Case(Resize(like="x1", method="bilinear"), ((4, 5, 2), (8, 9, 1)), reach="any"),
    Case(Roll(shift=(-3, 2)), ((4, 6, 3),), reach="any"),
    Case(Roll(shift=1), ((5, 3),), reach="any"),
    Case(Roll(shift=(1, -1), axes=("channels", 0)), ((4, 3),), reach="any"),
    Case(SpaceToDepth(block=2), ((4, 6, 3),)),
    Case(SpaceToDepth(block=3), ((3, 6, 1),)),
    Case(SpaceToDepth(block=2, order="CRD"), ((4, 6, 3),)),
    Case(DepthToSpace(block=2, order="CRD"), ((2, 3, 8),)),
    Case(DepthToSpace(block=2), ((2, 3, 8),)),
    Case(ChannelShuffle(groups=2), ((3, 3, 6),)),
    Case(ChannelShuffle(groups=3), ((3, 3, 6),)),
]


def _resize(rng: Random) -> Case:
    method = rng.choice(["nearest", "bilinear", "bicubic"])
    more = {"coordinates": rng.choice(["half_pixel", "align_corners", "asymmetric"])}
    if method == "nearest":
        more["rounding"] = rng.choice(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
    shape = (rng.randint(2, 6), rng.randint(2, 6), 2)
    if rng.random() < 0.5:
        more["scale"] = (rng.choice([0.5, 1.5, 2]), rng.choice([0.75, 1, 3]))
    else:
        more["size"] = (rng.randint(1, 8), rng.randint(1, 8))
    return Case(Resize(method=method, **more), (shape,), reach="any" if method == "nearest" else _RIM)


def _pad(rng: Random) -> Case:
    padding = tuple((rng.randint(0, 3), rng.randint(0, 3)) for _ in range(2))
    mode = rng.choice(["constant", "reflect", "edge", "symmetric", "circular"])
    shape = (rng.randint(4, 6), 5, 2)
    return Case(Pad(padding=padding, mode=mode), (shape,), reach="exact" if mode == "constant" else "any")


SAMPLERS = {"resize": _resize, "pad": _pad}
