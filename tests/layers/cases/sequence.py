"""Recurrent layers, attention, and what goes before them."""

from __future__ import annotations

from random import Random

from graphc.layers.class_token import ClassToken
from graphc.layers.gru import Gru
from graphc.layers.lstm import Lstm
from graphc.layers.multi_head_attention import MultiHeadAttention
from graphc.layers.position_embedding import PositionEmbedding
from tests.layers.cases import Case

CASES = [
    Case(Lstm(units=4), ((5, 3),), reach="within"),
    Case(Lstm(units=3, bidirectional=True, bias=False), ((4, 2),)),
    Case(Lstm(units=2, return_sequences=False), ((4, 3),)),
    Case(Lstm(units=2, bidirectional=True, return_sequences=False, trainable=False), ((3, 3),)),
    Case(Gru(units=4), ((5, 3),), reach="within"),
    Case(Gru(units=3, bidirectional=True), ((4, 2),)),
    Case(Gru(units=2, bias=False, return_sequences=False), ((1, 3),)),
    Case(MultiHeadAttention(heads=2), ((5, 6),)),
    Case(MultiHeadAttention(heads=3, key_size=4, bias=False), ((3, 5), (4, 2)), reach="within"),
    Case(MultiHeadAttention(heads=1, dropout=0.3, trainable=False), ((4, 3), (4, 3)), reach="within"),
    Case(MultiHeadAttention(heads=2, causal=True), ((5, 4),), reach="within"),
    Case(MultiHeadAttention(heads=1, causal=True), ((4, 3), (3, 2)), reach="within"),
    Case(MultiHeadAttention(heads=2), ((3, 4), (5, 2), (5, 1)), reach="any"),
    Case(MultiHeadAttention(heads=2, causal=True), ((3, 4), (5, 2), (3, 5)), reach="any"),
    Case(MultiHeadAttention(heads=2, windows=True, relative_positions=(2, 2)), ((3, 4, 6),), reach="any"),
    Case(MultiHeadAttention(heads=2, relative_positions=5, bias=False), ((5, 4),)),
    Case(MultiHeadAttention(heads=2, windows=True), ((2, 3, 4), (2, 5, 2), (2, 5, 1)), reach="any"),
    Case(MultiHeadAttention(heads=1, windows=True, causal=True), ((2, 2, 3, 4),), reach="any"),
    Case(PositionEmbedding(), ((4, 3),)),
    Case(PositionEmbedding(method="sinusoidal"), ((5, 6),)),
    Case(PositionEmbedding(trainable=False), ((2, 3),)),
    Case(ClassToken(), ((4, 3),)),
    Case(ClassToken(trainable=False), ((1, 2),)),
]


def attention(rng: Random) -> Case:
    heads = rng.randint(1, 3)
    shapes = tuple((rng.randint(1, 5), heads * rng.randint(1, 3)) for _ in range(rng.randint(1, 2)))
    key_size = rng.choice([None, rng.randint(1, 4)])
    return Case(
        MultiHeadAttention(heads=heads, key_size=key_size, bias=rng.choice([True, False])), shapes, reach="within"
    )


def recurrent(kind: type[Lstm | Gru], rng: Random) -> Case:
    flags = {name: rng.choice([True, False]) for name in ("bidirectional", "return_sequences", "bias")}
    layer = kind(units=rng.randint(1, 6), **flags)
    return Case(layer, ((rng.randint(1, 6), rng.randint(1, 6)),), reach="within")  # one direction sees no later steps


SAMPLERS = {
    "lstm": lambda rng: recurrent(Lstm, rng),
    "gru": lambda rng: recurrent(Gru, rng),
    "multi_head_attention": attention,
}
