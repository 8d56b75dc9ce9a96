"""What recurrent kinds share: variables for each direction, and both directions' states side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, ClassVar

from graphc.dims import Shape
from graphc.errors import RuleError
from graphc.initializers import AnyInitializer, Initializer, Orthogonal, Xavier, Zeros
from graphc.kernels.recurrent import CellGradients, CellParams, CellStep
from graphc.layers.base import Layer, elements, sequence
from graphc.layers.fields import Bool, PositiveInt
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.dense import gemm
from graphc.training_graph.recurrent import CellRun
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, concat
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec

MOST_UNITS = 30_000
"""With more the weights of the state alone are 10 GB."""
REVERSE = "reverse_"
"""What the names of the other direction's variables begin with."""


class Recurrent(Layer):
    """A state that is carried from one position of a sequence to the next."""

    family: ClassVar[str] = "sequence"
    positional: ClassVar[tuple[str, ...]] = ("units",)
    sees_everything: ClassVar[bool] = True
    donates_output: ClassVar[bool] = True
    operator: ClassVar[str]
    """ONNX's."""
    gates: ClassVar[int]
    """Numbers that a unit works out at each position."""
    onnx_order: ClassVar[tuple[int, ...]]
    """Which of our gates stands where ONNX has its first, second, …"""
    onnx_attributes: ClassVar[Mapping[str, Any]] = {}

    units: PositiveInt
    """Numbers of the state."""
    bidirectional: Bool = False
    """Whether the sequence is also read from its end, by variables of its own (`reverse_weights` and so on); outputs
    are then the states of both, one after the other: 2*units channels."""
    return_sequences: Bool = True
    """The state after every position, L×units; false: only the last one (of the other direction that of position 0)."""
    bias: Bool = True
    """Whether there are biases: `biases` beside the inputs' product and `recurrent_biases` beside the state's, as
    PyTorch and ONNX have them."""
    weights_initializer: AnyInitializer = Xavier()
    """How the weights of the inputs start."""
    recurrent_initializer: AnyInitializer = Orthogonal()
    """How the weights of the state start."""
    biases_initializer: AnyInitializer | None = None
    """How the biases start; left out: at 0, and those of a forget gate at 1."""
    weights_regularizer: Regularizer | None = None
    """Penalty on both weights."""
    trainable: Bool = True
    """Whether training changes the variables."""

    def run(self, context: Context, params: CellParams, x: Array) -> CellStep:
        """The cell over x [L, N, C], from its beginning; states are [L, N, units]."""
        raise NotImplementedError(self.kind)

    def initial_biases(self) -> Initializer:
        """How `biases` start where nothing is said."""
        raise NotImplementedError(self.kind)

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _prefixes(self) -> tuple[str, ...]:
        return ("", REVERSE)[: self.directions]

    def infer_shape(self, *inputs: Shape) -> Shape:
        length, _ = sequence(inputs[0], self.kind)
        width = self.directions * self.units
        return (length, width) if self.return_sequences else (width,)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        _, channels = sequence(inputs[0], self.kind)
        if self.units > MOST_UNITS:
            raise RuleError("G207", f"units={self.units:,} is too large: expected at most {MOST_UNITS:,}", "units")
        outputs = self.gates * self.units
        penalty, train = self.weights_regularizer, self.trainable
        biases = self.biases_initializer or self.initial_biases()
        found: dict[str, ParamSpec] = {}
        for prefix in self._prefixes:
            found[f"{prefix}weights"] = ParamSpec((channels, outputs), self.weights_initializer, train, penalty)
            found[f"{prefix}recurrent_weights"] = ParamSpec(
                (self.units, outputs), self.recurrent_initializer, train, penalty
            )
            if self.bias:
                found[f"{prefix}biases"] = ParamSpec((outputs,), biases, train)
                found[f"{prefix}recurrent_biases"] = ParamSpec((outputs,), self.biases_initializer or Zeros(), train)
        return found

    def count_macs(self, *inputs: Shape) -> int:
        length, channels = sequence(inputs[0], self.kind)
        return self.directions * elements((length,)) * (channels + self.units) * self.gates * self.units

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.op("Transpose", build.channels_last(inputs[0]), perm=[1, 0, 2])  # L N C: all that runtimes take
        weights = np.stack([self._of_onnx(params[f"{prefix}weights"]).T for prefix in self._prefixes])
        recurrent = np.stack([self._of_onnx(params[f"{prefix}recurrent_weights"]).T for prefix in self._prefixes])
        names: list[str | None] = [build.constant("weights", weights), build.constant("recurrent_weights", recurrent)]
        if self.bias:
            both = [
                np.concatenate([self._of_onnx(params[f"{prefix}{which}biases"]) for which in ("", "recurrent_")])
                for prefix in self._prefixes
            ]
            names.append(build.constant("biases", np.stack(both)))
        attributes = {"hidden_size": self.units, **self.onnx_attributes}
        if self.bidirectional:
            attributes["direction"] = "bidirectional"
        shape = self.infer_shape(inputs[0].shape)
        if not self.return_sequences:
            _, last = build.op_several(self.operator, x, *names, shapes=[x.shape, shape], **attributes)  # D N U
            return build.op("Flatten", build.op("Transpose", last, perm=[1, 0, 2]), shape=shape, axis=1)
        states = build.op(self.operator, x, *names, **attributes)  # L D N U
        length, width = shape
        sizes = (-1, length, width) if isinstance(length, int) else (0, -1, width)
        together = build.constant("shape", np.asarray(sizes, np.int64))
        return build.op("Reshape", build.op("Transpose", states, perm=[2, 0, 1, 3]), together, shape=shape)

    def _of_onnx(self, values: Array) -> Array:
        """Values [..., G*U] with the gates in ONNX's order."""
        gates = np.split(values, self.gates, axis=-1)
        return np.concatenate([gates[place] for place in self.onnx_order], axis=-1)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        steps = _time_first(context, x)
        runs = [
            self.run(context, self._cell(params, prefix), _reversed(context, steps) if prefix else steps)
            for prefix in self._prefixes
        ]

        def backward(dy: Array) -> Gradients:
            parts = np.split(dy, self.directions, axis=-1)
            found = [
                run.backward(self._of_states(context, part, run.states, reverse=bool(prefix)))
                for run, part, prefix in zip(runs, parts, self._prefixes, strict=True)
            ]
            return Gradients((_input_gradient(context, found),), self._param_gradients(context, found))

        return Step(self._side_by_side(context, [run.states for run in runs]), backward)

    def emit_run(self, drives: Sequence[Tensor], recurrent: Tensor, biases: Tensor | None) -> CellRun:
        """`run` in nodes, from the inputs' products of each step."""
        raise NotImplementedError(self.kind)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        batch, length, channels = x.shape
        rows = x.transpose(1, 0, 2).reshape(length * batch, channels)
        runs = []
        for prefix in self._prefixes:
            products = gemm(rows, params[f"{prefix}weights"], params.get(f"{prefix}biases"))
            drives = products.split([batch] * length, 0)[:: -1 if prefix else 1]
            recurrent = params[f"{prefix}recurrent_weights"], params.get(f"{prefix}recurrent_biases")
            runs.append(self.emit_run(drives, *recurrent))

        def backward(dy: Tensor) -> EmittedGradients:
            dx, found = [], dict[str, Tensor]()
            parts = dy.split([self.units] * self.directions, dy.rank - 1)
            for run, part, prefix in zip(runs, parts, self._prefixes, strict=True):
                gradients = run.backward(self._emit_of_states(part, length, reverse=bool(prefix)))
                every = concat(gradients.drives[:: -1 if prefix else 1], axis=0)
                dx.append(gemm(every, params[f"{prefix}weights"], b_t=True))
                found |= {
                    f"{prefix}weights": gemm(rows, every, a_t=True),
                    f"{prefix}recurrent_weights": gradients.recurrent,
                    f"{prefix}biases": every.sum(0),
                    f"{prefix}recurrent_biases": gradients.biases,
                }
            total = reduce(add, dx).reshape(length, batch, channels).transpose(1, 0, 2)
            return EmittedGradients((total,), {name: value for name, value in found.items() if name in params})

        return EmittedStep(self._emit_side_by_side([run.states for run in runs]), backward)

    def _emit_side_by_side(self, states: Sequence[Sequence[Tensor]]) -> Tensor:
        """`_side_by_side` in nodes."""
        if not self.return_sequences:
            return concat([each[-1] for each in states], axis=1)
        batch, units = states[0][0].shape
        ordered = [each[:: -1 if number else 1] for number, each in enumerate(states)]
        wholes = [concat([state.reshape(batch, 1, units) for state in each], axis=1) for each in ordered]
        return concat(wholes, axis=2)

    def _emit_of_states(self, dy: Tensor, length: int, reverse: bool) -> list[Tensor | None]:
        """`_of_states` in nodes, for each step."""
        if not self.return_sequences:
            return [*[None] * (length - 1), dy]
        batch, _, units = dy.shape
        given = dy.transpose(1, 0, 2).reshape(length * batch, units).split([batch] * length, 0)
        return list(given[:: -1 if reverse else 1])

    def _cell(self, params: Params, prefix: str) -> CellParams:
        biases = (params.get(f"{prefix}biases"), params.get(f"{prefix}recurrent_biases"))
        return CellParams(params[f"{prefix}weights"], params[f"{prefix}recurrent_weights"], *biases)

    def _side_by_side(self, context: Context, states: Sequence[Array]) -> Array:
        """The output, from each direction's states [L, N, U] in the order in which it read."""
        if not self.return_sequences:
            return np.concatenate([each[-1] for each in states], axis=-1)
        length, count, units = states[0].shape
        y = context.empty((count, length, units * len(states)), states[0].dtype)
        y[..., :units] = states[0].transpose(1, 0, 2)
        if len(states) > 1:
            y[..., units:] = states[1][::-1].transpose(1, 0, 2)
        return y

    def _of_states(self, context: Context, dy: Array, states: Array, reverse: bool) -> Array:
        """The gradient of a direction's states [L, N, U], in the order in which it read, from its part of dy."""
        found = context.empty(states.shape, states.dtype)
        if self.return_sequences:
            found[...] = dy.transpose(1, 0, 2)[:: -1 if reverse else 1]
        else:
            found[:-1] = 0
            found[-1] = dy
        return found

    def _param_gradients(self, context: Context, found: Sequence[CellGradients]) -> dict[str, Array]:
        if not self.trainable:
            return {}
        names = ("weights", "recurrent_weights", *(("biases", "recurrent_biases") if self.bias else ()))
        return {
            f"{prefix}{name}": getattr(each, name)
            for prefix, each in zip(self._prefixes, found, strict=True)
            for name in names
            if f"{prefix}{name}" not in context.frozen
        }


def _time_first(context: Context, x: Array) -> Array:
    """x [N, L, C] as [L, N, C]."""
    steps = context.empty((x.shape[1], x.shape[0], x.shape[2]), x.dtype)
    steps[...] = x.transpose(1, 0, 2)
    return steps


def _reversed(context: Context, steps: Array) -> Array:
    """The steps [L, N, C] from the last to the first."""
    found = context.empty(steps.shape, steps.dtype)
    found[...] = steps[::-1]
    return found


def _input_gradient(context: Context, found: Sequence[CellGradients]) -> Array | None:
    """dx [N, L, C], the sum of both directions'; None where nobody asks."""
    first = found[0].inputs
    if first is None:
        return None
    dx = context.empty((first.shape[1], first.shape[0], first.shape[2]), first.dtype)
    dx[...] = first.transpose(1, 0, 2)
    if len(found) > 1:
        other = found[1].inputs
        assert other is not None
        dx += other[::-1].transpose(1, 0, 2)
    return dx
