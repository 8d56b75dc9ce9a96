"""Positions moved around: what leaves at one end comes in at the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeAlias, Union

from pydantic import BeforeValidator, Field, WithJsonSchema

from graphc.dims import Shape, bounds
from graphc.errors import RuleError
from graphc.expected import MOST, Expects
from graphc.layers.base import Layer, spatial
from graphc.layers.crop import along
from graphc.layers.fields import MOST_AXES, Axes, WholeInt
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import HERE, Reach
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step

_TO_THE_END = 2**31 - 1
"""A slice's end that is larger than any size."""
_SHIFT: dict[str, Any] = {"type": "integer", "minimum": -MOST, "maximum": MOST}
Shifts: TypeAlias = Annotated[
    Union[WholeInt, Annotated[tuple[WholeInt, ...], Field(min_length=1, max_length=MOST_AXES)]],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    Expects("a whole number, or a list of one for each axis"),
    WithJsonSchema({"anyOf": [_SHIFT, {"type": "array", "items": _SHIFT, "minItems": 1, "maxItems": MOST_AXES}]}),
]


class Roll(Layer):
    """Each position moved by `shift` along its axis, those that leave at one end come in at the other: the shifted
    windows of Swin; NumPy's and PyTorch's roll."""

    kind: ClassVar[str] = "roll"
    family: ClassVar[str] = "shape"
    positional: ClassVar[tuple[str, ...]] = ("shift",)

    shift: Shifts
    """How far: one number for all axes, or one for each; below 0 towards the first."""
    axes: Axes | None = None
    """Along which: channels, length, depth, height, width, or numbers from 0; left out: all but the channels."""

    def _moves(self, shape: Shape) -> list[tuple[int, int]]:
        """(axis from 0, shift) of an input of this shape; of a fixed size the shift is from 0 to just below it."""
        spread = range(len(spatial(shape, self.kind)[0])) if self.axes is None else None
        axes = list(spread) if spread is not None else [along(shape, axis, self.kind) for axis in self.axes or ()]
        shifts = self.shift if isinstance(self.shift, tuple) else (self.shift,) * len(axes)
        if len(shifts) != len(axes):
            message = f"shift={list(shifts)} is for {len(shifts)} axes, got {len(axes)} to move along"
            raise RuleError("G201", message, "shift")
        sizes = [shape[axis] for axis in axes]
        found = [by % size if isinstance(size, int) else by for by, size in zip(shifts, sizes, strict=True)]
        return [(axis, by) for axis, by in zip(axes, found, strict=True) if by]

    def infer_shape(self, *inputs: Shape) -> Shape:
        self._moves(inputs[0])
        return inputs[0]

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        """Of the outputs that come from the inside."""
        moved = dict(self._moves(inputs[0]))
        axes = range(len(inputs[0]) - 1)
        return tuple(Reach(1, 1, (-moved[axis],), (-moved[axis],)) if axis in moved else HERE for axis in axes)

    def does_nothing(self, *inputs: Shape) -> bool:
        return not self._moves(inputs[0])

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        def place(number: int) -> str:
            return build.constant(f"at{number}", np.asarray([number], np.int64))

        x = build.in_order(inputs[0])
        for axis, by in self._moves(x.shape):
            at = x.axis(axis)
            first: Value | str = place(-by)
            if abs(by) > bounds(x.shape[axis])[0]:  # more than once around, where the input is small
                size = build.op("Slice", build.op("Shape", x, shape=(at + 1,)), place(at), place(at + 1), shape=(1,))
                first = build.op("Mod", place(-by), size, shape=(1,))
            ranges = ((first, place(_TO_THE_END)), (place(0), first))
            parts = [build.op("Slice", x, start, end, place(at), shape=x.shape) for start, end in ranges]
            x = build.op("Concat", *parts, shape=x.shape, axis=at)
        return x

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        opposite = tuple(-by for by in self.shift) if isinstance(self.shift, tuple) else -self.shift
        back = self.model_copy(update={"shift": opposite})
        return EmittedStep(build.emitted(self, inputs), lambda dy: EmittedGradients((build.emitted(back, [dy]),)))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        moves = self._moves(x.shape[1:])
        axes, shifts = [1 + axis for axis, _ in moves], [by for _, by in moves]
        back = [-by for by in shifts]
        return Step(np.roll(x, shifts, axes), lambda dy: Gradients((np.roll(dy, back, axes),)))
