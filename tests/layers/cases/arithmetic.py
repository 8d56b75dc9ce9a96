"""Functions of each number, reductions, constants."""

from __future__ import annotations

from graphc.layers.arithmetic import Absolute, Clip, Exp, Log, Power, Sqrt, Square
from graphc.layers.constant import ConstantLayer, Coordinates
from graphc.layers.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceSum
from tests.layers.cases import Case

_IMAGE = (3, 4, 5)
_ANY = (Clip(minimum=-0.5, maximum=0.5), Clip(maximum=0.2), Absolute(), Square(), Exp(), Power(exponent=3))
_POSITIVE = (Sqrt(), Log(), Power(exponent=0.3), Power(exponent=-1))

CASES = [
    *(Case(layer, (shape,), reach="within") for layer in _ANY for shape in (_IMAGE, (6,))),
    *(Case(layer, (_IMAGE,), positive=True) for layer in _POSITIVE),
    Case(ReduceMean(axes=("height", "width"), keep_dims=True), (_IMAGE,), reach="any"),
    Case(ReduceMean(axes=("height", "width")), (_IMAGE,)),
    Case(ReduceMean(axes=("channels",), keep_dims=True), (_IMAGE,)),
    Case(ReduceMean(axes=("channels",)), (_IMAGE,)),
    Case(ReduceMean(axes=(0,)), (_IMAGE,)),
    Case(ReduceMean(axes=(0, 1, 2), keep_dims=True), ((3, 4, 5),), reach="any"),
    Case(ReduceMean(axes=("depth",)), ((2, 3, 4, 5),)),
    Case(ReduceMean(axes=("length",)), ((4, 5),)),
    Case(ReduceSum(axes=("height", "width")), (_IMAGE,)),
    Case(ReduceSum(axes=("channels",), keep_dims=True), ((2, 3, 4, 5),)),
    Case(ReduceSum(axes=(-1,), keep_dims=True), ((6,),)),
    Case(ReduceMax(axes=("channels",), keep_dims=True), (_IMAGE,), reach="within"),
    Case(ReduceMax(axes=(-2,)), (_IMAGE,)),
    Case(ReduceMax(axes=("length",)), ((4, 5),)),
    Case(ReduceMax(axes=("channels",)), ((4, 5),)),
    Case(ReduceMin(axes=("height", "channels"), keep_dims=True), (_IMAGE,), reach="any"),
    Case(ConstantLayer(value=((1, 0), (0, 1), (3, 4))), (_IMAGE,)),
    Case(ConstantLayer(value=(0.5,)), ((6,),)),
    Case(ConstantLayer(value=(1, 2), shape=(3, 4, 2)), ((4, 5),)),
    Case(Coordinates(), (_IMAGE,)),
    Case(Coordinates(range="unit"), ((1, 4, 2),)),
    Case(Coordinates(range="pixels"), ((4, 5),)),
    Case(Coordinates(), ((2, 3, 4, 5),)),
]
