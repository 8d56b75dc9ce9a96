"""Fully connected layers, biases, maxout."""

from __future__ import annotations

from random import Random

from graphc.layers.bias_add import BiasAdd
from graphc.layers.fully_connected import FullyConnected
from graphc.layers.maxout import Maxout
from tests.layers.cases import Case

CASES = [
    Case(FullyConnected(units=5), ((7,),)),
    Case(FullyConnected(units=1, bias=False), ((7,),)),
    Case(FullyConnected(units=19), ((1,),)),
    Case(FullyConnected(units=3, trainable=False), ((4,),)),
    Case(FullyConnected(units=3), ((4, 5),)),
    Case(FullyConnected(units=3, bias=False, trainable=False), ((4, 5),)),
    Case(BiasAdd(), ((4, 5, 3),)),
    Case(BiasAdd(), ((6,),)),
    Case(BiasAdd(), ((4, 6),)),
    Case(BiasAdd(), ((2, 3, 2, 5),)),
    Case(Maxout(units=3), ((4, 5, 6),)),
    Case(Maxout(units=2), ((8,),)),
    Case(FullyConnected(units=3, windows=True), ((2, 4, 5),)),
    Case(FullyConnected(units=2, windows=True, bias=False), ((2, 3, 2, 4),)),
    Case(Maxout(units=2), ((3, 8),)),
    Case(Maxout(units=2), ((2, 3, 2, 4),)),
    Case(Maxout(units=4), ((3, 2, 4),)),
]


def fully_connected(rng: Random) -> Case:
    return Case(FullyConnected(units=rng.randint(1, 20), bias=rng.choice([True, False])), ((rng.randint(1, 30),),))


def bias_add(rng: Random) -> Case:
    return Case(BiasAdd(), (tuple(rng.randint(1, 6) for _ in range(rng.choice([1, 3]))),))


def maxout(rng: Random) -> Case:
    units = rng.randint(1, 4)
    lead = tuple(rng.randint(1, 4) for _ in range(rng.choice([0, 2])))
    return Case(Maxout(units=units), ((*lead, units * rng.randint(1, 4)),))


SAMPLERS = {"fully_connected": fully_connected, "bias_add": bias_add, "maxout": maxout}
