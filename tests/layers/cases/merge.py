"""Merges, and multiplication by a constant."""

from __future__ import annotations

from graphc.layers.merge import Add, Concat, Multiply, Scale
from tests.layers.cases import Case

_IMAGE, _GATE = (3, 4, 5), (1, 1, 5)

CASES = [
    Case(Concat(), (_IMAGE, (3, 4, 2), (3, 4, 1))),
    Case(Concat(), (_IMAGE,)),
    Case(Concat(), ((4,), (3,))),
    Case(Concat(), ((2, 4), (2, 3))),
    Case(Concat(axis="height"), (_IMAGE, (2, 4, 5)), reach="any"),
    Case(Concat(axis="width"), (_IMAGE, (3, 1, 5)), reach="any"),
    Case(Add(), (_IMAGE, _IMAGE)),
    Case(Add(), (_IMAGE, _IMAGE, _IMAGE)),
    Case(Add(), (_IMAGE,)),
    Case(Add(), ((6,), (6,))),
    Case(Add(), (_GATE, _IMAGE), reach="any"),
    Case(Multiply(), (_IMAGE, _IMAGE)),
    Case(Multiply(), (_IMAGE, _IMAGE, _IMAGE)),
    Case(Multiply(), (_IMAGE, _GATE), reach="any"),
    Case(Multiply(), (_GATE, _IMAGE), reach="any"),
    Case(Multiply(), ((6,), (6,))),
    Case(Scale(factor=0.17), (_IMAGE,)),
    Case(Scale(factor=-2.0), ((6,),)),
]
