"""Merges, and multiplication by a constant."""

from __future__ import annotations

from graphc.layers.compare import Equal, Greater
from graphc.layers.elementwise_merge import Add, Average, Divide, Maximum, Minimum, Multiply, Subtract
from graphc.layers.matmul import Matmul
from graphc.layers.merge import Concat, Scale
from graphc.layers.weighted_sum import WeightedSum
from tests.layers.cases import Case

_IMAGE, _GATE, _PLANE = (3, 4, 5), (1, 1, 5), (3, 4, 1)

CASES = [
    Case(Concat(), (_IMAGE, (3, 4, 2), (3, 4, 1))),
    Case(Concat(), (_IMAGE,)),
    Case(Concat(), ((4,), (3,))),
    Case(Concat(), ((2, 4), (2, 3))),
    Case(Concat(), ((2, 3, 2, 4), (2, 3, 2, 1))),
    Case(Concat(axis="length"), ((2, 4), (3, 4)), reach="any"),
    Case(Concat(axis="depth"), ((2, 3, 2, 4), (1, 3, 2, 4)), reach="any"),
    Case(Concat(axis="height"), (_IMAGE, (2, 4, 5)), reach="any"),
    Case(Concat(axis=0), ((4, 5), (2, 5)), reach="any"),
    Case(Concat(axis=-3), ((2, 2, 4, 5), (2, 1, 4, 5)), reach="any"),
    Case(Concat(axis="width"), (_IMAGE, (3, 1, 5)), reach="any"),
    Case(Add(), (_IMAGE, _IMAGE)),
    Case(Add(), (_IMAGE, _IMAGE, _IMAGE)),
    Case(Add(), (_IMAGE,)),
    Case(Add(), ((6,), (6,))),
    Case(Add(), ((4, 6), (4, 6))),
    Case(Add(), ((2, 3, 2, 4), (2, 3, 2, 4))),
    Case(Add(), (_GATE, _IMAGE), reach="any"),
    Case(WeightedSum(), (_IMAGE, _IMAGE)),
    Case(WeightedSum(epsilon=0.5), (_IMAGE, _PLANE, (5,)), reach="any"),
    Case(WeightedSum(normalization="softmax"), ((4, 6), (4, 6), (4, 6))),
    Case(WeightedSum(normalization="none"), (_GATE, _IMAGE), reach="any"),
    Case(WeightedSum(trainable=False), ((6,),)),
    Case(Multiply(), (_IMAGE, _IMAGE)),
    Case(Multiply(), (_IMAGE, _IMAGE, _IMAGE)),
    Case(Multiply(), (_IMAGE, _GATE), reach="any"),
    Case(Multiply(), (_GATE, _IMAGE), reach="any"),
    Case(Multiply(), ((6,), (6,))),
    Case(Add(), (_IMAGE, (5,), (1, 5), (1,)), reach="any"),
    Case(Multiply(), (_IMAGE, _PLANE)),
    Case(Multiply(), ((4, 1), (1, 5), (5,))),
    Case(Multiply(), ((2, 3, 1, 4), (5, 4), (4,))),
    Case(Average(), (_IMAGE, _IMAGE, _PLANE)),
    Case(Average(), ((6,), (6,))),
    Case(Subtract(), (_IMAGE, _GATE), reach="any"),
    Case(Subtract(), (_PLANE, _IMAGE)),
    Case(Subtract(), ((5,), (4, 5))),
    Case(Divide(), (_IMAGE, _PLANE), positive=True),
    Case(Divide(), ((5,), _IMAGE), reach="any", positive=True),
    Case(Maximum(), (_IMAGE, _IMAGE, _PLANE), reach="within"),
    Case(Maximum(), ((6,), (6,)), reach="within"),
    Case(Minimum(), (_IMAGE, _GATE), reach="any"),
    Case(Minimum(), ((4, 5), (4, 5))),
    Case(Greater(), (_IMAGE, _IMAGE), reach="any"),
    Case(Greater(), ((6,), (6,)), reach="any"),
    Case(Equal(), (_IMAGE, _PLANE), reach="any"),
    Case(Scale(learned=True), (_IMAGE,)),
    Case(Scale(factor=0.17), (_IMAGE,)),
    Case(Scale(factor=-2.0), ((6,),)),
    Case(Scale(factor=0.5, learned=True), (_IMAGE,)),
    Case(Scale(factor=0.5, learned=True), ((6,),)),
    Case(Matmul(), ((4, 5), (5, 3)), reach="within"),
    Case(Matmul(transpose_a=True), ((5, 4), (5, 3)), reach="within"),
    Case(Matmul(transpose_b=True), ((2, 4, 5), (1, 3, 5)), reach="any"),
    Case(Matmul(transpose_a=True, transpose_b=True), ((2, 5, 4), (2, 3, 5)), reach="any"),
]
