"""How a variable starts. The same seed gives the same bytes on every machine, with every NumPy (`graphc.draws`) and
any number of threads. A variable's stream is seeded by the seed and the variable's full name: inserting a layer changes
no other variable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
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
from graphc.draws import WHOLE, do_all, fill_from, fill_scaled, fill_uniform, orthonormal_rows, stream_seed
from graphc.errors import RuleError, clipped, did_you_mean
from graphc.expected import Expects, expected
from graphc.lazy import np
from graphc.quantiles import normal_quantiles, truncated_quantiles
from graphc.system import processors
from graphc.written import kind_and_arguments

if TYPE_CHECKING:
    from graphc.types import Array
    from graphc.variables import ParamSpec

LARGEST = 2.0**128 - 2.0**104  # of float32
_Held: TypeAlias = Annotated[float, Field(ge=-LARGEST, le=LARGEST), Expects("a number of at most 3.4e38")]
MOST_SPREAD = 1e30  # of a standard deviation, a thousand of which float32 still holds
PART = 1 << 20
"""Numbers that one thread draws before it looks for more; even, since a stream gives two at a time."""


class Initializer(Documented):
    """The start of a variable, as data; `draw` makes the array."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    kind: ClassVar[str] = ""
    positional: ClassVar[tuple[str, ...]] = ()
    """Arguments that `kind: value` gives, in order."""
    divisible: ClassVar[bool] = False
    """Whether `fill` may be asked for parts, in any order and by several threads."""

    def check(self, shape: tuple[int, ...]) -> None:
        """A RuleError where no variable of this shape can start so."""

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        """Write the variable's values into `out` (float32, contiguous, of the variable's shape); of a divisible kind
        those of `part` alone, counted in C order from an even number on."""
        raise NotImplementedError(self.kind)

    def draw(self, shape: tuple[int, ...], name: str, seed: int, dtype: Any = "float32") -> Array:
        """The variable `name` of this shape."""
        self.check(shape)
        out = np.empty(shape, np.float32)
        self.fill(out, stream_seed(seed, name))
        return out.astype(dtype, copy=False)


def nested_shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists of numbers; a ValueError where they are ragged or hold something else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return ()
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"expects a number that float32 holds, or nested lists of them, got {clipped(value)}")
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

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        out[...] = np.asarray(self.value, np.float32)


class Zeros(Initializer):
    """0 everywhere."""

    kind: ClassVar[str] = "zeros"

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        out.fill(0)


class Ones(Initializer):
    """1 everywhere."""

    kind: ClassVar[str] = "ones"

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        out.fill(1)


class Uniform(Initializer):
    """Evenly between `low` and `high`."""

    kind: ClassVar[str] = "uniform"
    divisible: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("low", "high")

    low: _Held = -0.05
    """The least value."""
    high: _Held = 0.05
    """What no value reaches."""

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        fill_uniform(out, seed, part, self.low, self.high)


class Normal(Initializer):
    """Normally distributed."""

    kind: ClassVar[str] = "normal"
    divisible: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("stddev", "mean")

    stddev: float = Field(default=0.05, ge=0, le=MOST_SPREAD)
    """Standard deviation."""
    mean: _Held = 0.0
    """Mean."""

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        fill_from(normal_quantiles(), out, seed, part, self.mean, self.stddev)


class TruncatedNormal(Initializer):
    """Normally distributed, without what lies more than two standard deviations away."""

    kind: ClassVar[str] = "truncated_normal"
    divisible: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("stddev", "mean")

    stddev: float = Field(default=0.05, ge=0, le=MOST_SPREAD)
    """Standard deviation before the tails are cut (0.88 of it is left)."""
    mean: _Held = 0.0
    """Mean."""

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        fill_from(truncated_quantiles(), out, seed, part, self.mean, self.stddev)


class VarianceScaling(Initializer):
    """Variance factor / n, n being the inputs or outputs of a unit: TF-Slim's formulas."""

    kind: ClassVar[str] = "variance_scaling"
    divisible: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("factor",)

    factor: float = Field(default=2.0, gt=0, le=MOST_SPREAD)
    """What the variance is times n."""
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    """n: inputs of a unit, outputs, or the mean of both."""
    uniform: StrictBool = False
    """Uniform in ±sqrt(3*factor/n); else truncated normal of standard deviation sqrt(1.3*factor/n)."""

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        fill_scaled(out, seed, part, self.factor, self.mode, self.uniform)


class Xavier(Initializer):
    """Glorot and Bengio's: variance 1/n, n the mean of a unit's inputs and outputs."""

    kind: ClassVar[str] = "xavier"
    divisible: ClassVar[bool] = True

    uniform: StrictBool = True
    """Uniform, else truncated normal."""

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        fill_scaled(out, seed, part, 1.0, "fan_avg", self.uniform)


class Glorot(Xavier):
    """Another name of xavier."""

    kind: ClassVar[str] = "glorot"


class He(Initializer):
    """He et al.'s: variance 2/n, n the inputs of a unit."""

    kind: ClassVar[str] = "he"
    divisible: ClassVar[bool] = True

    uniform: StrictBool = False
    """Uniform, else truncated normal."""

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        fill_scaled(out, seed, part, 2.0, "fan_in", self.uniform)


class OfMatrix(Initializer):
    """What a variable of two axes or more can start as."""

    positional: ClassVar[tuple[str, ...]] = ("gain",)

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise RuleError("G206", f"{self.kind} needs a variable of two axes or more, got {_brackets(shape)}")


class Orthogonal(OfMatrix):
    """Orthonormal rows or columns of the matrix (all other axes) x (last axis), whichever are fewer."""

    kind: ClassVar[str] = "orthogonal"

    gain: _Held = 1.0
    """Length of the vectors."""

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
        matrix = out.reshape(-1, out.shape[-1])
        tall = np.empty((max(matrix.shape), min(matrix.shape)), np.float32)
        fill_from(normal_quantiles(), tall, seed, WHOLE, 0.0, 1.0)
        basis = orthonormal_rows(tall.T.astype(np.float64)) * self.gain
        matrix[...] = basis if matrix.shape[0] <= matrix.shape[1] else basis.T


class Identity(OfMatrix):
    """The identity matrix; for a convolution, at the kernel's centre."""

    kind: ClassVar[str] = "identity"

    gain: _Held = 1.0
    """The value on the diagonal."""

    def fill(self, out: Array, seed: int, part: slice = WHOLE) -> None:
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
    found = kind_and_arguments(value, alone={})
    if found is None:
        raise PydanticCustomError("initializer", f"expects {_WRITTEN}")
    kind, arguments = found
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


def initial_values(variables: Mapping[str, ParamSpec], seed: int, threads: int | None = None) -> dict[str, Array]:
    """Every variable (float32) by its full name, drawn by so many threads, unless given as many as there are
    processors. Each number depends on the seed, the variable's name and its place alone. A RuleError where a
    variable of this shape cannot start so.
    """
    memory = np.empty(sum(math.prod(spec.shape) for spec in variables.values()), np.float32)  # one piece: large pages
    values: dict[str, Array] = {}
    work: list[Callable[[], None]] = []
    used = 0
    for name, spec in variables.items():
        spec.initializer.check(spec.shape)
        end = used + math.prod(spec.shape)
        values[name] = memory[used:end].reshape(spec.shape)
        fill = partial(spec.initializer.fill, values[name], stream_seed(seed, name))
        size = PART if spec.initializer.divisible else max(end - used, 1)
        work += [partial(fill, slice(first, first + size)) for first in range(0, end - used, size)]
        used = end
    do_all(work, min(threads or processors(), math.ceil(used / PART)))
    return values
