"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.initializers import Constant, Initializer
from graphc.kernels.recurrent import CellParams, CellStep, lstm
from graphc.layers.recurrent import Recurrent
from graphc.training_graph.recurrent import CellRun, emit_lstm
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context


class Lstm(Recurrent):
    """A long short-term memory over a sequence L×C, gates side by side as in PyTorch and Keras: i, f, c, o.

    `weights` are [C, 4*units], `recurrent_weights` [units, 4*units], biases [4*units]. ONNX has i, o, f, c.
    """

    kind: ClassVar[str] = "lstm"
    operator: ClassVar[str] = "LSTM"
    gates: ClassVar[int] = 4
    onnx_order: ClassVar[tuple[int, ...]] = (0, 3, 1, 2)

    def initial_biases(self) -> Initializer:
        return Constant(value=(0,) * self.units + (1,) * self.units + (0,) * (2 * self.units))

    def run(self, context: Context, params: CellParams, x: Array) -> CellStep:
        return lstm(context, params, x)

    def emit_run(self, drives: Sequence[Tensor], recurrent: Tensor, biases: Tensor | None) -> CellRun:
        return emit_lstm(drives, recurrent, biases)
