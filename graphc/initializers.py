"""How a variable starts. The same seed gives the same bytes on every machine and with every NumPy.

Only the raw streams of NumPy's bit generators are stable between its versions (NEP 19), and logarithms differ
between machines. So a normal number is read from a table of quantiles by 16 random bits and interpolated by 16
more, and the table is made of additions, multiplications, divisions and square roots alone. A variable's stream
is seeded by the seed and the variable's full name: inserting a layer changes no other variable.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StrictBool,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from graphc.documented import Documented, ReadableSchema
from graphc.errors import RuleError, clipped, did_you_mean
from graphc.expected import Expects, expected
from graphc.lazy import np
from graphc.quantiles import Quantiles, normal_quantiles, truncated_quantiles

if TYPE_CHECKING:
    from graphc.types import Array, ParamSpec

BLOCK = 1 << 14
"""Numbers drawn at a time: the table and one block stay in the processor's cache."""


class Initializer(Documented):
    """The start of a variable, as data; `draw` makes the array."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    kind: ClassVar[str] = ""
    positional: ClassVar[tuple[str, ...]] = ()
    """Arguments that `kind: value` gives, in order."""

    def check(self, shape: tuple[int, ...]) -> None:
        """A RuleError where no variable of this shape can start so."""

    def fill(self, out: Array, seed: int) -> None:
        """Write the variable's values into `out` (float32, contiguous)."""
        raise NotImplementedError(self.kind)

    def draw(self, shape: tuple[int, ...], name: str, seed: int, dtype: Any = "float32") -> Array:
        """The variable `name` of this shape."""
        self.check(shape)
        out = np.empty(shape, np.float32)
        self.fill(out, stream_seed(seed, name))
        return out.astype(dtype, copy=False)


def nested_shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists of numbers; a ValueError where they are ragged or hold something else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return ()
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"expects a finite number or nested lists of them, got {clipped(value)}")
    shapes = {nested_shape(item) for item in value}
    if len(shapes) > 1:
        raise ValueError("nested lists of different lengths")
    return (len(value), *shapes.pop())


def _frozen(value: Any) -> Any:
    """Nested lists as nested tuples; a ValueError where they are ragged or hold something but finite numbers."""
    nested_shape(value)
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


class Constant(Initializer):
    """One number everywhere, or a literal array."""

    kind: ClassVar[str] = "constant"
    positional: ClassVar[tuple[str, ...]] = ("value",)

    value: Annotated[Any, BeforeValidator(_frozen)]
    """A number, or nested lists that have the variable's shape or broadcast to it."""

    def check(self, shape: tuple[int, ...]) -> None:
        found = nested_shape(self.value)
        padded = (1,) * (len(shape) - len(found)) + found
        if len(found) > len(shape) or any(have not in (1, want) for have, want in zip(padded, shape, strict=True)):
            raise RuleError(
                "G206", f"constant of shape {_brackets(found)} does not fit a variable of {_brackets(shape)}"
            )

    def fill(self, out: Array, seed: int) -> None:
        out[...] = np.asarray(self.value, np.float32)


class Zeros(Initializer):
    """0 everywhere."""

    kind: ClassVar[str] = "zeros"

    def fill(self, out: Array, seed: int) -> None:
        out.fill(0)


class Ones(Initializer):
    """1 everywhere."""

    kind: ClassVar[str] = "ones"

    def fill(self, out: Array, seed: int) -> None:
        out.fill(1)


class Uniform(Initializer):
    """Evenly between `low` and `high`."""

    kind: ClassVar[str] = "uniform"
    positional: ClassVar[tuple[str, ...]] = ("low", "high")

    low: float = -0.05
    """The least value."""
    high: float = 0.05
    """What no value reaches."""

    def fill(self, out: Array, seed: int) -> None:
        fill_uniform(out, seed, self.low, self.high)


