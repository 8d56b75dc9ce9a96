"""Pooling."""

from __future__ import annotations

from random import Random

from graphc.layers.adaptive_pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d
from graphc.layers.blur_pool import BlurPool2d
from graphc.layers.global_pool import GlobalAvgPool2d, GlobalMaxPool2d
from graphc.layers.lp_pool import LpPool2d
from graphc.layers.pool import AvgPool2d, MaxPool2d
from graphc.layers.unpool import MaxUnpool2d
from tests.layers.cases import Case

IMAGE = (7, 6, 3)

CASES = [
    *(
        Case(layer, (IMAGE,))
        for kind in (MaxPool2d, AvgPool2d)
        for layer in (
            kind(kernel=2),
            kind(kernel=3, stride=2),
            kind(kernel=3, stride=2, padding="same"),
            kind(kernel=(2, 3), stride=(1, 2), padding="same"),
            kind(kernel=3, stride=1, padding="same"),
            kind(kernel=3, stride=2, padding="same_fixed"),
            kind(kernel=3, stride=2, padding=((0, 1), (2, 1))),
            kind(kernel=1, stride=2),
            kind(kernel=2, stride=3),
            kind(kernel=(7, 6)),
            kind(kernel=3, stride=2, ceil_mode=True),
            kind(kernel=2, stride=(2, 4), padding=((0, 1), (1, 0)), ceil_mode=True),
            kind(kernel=2, stride=3, ceil_mode=True),
        )
    ),
    Case(MaxPool2d(kernel=3, stride=2, padding="same"), ((8, 8, 2),)),
    Case(AvgPool2d(kernel=3, stride=2, padding="same"), ((8, 8, 2),)),
    Case(MaxPool2d(kernel=2, stride=3, padding="same"), ((9, 7, 2),)),
    Case(AvgPool2d(kernel=2, stride=3, padding="same"), ((9, 7, 2),)),
    *(
        Case(AvgPool2d(kernel=3, padding=padding, count_include_pad=True, **arguments), (IMAGE,))
        for padding in ("valid", "same_fixed", ((0, 1), (2, 0)))
        for arguments in ({"stride": 1}, {"stride": 2, "ceil_mode": True}, {"stride": 2, "ceil_mode": False})
    ),
    Case(MaxPool2d(kernel=3, stride=1, dilation=2), (IMAGE,), reach="inside"),
    Case(MaxPool2d(kernel=3, stride=2, dilation=2, padding="same"), (IMAGE,), reach="inside"),
    Case(MaxPool2d(kernel=2, stride=(2, 1), dilation=(1, 3), padding=1, ceil_mode=True), (IMAGE,), reach="inside"),
    *(
        Case(kind(output_size=size), (IMAGE,))
        for kind in (AdaptiveMaxPool2d, AdaptiveAvgPool2d)
        for size in ((5, 4), (3, 8), (1, 5))
    ),
    Case(BlurPool2d(), (IMAGE,), reach="any"),
    Case(BlurPool2d(kernel=4, stride=(1, 3)), (IMAGE,), reach="any"),
    Case(BlurPool2d(kernel=2, padding_mode="zeros"), (IMAGE,)),
    Case(BlurPool2d(kernel=5, stride=2, padding_mode="zeros"), (IMAGE,)),
    Case(LpPool2d(kernel=2), (IMAGE,)),
    Case(LpPool2d(kernel=(3, 2), stride=2, padding="same"), (IMAGE,)),
    Case(LpPool2d(kernel=3, stride=(1, 2), padding=((0, 1), (2, 1))), (IMAGE,)),
    Case(MaxUnpool2d(kernel=2), ((3, 4, 2), (6, 8, 2)), reach="any"),
    Case(MaxUnpool2d(kernel=2), ((3, 3, 3), IMAGE), reach="any"),
    Case(MaxUnpool2d(kernel=2, ceil_mode=True), ((4, 3, 3), IMAGE), reach="any"),
    Case(MaxUnpool2d(kernel=3, padding=((1, 0), (2, 2))), ((2, 3, 3), IMAGE), reach="any"),
    Case(MaxUnpool2d(kernel=2, padding="same"), ((4, 3, 3), IMAGE), reach="any"),
    Case(GlobalAvgPool2d(), (IMAGE,)),
    Case(GlobalAvgPool2d(keep_dims=True), (IMAGE,)),
    Case(GlobalMaxPool2d(), (IMAGE,)),
    Case(GlobalMaxPool2d(keep_dims=True), (IMAGE,)),
]


def pool(kind: type[MaxPool2d] | type[AvgPool2d], rng: Random) -> Case:
    kernel = rng.randint(1, 4), rng.randint(1, 4)
    explicit = tuple((rng.randrange(size), rng.randrange(size)) for size in kernel)
    stride = rng.choice([None, (rng.randint(1, 3), rng.randint(1, 3))])
    padding = rng.choice(["same", "valid", "same_fixed", explicit])
    shape = rng.randint(4, 9), rng.randint(4, 9), rng.randint(1, 4)
    arguments: dict[str, bool] = {"ceil_mode": rng.choice([True, False])}
    if kind is AvgPool2d and padding != "same":
        arguments["count_include_pad"] = rng.choice([True, False])
    return Case(kind(kernel=kernel, stride=stride, padding=padding, **arguments), (shape,))


def global_pool(kind: type[GlobalAvgPool2d] | type[GlobalMaxPool2d], rng: Random) -> Case:
    shape = rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 4)
    return Case(kind(keep_dims=rng.choice([True, False])), (shape,))


SAMPLERS = {
    "max_pool2d": lambda rng: pool(MaxPool2d, rng),
    "avg_pool2d": lambda rng: pool(AvgPool2d, rng),
    "global_avg_pool2d": lambda rng: global_pool(GlobalAvgPool2d, rng),
    "global_max_pool2d": lambda rng: global_pool(GlobalMaxPool2d, rng),
}
