"""Attention with several heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from graphc.dims import Dim, Shape, format_shape, is_static
from graphc.errors import RuleError
from graphc.initializers import AnyInitializer, TruncatedNormal, Xavier, Zeros
from graphc.kernels.attention import HIDDEN, attention, offset_sums, relative_places
from graphc.kernels.channels import bias_gradient
from graphc.layers.base import Layer, check_made, elements, scalar, sequence, static
from graphc.layers.fields import Bool, Fraction, PositiveInt
from graphc.layers.per_axis import AxisSizes
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.regularizers import Regularizer
from graphc.training_graph.dense import dense_gradients, emit_dense
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, between_layers, channels_last, swapped
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec

_T = TypeVar("_T")
PARTS = ("query", "key", "value", "output")
"""Each a matrix, and biases."""


class MultiHeadAttention(Layer):
    """Softmax(q @ k.T / sqrt(key_size)) @ v in each head; keys and values are of the second input, if there are two.

    A sequence L×C stays one (Vaswani et al. 2017). A third input is a mask: M×1 says which of the M positions of the
    second are seen, L×M which of them each position of the first sees, those whose number is above 0. A position that
    sees none takes the mean of all. With `relative_positions` each head has a number for each offset of two positions,
    `relative_bias` [offsets, heads], which is added before the softmax. `query_weights`, `key_weights` and
    `value_weights` are [C, heads*key_size], `output_weights` [heads*key_size, C].
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
    windows: Bool = False
    """Whether an example is windows, each a sequence: the last two axes are its length and channels, those before count
    windows, as Swin and MaxViT have them."""
    relative_positions: AxisSizes | None = None
    """The sizes of a window whose positions have learned biases by their offset: [7, 7] of 49 positions in Swin, one
    number along a sequence."""
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
        rows = self._rows(*inputs)
        self._head_size(rows[0])
        length, (remembered, _) = rows[0][0], _memory(rows)
        code = "G201" if (fixed := is_static((length, remembered))) else "G205"
        if len(rows) > 2 and rows[2] not in ((remembered, 1), (length, remembered)):
            keys, each = format_shape((remembered, 1)), format_shape((length, remembered))
            raise RuleError(code, f"{self.kind} expects a mask of {keys} or {each}, got {format_shape(rows[2])}")
        if self.relative_positions is not None and {length, remembered} != {math.prod(self._window)}:
            places = f"{format_shape(self._window)} positions are {math.prod(self._window)}"
            raise RuleError(code, f"relative_positions: {places}, got {length} and {remembered}", "relative_positions")
        held = int(self.causal) if self.relative_positions is None else self.heads
        check_made(held * elements((length, remembered)) if fixed else 0, "for pairs of places")
        return inputs[0]

    @property
    def _window(self) -> tuple[int, ...]:
        """The sizes of a window with relative positions."""
        sizes = self.relative_positions
        return sizes if isinstance(sizes, tuple) else (sizes or 0,)

    def _rows(self, *inputs: Shape) -> list[Shape]:
        """Length and channels of the inputs, of one window each."""
        if not self.windows:
            for shape in inputs:
                sequence(shape, self.kind)
            return list(inputs)
        for shape in inputs:
            if len(shape) < 3 or shape[:-2] != inputs[0][:-2]:
                said = " and ".join(map(format_shape, inputs))
                raise RuleError("G201", f"{self.kind} expects as many windows of length×channels in all, got {said}")
            static(shape, f"{self.kind} with windows")
        return [shape[-2:] for shape in inputs]

    def _head_size(self, shape: Shape) -> int:
        channels = shape[-1]
        if self.key_size is not None:
            return self.key_size
        assert isinstance(channels, int)
        if channels % self.heads:
            message = f"{channels} channels do not divide by heads={self.heads}, got {format_shape(shape)}"
            raise RuleError("G201", f"{message}; key_size says how many channels a head has", "heads")
        return channels // self.heads

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        rows = self._rows(*inputs)
        (_, channels), (_, remembered) = (sequence(each, self.kind) for each in (rows[0], _memory(rows)))
        inside = self.heads * self._head_size(rows[0])
        shapes = ((channels, inside), (remembered, inside), (remembered, inside), (inside, channels))
        found: dict[str, ParamSpec] = {}
        for part, shape in zip(PARTS, shapes, strict=True):
            found[f"{part}_weights"] = ParamSpec(
                shape, self.weights_initializer, self.trainable, self.weights_regularizer, axes="IO"
            )
            if self.bias:
                found[f"{part}_biases"] = ParamSpec(shape[1:], self.biases_initializer, self.trainable, axes="O")
        if self.relative_positions is not None:
            offsets = math.prod(2 * size - 1 for size in self._window)
            found["relative_bias"] = ParamSpec((offsets, self.heads), TruncatedNormal(stddev=0.02), self.trainable)
        return found

    def count_macs(self, *inputs: Shape) -> int:
        rows = self._rows(*inputs)
        (length, channels), (remembered, others) = (sequence(each, self.kind) for each in (rows[0], _memory(rows)))
        inside = self.heads * self._head_size(rows[0])
        projections = 2 * elements((length, channels)) + 2 * elements((remembered, others))
        return elements(inputs[0][:-2]) * (projections + 2 * elements((length, remembered))) * inside

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        rows = self._rows(*(value.shape for value in inputs))
        values = [self._emit_rows(build, *each) for each in zip(inputs, rows, strict=True)]
        query, memory = values[0], _memory(values)
        size = self._head_size(query.shape)
        q = self._emit_heads(build, query, "query", params, (0, 2, 1, 3))
        k = self._emit_heads(build, memory, "key", params, (0, 2, 3, 1))
        v = self._emit_heads(build, memory, "value", params, (0, 2, 1, 3))
        scores = build.op("Mul", build.op("MatMul", q, k), scalar(build, "scale", 1 / math.sqrt(size)))
        lengths = query.shape[0], memory.shape[0]
        if self.relative_positions is not None:
            scores = build.op("Add", scores, build.constant("relative_bias", self._relative_bias(params)[None]))
        if self.causal:
            scores = self._emit_causal(build, scores, lengths)
        if len(values) > 2:
            scores = self._emit_masked(build, scores, values[2], lengths)
        found = build.op("MatMul", build.op("Softmax", scores, axis=3), v, shape=query.shape)
        sizes = _sizes(query.shape[0], self.heads * size)
        together = build.op("Reshape", build.op("Transpose", found, perm=[0, 2, 1, 3]), build.constant("joined", sizes))
        y = self._emit_product(build, together, "output", params)
        if not self.windows:
            return y
        shape = inputs[0].shape
        whole = build.constant("windows", np.asarray([-1, *shape], np.int64))
        return build.between_layers(build.op("Reshape", y, whole, shape=shape, channels_first=False))

    @staticmethod
    def _emit_rows(build: OnnxBuilder, value: Value, row: Shape) -> Value:
        """Windows as so many more examples, N L C."""
        x = build.channels_last(value)
        if x.shape == row:
            return x
        sizes = np.asarray([-1, *row], np.int64)
        name = f"rows{'_'.join(map(str, row))}"
        return build.op("Reshape", x, build.constant(name, sizes), shape=row, channels_first=False)

    def _relative_bias(self, params: Params) -> Array:
        """The bias of each pair of positions, [heads, L, L]."""
        return np.moveaxis(params["relative_bias"][relative_places(self._window)], -1, 0)

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
        rows = [x.reshape(-1, *x.shape[-2:]) for x in inputs]
        query, memory = rows[0], _memory(rows)
        hidden = self._hidden(query, memory, rows[2] if len(rows) > 2 else None)
        q, k, v = (
            self._product(context, x, part, params) for part, x in zip(PARTS, (query, memory, memory), strict=False)
        )
        kept = self._kept(context, query, memory)
        relative = None if self.relative_positions is None else self._relative_bias(params)
        found = attention(context, q, k, v, self.heads, kept, hidden, relative)
        y = self._product(context, found.output, "output", params).reshape(inputs[0].shape)

        def backward(dy: Array) -> Gradients:
            gradients: dict[str, Any] = {}
            into = self._gradients(context, found.output, dy.reshape(query.shape), "output", params, gradients)
            *given, dbias = found.backward(into)
            if relative is not None and self.trainable and "relative_bias" not in context.frozen:
                gradients["relative_bias"] = offset_sums(dbias, self._window)
            dquery, dkey, dvalue = (
                self._gradients(context, x, each, part, params, gradients)
                for part, x, each in zip(PARTS, (query, memory, memory), given, strict=False)
            )
            dkey += dvalue
            if len(inputs) == 1:
                dquery += dkey
                return Gradients((dquery.reshape(inputs[0].shape),), gradients)
            both = dquery.reshape(inputs[0].shape), dkey.reshape(inputs[1].shape)
            return Gradients((*both, *(None,) * (len(inputs) - 2)), gradients)

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        rows = [self._training_rows(x) for x in inputs]
        query, memory = rows[0], _memory(rows)
        products = {part: emit_dense(x, params, part) for part, x in zip(PARTS, (query, memory, memory), strict=False)}
        q, k, v = (_emit_heads_apart(product, self.heads) for product in products.values())
        scale = 1 / math.sqrt(q.shape[-1])
        scores, seen = (q @ swapped(k)) * scale, self._emit_seen(build, rows)
        offsets = self._emit_offsets(build)
        if offsets is not None:
            each = offsets @ params["relative_bias"]  # pairs of positions × heads
            scores = scores + each.transpose(1, 0).reshape(1, self.heads, *scores.shape[2:])
        if seen is not None:
            scores = scores * seen + (1 - seen) * HIDDEN
        weights = scores.apply("Softmax", axis=3)
        factors = self._emit_kept(build, weights.shape)
        used = weights if factors is None else weights * factors
        found = _emit_together(used @ v)

        def backward(dy: Tensor) -> EmittedGradients:
            into, gradients = dense_gradients(found, self._training_rows(dy), params, "output")
            given = _emit_heads_apart(into, self.heads)
            dweights = given @ swapped(v)
            dweights = dweights if factors is None else dweights * factors
            dscores = (dweights - (dweights * weights).sum(3, keep=True)) * weights
            dscores = dscores if seen is None else dscores * seen
            if offsets is not None:
                pairs = dscores.sum(0).reshape(self.heads, offsets.shape[0])
                gradients["relative_bias"] = offsets.T @ pairs.T
            dscores = dscores * scale
            back = {"query": dscores @ k, "key": swapped(dscores) @ q, "value": swapped(used) @ given}
            found_for: dict[str, Tensor] = {}
            for part, each in back.items():
                x = query if part == "query" else memory
                found_for[part], more = dense_gradients(x, _emit_together(each), params, part)
                gradients |= more
            dmemory = found_for["key"] + found_for["value"]
            if len(inputs) == 1:
                return EmittedGradients((self._in_windows(found_for["query"] + dmemory, inputs[0]),), gradients)
            both = self._in_windows(found_for["query"], inputs[0]), self._in_windows(dmemory, inputs[1])
            return EmittedGradients((*both, *(None,) * (len(inputs) - 2)), gradients)

        return EmittedStep(self._in_windows(emit_dense(found, params, "output"), inputs[0]), backward)

    def _training_rows(self, x: Tensor) -> Tensor:
        """Windows as so many more examples, [N, L, C]."""
        if not self.windows:
            return x
        last = channels_last(x)
        return last.reshape(math.prod(last.shape[:-2]), *last.shape[-2:])

    def _in_windows(self, rows: Tensor, like: Tensor) -> Tensor:
        """Such examples as windows again, as `like` lies."""
        if not self.windows:
            return rows
        return between_layers(rows.reshape(like.shape[0], *like.example))

    def _emit_offsets(self, build: TrainingBuilder) -> Tensor | None:
        """1 where a pair of positions, a row each, has an offset, a column each; None without relative positions."""
        if self.relative_positions is None:
            return None
        places = relative_places(self._window).ravel()
        return build.tensor(np.eye(math.prod(2 * size - 1 for size in self._window))[places])

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
        if self.dropout == 0 or not build.training:
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