class Normal(Initializer):
    """Normally distributed."""

    kind: ClassVar[str] = "normal"
    positional: ClassVar[tuple[str, ...]] = ("stddev", "mean")

    stddev: float = Field(default=0.05, ge=0)
    """Standard deviation."""
    mean: float = 0.0
    """Mean."""

    def fill(self, out: Array, seed: int) -> None:
        fill_from(normal_quantiles(), out, seed, self.mean, self.stddev)


class TruncatedNormal(Initializer):
    """Normally distributed, without what lies more than two standard deviations away."""

    kind: ClassVar[str] = "truncated_normal"
    positional: ClassVar[tuple[str, ...]] = ("stddev", "mean")

    stddev: float = Field(default=0.05, ge=0)
    """Standard deviation before the tails are cut (0.88 of it is left)."""
    mean: float = 0.0
    """Mean."""

    def fill(self, out: Array, seed: int) -> None:
        fill_from(truncated_quantiles(), out, seed, self.mean, self.stddev)


class VarianceScaling(Initializer):
    """Variance factor / n, n being the inputs or outputs of a unit: TF-Slim's formulas."""

    kind: ClassVar[str] = "variance_scaling"
    positional: ClassVar[tuple[str, ...]] = ("factor",)

    factor: float = Field(default=2.0, gt=0)
    """What the variance is times n."""
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    """n: inputs of a unit, outputs, or the mean of both."""
    uniform: StrictBool = False
    """Uniform in ±sqrt(3*factor/n); else truncated normal of standard deviation sqrt(1.3*factor/n)."""

    def fill(self, out: Array, seed: int) -> None:
        fill_scaled(out, seed, self.factor, self.mode, self.uniform)


class Xavier(Initializer):
    """Glorot and Bengio's: variance 1/n, n the mean of a unit's inputs and outputs."""

    kind: ClassVar[str] = "xavier"

    uniform: StrictBool = True
    """Uniform, else truncated normal."""

    def fill(self, out: Array, seed: int) -> None:
        fill_scaled(out, seed, 1.0, "fan_avg", self.uniform)


class Glorot(Xavier):
    """Another name of xavier."""

    kind: ClassVar[str] = "glorot"


class He(Initializer):
    """He et al.'s: variance 2/n, n the inputs of a unit."""

    kind: ClassVar[str] = "he"

    uniform: StrictBool = False
    """Uniform, else truncated normal."""

    def fill(self, out: Array, seed: int) -> None:
        fill_scaled(out, seed, 2.0, "fan_in", self.uniform)


class Orthogonal(Initializer):
    """Orthonormal rows or columns of the matrix (all other axes) x (last axis), whichever are fewer."""

    kind: ClassVar[str] = "orthogonal"
    positional: ClassVar[tuple[str, ...]] = ("gain",)

    gain: float = 1.0
    """Length of the vectors."""

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise RuleError("G206", f"orthogonal needs a variable of two axes or more, got {_brackets(shape)}")

    def fill(self, out: Array, seed: int) -> None:
        matrix = out.reshape(-1, out.shape[-1])
        tall = np.empty((max(matrix.shape), min(matrix.shape)), np.float32)
        fill_from(normal_quantiles(), tall, seed, 0.0, 1.0)
        basis = orthonormal_rows(tall.T.astype(np.float64)) * self.gain
        matrix[...] = basis if matrix.shape[0] <= matrix.shape[1] else basis.T


