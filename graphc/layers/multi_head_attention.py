"""Attention with several heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from graphc.dims import Dim, Shape, format_shape, is_static
from graphc.errors import RuleError
from graphc.initializers import AnyInitializer, Xavier, Zeros
from graphc.kernels.attention import HIDDEN, attention
from graphc.kernels.channels import bias_gradient
from graphc.layers.base import Layer, elements, scalar, sequence, static
from graphc.layers.fields import Bool, Fraction, PositiveInt
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.dense import dense_gradients, emit_dense
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channels_last, swapped
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec

_T = TypeVar("_T")
PARTS = ("query", "key", "value", "output")
"""Each a matrix, and biases."""


class MultiHeadAttention(Layer):
    """Softmax(q @ k.T / sqrt(key_size)) @ v in each head; keys and values are of the second input, if there are two.

    A sequence L×C stays one (Vaswani et al. 2017). A third input is a mask: M×1 says which of the M positions of the
    second are seen, L×M which of them each position of the first sees, those whose number is above 0. A position that
    sees none takes the mean of all. `query_weights`, `key_weights` and `value_weights` are
    [C, heads*key_size], `output_weights` [heads*key_size, C].
    """

    kind: ClassVar[str] = "multi_head_attention"
    family: ClassVar[str] = "sequence"
    positional: ClassVar[tuple[str, ...]] = ("heads",)
    inputs_at_most: ClassVar[int | None] = 3
    reaches: ClassVar[int | None] = 2
    sees_everything: ClassVar[bool] = True
    donates_output: ClassVar[bool] = True

    heads: PositiveInt
    """How many weighted means there are side by side."""
    key_size: PositiveInt | None = None
    """Channels of a head; left out: the first input's channels divided by the heads."""
    causal: Bool = False
    """Whether position i sees positions 0 to i alone, of the second input too: a decoder's mask."""
    dropout: Fraction = 0.0
    """The share of attention weights that is dropped in training."""
    bias: Bool = True
    """Whether queries, keys, values and outputs have biases."""
    weights_initializer: AnyInitializer = Xavier()
    """How the weights start."""
    weights_regularizer: Regularizer | None = None
    """Penalty on the weights."""
    biases_initializer: AnyInitializer = Zeros()
    """How the biases start."""
    trainable: Bool = True
    """Whether training changes the variables."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        for shape in inputs:
            sequence(shape, self.kind)
        self._head_size(inputs[0])
        if len(inputs) > 2:
            length, (remembered, _) = inputs[0][0], sequence(inputs[1], self.kind)
            if inputs[2] not in ((remembered, 1), (length, remembered)):
                keys, each = format_shape((remembered, 1)), format_shape((length, remembered))
                found = format_shape(inputs[2])
                code = "G201" if is_static((length, remembered)) else "G205"
                raise RuleError(code, f"{self.kind} expects a mask of {keys} or {each}, got {found}")
        return inputs[0]

    def _head_size(self, shape: Shape) -> int:
        _, channels = sequence(shape, self.kind)
        if self.key_size is not None:
            return self.key_size
        if channels % self.heads:
            message = f"{channels} channels do not divide by heads={self.heads}, got {format_shape(shape)}"
            raise RuleError("G201", f"{message}; key_size says how many channels a head has", "heads")
        return channels // self.heads

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        _, channels = sequence(inputs[0], self.kind)
        _, remembered = sequence(_memory(inputs), self.kind)
        inside = self.heads * self._head_size(inputs[0])
        shapes = ((channels, inside), (remembered, inside), (remembered, inside), (inside, channels))
        found: dict[str, ParamSpec] = {}
        for part, shape in zip(PARTS, shapes, strict=True):
            found[f"{part}_weights"] = ParamSpec(
                shape, self.weights_initializer, self.trainable, self.weights_regularizer, axes="IO"
            )
            if self.bias:
                found[f"{part}_biases"] = ParamSpec(shape[1:], self.biases_initializer, self.trainable, axes="O")
        return found

    def count_macs(self, *inputs: Shape) -> int:
        (length, channels), (remembered, others) = (sequence(each, self.kind) for each in (inputs[0], _memory(inputs)))
        inside = self.heads * self._head_size(inputs[0])
        projections = 2 * elements((length, channels)) + 2 * elements((remembered, others))
        return (projections + 2 * elements((length, remembered))) * inside

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        query, memory = (build.channels_last(value) for value in (inputs[0], _memory(inputs)))
        size = self._head_size(query.shape)
        q = self._emit_heads(build, query, "query", params, (0, 2, 1, 3))
        k = self._emit_heads(build, memory, "key", params, (0, 2, 3, 1))
        v = self._emit_heads(build, memory, "value", params, (0, 2, 1, 3))
        scores = build.op("Mul", build.op("MatMul", q, k), scalar(build, "scale", 1 / math.sqrt(size)))
        lengths = query.shape[0], memory.shape[0]
        if self.causal:
            scores = self._emit_causal(build, scores, lengths)
        if len(inputs) > 2:
            scores = self._emit_masked(build, scores, build.channels_last(inputs[2]), lengths)
        found = build.op("MatMul", build.op("Softmax", scores, axis=3), v, shape=query.shape)
        sizes = _sizes(query.shape[0], self.heads * size)
        together = build.op("Reshape", build.op("Transpose", found, perm=[0, 2, 1, 3]), build.constant("joined", sizes))
        return self._emit_product(build, together, "output", params)

    def _emit_causal(self, build: OnnxBuilder, scores: Value, lengths: Shape) -> Value:
        """The scores [N, heads, L, M] with those of later positions out of reach."""
        if is_static(lengths):
            hidden = np.triu(np.full(static(lengths, self.kind), HIDDEN, np.float32), 1)
            return build.op("Add", scores, build.constant("causal", hidden))
        ends = [build.constant(name, np.asarray(at, np.int64)) for name, at in (("none", 0), ("one", 1))]
        sizes = build.op("Shape", scores, shape=(4,))
        places = []
        for axis, flat in ((2, 1), (3, 0)):  # queries as a column, keys as a row
            count = build.op("Gather", sizes, build.constant(f"axis{axis}", np.asarray(axis, np.int64)), shape=())
            each = build.op("Range", ends[0], count, ends[1], shape=(lengths[axis - 2],))
            places.append(build.op("Unsqueeze", each, build.constant(f"flat{flat}", np.asarray([flat], np.int64))))
        later = build.op("Greater", places[1], places[0], shape=lengths)
        return build.op("Where", later, scalar(build, "hidden", HIDDEN), scores, shape=scores.shape)

    def _emit_masked(self, build: OnnxBuilder, scores: Value, mask: Value, lengths: Shape) -> Value:
        """The scores [N, heads, L, M] with those out of reach whose number in the mask is not above 0."""
        seen = build.op("Greater", mask, scalar(build, "zero", 0.0))
        if _is_of_keys(mask.shape, lengths):
            seen = build.op("Transpose", seen, perm=[0, 2, 1])
        each = build.op("Unsqueeze", seen, build.constant("heads_axis", np.asarray([1], np.int64)))
        return build.op("Where", each, scores, scalar(build, "hidden", HIDDEN), shape=scores.shape)

    def _hidden(self, query: Array, memory: Array, mask: Array | None) -> Array | None:
        """Which keys a query does not see: bool [N or 1, 1, L or 1, M]; None where it sees all."""
        later = None
        if self.causal:
            later = np.triu(np.ones((query.shape[1], memory.shape[1]), bool), 1)[None, None]
        if mask is None:
            return later
        masked = (mask <= 0)[:, None]
        if _is_of_keys(mask.shape[1:], (query.shape[1], memory.shape[1])):
            masked = masked.swapaxes(2, 3)
        return masked if later is None else masked | later

    def _emit_heads(
        self, build: OnnxBuilder, x: Value, part: str, params: Params, perm: tuple[int, int, int, int]
    ) -> Value:
        """The product with a matrix, N heads L K, or N heads K L of keys."""
        sizes = _sizes(x.shape[0], self.heads, params["query_weights"].shape[1] // self.heads)
        name = "query_heads" if part == "query" else "memory_heads"
        split = build.op("Reshape", self._emit_product(build, x, part, params), build.constant(name, sizes))
        return build.op("Transpose", split, perm=list(perm))

    def _emit_product(self, build: OnnxBuilder, x: Value, part: str, params: Params) -> Value:
        y = build.op("MatMul", x, build.constant(f"{part}_weights", params[f"{part}_weights"]))
        if not self.bias:
            return y
        return build.op("Add", y, build.constant(f"{part}_biases", params[f"{part}_biases"]))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        query, memory = inputs[0], _memory(inputs)
        hidden = self._hidden(query, memory, inputs[2] if len(inputs) > 2 else None)
        q, k, v = (
            self._product(context, x, part, params) for part, x in zip(PARTS, (query, memory, memory), strict=False)
        )
        kept = self._kept(context, query, memory)
        found = attention(context, q, k, v, self.heads, kept, hidden)
        y = self._product(context, found.output, "output", params)

        def backward(dy: Array) -> Gradients:
            gradients: dict[str, Any] = {}
            into = self._gradients(context, found.output, dy, "output", params, gradients)
            given = found.backward(into)
            dquery, dkey, dvalue = (
                self._gradients(context, x, each, part, params, gradients)
                for part, x, each in zip(PARTS, (query, memory, memory), given, strict=False)
            )
            dkey += dvalue
            if len(inputs) > 1:
                return Gradients((dquery, dkey, *(None,) * (len(inputs) - 2)), gradients)
            dquery += dkey
            return Gradients((dquery,), gradients)

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        query, memory = inputs[0], _memory(inputs)
        products = {part: emit_dense(x, params, part) for part, x in zip(PARTS, (query, memory, memory), strict=False)}
        q, k, v = (_emit_heads_apart(product, self.heads) for product in products.values())
        scale = 1 / math.sqrt(q.shape[-1])
        scores, seen = (q @ swapped(k)) * scale, self._emit_seen(build, inputs)
        if seen is not None:
            scores = scores * seen + (1 - seen) * HIDDEN
        weights = scores.apply("Softmax", axis=3)
        factors = self._emit_kept(build, weights.shape)
        used = weights if factors is None else weights * factors
        found = _emit_together(used @ v)

        def backward(dy: Tensor) -> EmittedGradients:
            into, gradients = dense_gradients(found, dy, params, "output")
            given = _emit_heads_apart(into, self.heads)
            dweights = given @ swapped(v)
            dweights = dweights if factors is None else dweights * factors
            dscores = (dweights - (dweights * weights).sum(3, keep=True)) * weights * scale
            dscores = dscores if seen is None else dscores * seen
            back = {"query": dscores @ k, "key": swapped(dscores) @ q, "value": swapped(used) @ given}
            found_for: dict[str, Tensor] = {}
            for part, each in back.items():
                x = query if part == "query" else memory
                found_for[part], more = dense_gradients(x, _emit_together(each), params, part)
                gradients |= more
            dmemory = found_for["key"] + found_for["value"]
            if len(inputs) > 1:
                return EmittedGradients((found_for["query"], dmemory, *(None,) * (len(inputs) - 2)), gradients)
            return EmittedGradients((found_for["query"] + dmemory,), gradients)

        return EmittedStep(emit_dense(found, params, "output"), backward)

    def _emit_seen(self, build: TrainingBuilder, inputs: Sequence[Tensor]) -> Tensor | None:
        """1 for the keys that a query sees, [N or 1, 1, L or 1, M]; None where it sees all."""
        lengths = inputs[0].shape[1], _memory(inputs).shape[1]
        seen = build.tensor(np.tril(np.ones(lengths))[None, None]) if self.causal else None
        if len(inputs) < 3:
            return seen
        mask = inputs[2].above(0)
        masked = mask.reshape(mask.shape[0], 1, *mask.shape[1:])
        masked = swapped(masked) if _is_of_keys(inputs[2].example, lengths) else masked
        return masked if seen is None else masked * seen

    def _emit_kept(self, build: TrainingBuilder, shape: tuple[int, ...]) -> Tensor | None:
        """`_kept` in nodes, of this shape."""
        if self.dropout == 0:
            return None
        drawn = channels_last(build.uniform(*shape))
        return (1 - drawn.below(self.dropout)) * (1 / (1 - self.dropout))

    def _product(self, context: Context, x: Array, part: str, params: Params) -> Array:
        """x @ weights + biases, [N, L, C] to [N, L, F]."""
        weights = params[f"{part}_weights"]
        y = context.empty((*x.shape[:2], weights.shape[1]), x.dtype)
        np.matmul(x.reshape(-1, x.shape[2]), weights, out=y.reshape(-1, weights.shape[1]))
        if self.bias:
            y += params[f"{part}_biases"]
        return y

    def _gradients(
        self, context: Context, x: Array, dy: Array, part: str, params: Params, gradients: dict[str, Any]
    ) -> Array:
        """The gradient of x [N, L, C] from dy [N, L, F]; those of the variables are put into `gradients`."""
        weights = params[f"{part}_weights"]
        rows = dy.reshape(-1, dy.shape[2])
        if self.trainable and f"{part}_weights" not in context.frozen:
            gradients[f"{part}_weights"] = x.reshape(-1, x.shape[2]).T @ rows
        if self.bias and self.trainable and f"{part}_biases" not in context.frozen:
            gradients[f"{part}_biases"] = bias_gradient(dy)
        dx = context.empty(x.shape, x.dtype)
        np.matmul(rows, weights.T, out=dx.reshape(-1, x.shape[2]))
        return dx

    def _kept(self, context: Context, query: Array, memory: Array) -> Array | None:
        """Factors of the attention weights [N, heads, L, M]: 0 of what is dropped; None where nothing is."""
        if not context.training or self.dropout == 0:
            return None
        shape = (len(query), self.heads, query.shape[1], memory.shape[1])
        kept = context.random().random(shape, dtype=np.float32) >= self.dropout
        factors: Array = kept * query.dtype.type(1 / (1 - self.dropout))
        return factors


def _memory(inputs: Sequence[_T]) -> _T:
    """What keys and values are made of: the second input, or the only one."""
    return inputs[1] if len(inputs) > 1 else inputs[0]


def _is_of_keys(mask: Shape, lengths: Shape) -> bool:
    """Whether a mask is for keys alone, M×1, the same for all queries."""
    return mask == (lengths[1], 1)


def _sizes(length: Dim, *others: int) -> Array:
    """What Reshape takes for N, the length and these, whatever the number of examples is."""
    return np.asarray((-1, length, *others) if isinstance(length, int) else (0, -1, *others), np.int64)


def _emit_heads_apart(x: Tensor, heads: int) -> Tensor:
    """[N, L, H*K] as [N, H, L, K]."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def _emit_together(x: Tensor) -> Tensor:
    """[N, H, L, K] as [N, L, H*K]."""
    count, heads, length, size = x.shape
    return x.transpose(0, 2, 1, 3).reshape(count, length, heads * size)
