"""Gated recurrent units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from graphc.initializers import Initializer, Zeros
from graphc.kernels.recurrent import CellParams, CellStep, gru
from graphc.layers.recurrent import Recurrent
from graphc.training_graph.recurrent import CellRun, emit_gru
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context


class Gru(Recurrent):
    """Gated recurrent units over a sequence L×C, as PyTorch has them: gates r, z, n, the reset behind the product.

    That is Keras's `reset_after`, ONNX's `linear_before_reset`; both have the gates z, r, n. `weights` are
    [C, 3*units], `recurrent_weights` [units, 3*units], biases [3*units].
    """

    kind: ClassVar[str] = "gru"
    operator: ClassVar[str] = "GRU"
    gates: ClassVar[int] = 3
    onnx_order: ClassVar[tuple[int, ...]] = (1, 0, 2)
    onnx_attributes: ClassVar[Mapping[str, Any]] = {"linear_before_reset": 1}

    def initial_biases(self) -> Initializer:
        return Zeros()

    def run(self, context: Context, params: CellParams, x: Array) -> CellStep:
        return gru(context, params, x)

    def emit_run(self, drives: Sequence[Tensor], recurrent: Tensor, biases: Tensor | None) -> CellRun:
        return emit_gru(drives, recurrent, biases)