class Identity(Initializer):
    """The identity matrix; for a convolution, at the kernel's centre."""

    kind: ClassVar[str] = "identity"
    positional: ClassVar[tuple[str, ...]] = ("gain",)

    gain: float = 1.0
    """The value on the diagonal."""

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise RuleError("G206", f"identity needs a variable of two axes or more, got {_brackets(shape)}")

    def fill(self, out: Array, seed: int) -> None:
        out.fill(0)
        centre = out[tuple((size - 1) // 2 for size in out.shape[:-2])]
        diagonal = np.arange(min(centre.shape))
        centre[diagonal, diagonal] = self.gain


KINDS: Mapping[str, type[Initializer]] = {
    kind.kind: kind
    for kind in (
        Zeros,
        Ones,
        Constant,
        Uniform,
        Normal,
        TruncatedNormal,
        Xavier,
        Glorot,
        He,
        VarianceScaling,
        Orthogonal,
        Identity,
    )
}


# -- as written ----------------------------------------------------------------------------------------------


_WRITTEN = "an initializer such as xavier or {constant: 0.1}"


def parse(value: Any) -> Initializer:
    """`xavier`, `{truncated_normal: {stddev: 0.01}}` or `{constant: 0.1}` as an initializer."""
    if isinstance(value, Initializer):
        return value
    if isinstance(value, str):
        kind, arguments = value, dict[str, Any]()
    elif isinstance(value, Mapping) and len(value) == 1:
        ((kind, arguments),) = value.items()
    else:
        raise PydanticCustomError("initializer", f"expects {_WRITTEN}")
    if kind not in KINDS:
        known = did_you_mean(kind, KINDS) or f"; there are {', '.join(KINDS)}"
        raise ValueError(f"there is no initializer {clipped(kind)}{known}")
    return _build(KINDS[kind], arguments)


def _build(kind: type[Initializer], arguments: Any) -> Initializer:
    fields = kind.model_fields
    if not isinstance(arguments, Mapping):
        values = arguments if isinstance(arguments, (list, tuple)) and kind is not Constant else [arguments]
        if len(values) > len(kind.positional):
            takes = ", ".join(kind.positional) or "none"
            raise ValueError(f"{kind.kind} takes {takes} as positional arguments, got {clipped(arguments)}")
        arguments = dict(zip(kind.positional, values, strict=False))
    for name in arguments:
        if name not in fields:
            known = did_you_mean(name, fields) or f"; it takes {', '.join(fields) or 'none'}"
            raise ValueError(f"{kind.kind} has no argument {clipped(name)}{known}")
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "value_error":
            raise ValueError(f"{kind.kind}: {name}: {first['ctx']['error']}") from None
        if first["type"] == "missing":
            raise ValueError(f"{kind.kind} needs {clipped(name)}") from None
        takes = expected(fields[name])
        raise ValueError(f"{kind.kind}: {name} expects {takes}, got {clipped(arguments[name])}") from None


def _dump(initializer: Initializer) -> Any:
    arguments = initializer.model_dump(exclude_defaults=True)
    return {initializer.kind: arguments} if arguments else initializer.kind


class _Schema:
    """The JSON Schema of every form, made when it is asked for."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        mapping = {
            "type": "object",
            "properties": {name: _schema(kind) for name, kind in KINDS.items()},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
        alone = [kind.kind for kind in KINDS.values() if kind is not Constant]
        return {"anyOf": [{"type": "string", "enum": alone}, mapping], "title": "initializer"}


def _schema(kind: type[Initializer]) -> dict[str, Any]:
    """What follows a kind: its arguments by name, or some of them by position."""
    number: dict[str, Any] = {"type": "number"}
    schema: dict[str, Any] = {**kind.model_json_schema(schema_generator=ReadableSchema), "description": kind.__doc__}
    del schema["title"]
    if kind is Constant:
        schema["properties"]["value"] |= {"type": ["number", "array"]}
        return {**schema, "type": ["object", "number", "array"]}
    if not kind.positional:
        return schema
    return {**schema, "type": ["object", "number", "array"], "items": number, "maxItems": len(kind.positional)}


AnyInitializer: TypeAlias = Annotated[
    Initializer,
    BeforeValidator(parse),
    Expects(_WRITTEN),
    PlainSerializer(_dump),
    _Schema,
]
"""An initializer as a field: a kind's name, or a kind with its arguments."""


def _brackets(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(size) for size in shape) + "]"


# -- drawing -------------------------------------------------------------------------------------------------


def initial_values(variables: Mapping[str, ParamSpec], seed: int) -> dict[str, Array]:
    """Every variable by its full name."""
    memory = np.empty(sum(math.prod(spec.shape) for spec in variables.values()), np.float32)  # one piece: large pages
    values: dict[str, Array] = {}
    used = 0
    for name, spec in variables.items():
        spec.initializer.check(spec.shape)
        end = used + math.prod(spec.shape)
        values[name] = memory[used:end].reshape(spec.shape)
        spec.initializer.fill(values[name], stream_seed(seed, name))
        used = end
    return values


def stream_seed(seed: int, name: str) -> int:
    """128 bits that depend on the seed and the name alone."""
    digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
    return int.from_bytes(digest[:16], "big")


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of a unit, as TF-Slim counts them."""
    if len(shape) < 2:
        only = shape[0] if shape else 1
        return only, only
    area = math.prod(shape[:-2])
    return area * shape[-2], area * shape[-1]


def fill_scaled(out: Array, seed: int, factor: float, mode: str, uniform: bool) -> None:
    """Zero mean and a variance of factor/n."""
    fan_in, fan_out = fans(out.shape)
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    if uniform:
        limit = math.sqrt(3.0 * factor / n)
        fill_uniform(out, seed, -limit, limit)
    else:
        fill_from(truncated_quantiles(), out, seed, 0.0, math.sqrt(1.3 * factor / n))


def fill_uniform(out: Array, seed: int, low: float, high: float) -> None:
    """Multiples of 2**-24 in [0, 1), stretched to [low, high)."""
    for part, bits in random_bits(out, seed):
        np.multiply(bits >> 8, np.float32((high - low) * 2.0**-24), out=part)
        np.add(part, np.float32(low), out=part)


def fill_from(quantiles: Quantiles, out: Array, seed: int, mean: float, stddev: float) -> None:
    """Quantiles at random positions: 16 bits choose the interval, 16 the place in it."""
    start, step = quantiles
    for part, bits in random_bits(out, seed):
        halves = bits.view("<u2")
        interval = halves[::2].astype(np.intp)
        place = halves[1::2] * np.take(step, interval, mode="clip")
        np.take(start, interval, out=part, mode="clip")
        np.add(part, place, out=part)
        np.multiply(part, np.float32(stddev), out=part)
        np.add(part, np.float32(mean), out=part)


def random_bits(out: Array, seed: int) -> Iterator[tuple[Array, Array]]:
    """`out` block by block, and 32 random bits for each of its numbers."""
    stream = np.random.PCG64(seed)
    flat = out.reshape(-1)
    for first in range(0, flat.size, BLOCK):
        part = flat[first : first + BLOCK]
        raw = stream.random_raw((part.size + 1) // 2)
        yield part, raw.astype("<u8", copy=False).view("<u4")[: part.size]


def orthonormal_rows(rows: Array) -> Array:
    """Modified Gram-Schmidt, in float64. Sums are taken by halving, so that their order is always the same: a
    processor's own order in `np.sum` or BLAS would change the last bits."""
    rows = rows.copy()
    for i in range(rows.shape[0]):
        rows[i] /= np.sqrt(_halving_sum(rows[i] * rows[i]))
        if i + 1 < rows.shape[0]:
            along = _halving_sum((rows[i + 1 :] * rows[i]).T)
            rows[i + 1 :] -= along[:, None] * rows[i]
    return rows


def _halving_sum(values: Array) -> Array:
    """The sum over the first axis, the upper half added to the lower until one is left."""
    while values.shape[0] > 1:
        half = (values.shape[0] + 1) // 2
        upper = values[half:]
        values = np.concatenate([values[: upper.shape[0]] + upper, values[upper.shape[0] : half]])
    total: Array = values[0]
    return total
