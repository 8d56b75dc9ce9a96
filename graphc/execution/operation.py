"""What one operation of an execution plan computes: a layer, or several layers fused into one."""

from __future__ import annotations

from typing import ClassVar, Protocol

from graphc.types import Array, Context, Params, Step


class Operation(Protocol):
    """Arrays in, an array out, with the way back. Every `Layer` is one; the others are in `graphc.execution.fused`.

    An operation says nothing of shapes, costs or ONNX: its output has the plan's shape of the last layer in it.
    """

    donates_output: ClassVar[bool]
    """The output is an array of its own that backward does not read: the next operation may write over it."""

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        """On arrays [N, …] (batch first, channels last) with the variables of the first layer in it, by local name.
        Inputs are read only, unless `context.inplace` lets the first be overwritten.

        The step's `backward` gets dy of the output's shape, reads it and does not overwrite it, since others may hold
        it; what it answers may be dy itself or a view of it, which nobody overwrites either.
        """
