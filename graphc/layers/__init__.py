"""The catalogue: every layer kind, one line each."""

from __future__ import annotations

from graphc.layers.activation import Relu
from graphc.layers.base import Layer

LAYERS: tuple[type[Layer], ...] = (Relu,)

CATALOGUE: dict[str, type[Layer]] = {layer.kind: layer for layer in LAYERS}
"""What the user types -> the class that answers."""

ACTIVATIONS: frozenset[str] = frozenset(layer.kind for layer in LAYERS if layer.family == "activation")
NORMALIZERS: frozenset[str] = frozenset(layer.kind for layer in LAYERS if layer.family == "normalization")
