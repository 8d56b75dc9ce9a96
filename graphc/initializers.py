"""How a variable starts. The same seed gives the same bytes on every machine and with every NumPy.

Only the raw streams of NumPy's bit generators are stable between its versions (NEP 19), and logarithms differ
between machines. So a normal number is read from a table of quantiles by 16 random bits and interpolated by 16
more, and the table is made of additions, multiplications, divisions and square roots alone. A variable's stream
is seeded by the seed and the variable's full name: inserting a layer changes no other variable.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
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

from graphc.documented import Documented
from graphc.errors import RuleError, did_you_mean
from graphc.lazy import np

if TYPE_CHECKING:
    from graphc.types import Array, ParamSpec

Job: TypeAlias = Callable[[], None]

BLOCK = 1 << 16
"""Numbers drawn at a time: the table and one block stay in the processor's cache."""
STRETCH = 16 * BLOCK
"""Numbers that one thread draws in a row; each stretch starts at its own place in the variable's stream."""


class Initializer(Documented):
    """The start of a variable, as data; `draw` makes the array."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    kind: ClassVar[str] = ""
    positional: ClassVar[tuple[str, ...]] = ()
    """Arguments that `kind: value` gives, in order."""

    def check(self, shape: tuple[int, ...]) -> None:
        """A RuleError where no variable of this shape can start so."""

    def jobs(self, out: Array, seed: int) -> list[Job]:
        """What writes the variable's values into `out` (float32, contiguous), as independent pieces of work."""
        raise NotImplementedError(self.kind)

    def draw(self, shape: tuple[int, ...], name: str, seed: int, dtype: Any = "float32") -> Array:
        """The variable `name` of this shape."""
        self.check(shape)
        out = np.empty(shape, np.float32)
        for job in self.jobs(out, stream_seed(seed, name)):
            job()
        return out.astype(dtype, copy=False)


def nested_shape(value: Any) -> tuple[int, ...]:
    """The shape of nested lists of numbers; a ValueError where they are ragged or hold something else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return ()
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"expected a finite number or nested lists of them, found {value!r}")
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

    def jobs(self, out: Array, seed: int) -> list[Job]:
        return [lambda: out.__setitem__(..., np.asarray(self.value, np.float32))]


class Zeros(Initializer):
    """0 everywhere."""

    kind: ClassVar[str] = "zeros"

    def jobs(self, out: Array, seed: int) -> list[Job]:
        return [lambda: out.fill(0)]


class Ones(Initializer):
    """1 everywhere."""

    kind: ClassVar[str] = "ones"

    def jobs(self, out: Array, seed: int) -> list[Job]:
        return [lambda: out.fill(1)]


class Uniform(Initializer):
    """Evenly between `low` and `high`."""

    kind: ClassVar[str] = "uniform"
    positional: ClassVar[tuple[str, ...]] = ("low", "high")

    low: float = -0.05
    """The least value."""
    high: float = 0.05
    """What no value reaches."""

    def jobs(self, out: Array, seed: int) -> list[Job]:
        return uniform_jobs(out, seed, self.low, self.high)


class Normal(Initializer):
    """Normally distributed."""

    kind: ClassVar[str] = "normal"
    positional: ClassVar[tuple[str, ...]] = ("stddev", "mean")

    stddev: float = Field(default=0.05, ge=0)
    """Standard deviation."""
    mean: float = 0.0
    """Mean."""

    def jobs(self, out: Array, seed: int) -> list[Job]:
        return quantile_jobs(normal_quantiles(), out, seed, self.mean, self.stddev)


class TruncatedNormal(Initializer):
    """Normally distributed, without what lies more than two standard deviations away."""

    kind: ClassVar[str] = "truncated_normal"
    positional: ClassVar[tuple[str, ...]] = ("stddev", "mean")

    stddev: float = Field(default=0.05, ge=0)
    """Standard deviation before the tails are cut (0.88 of it is left)."""
    mean: float = 0.0
    """Mean."""

    def jobs(self, out: Array, seed: int) -> list[Job]:
        return quantile_jobs(truncated_quantiles(), out, seed, self.mean, self.stddev)


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

    def jobs(self, out: Array, seed: int) -> list[Job]:
        return scaled_jobs(out, seed, self.factor, self.mode, self.uniform)


class Xavier(Initializer):
    """Glorot and Bengio's: variance 1/n, n the mean of a unit's inputs and outputs."""

    kind: ClassVar[str] = "xavier"

    uniform: StrictBool = True
    """Uniform, else truncated normal."""

    def jobs(self, out: Array, seed: int) -> list[Job]:
        return scaled_jobs(out, seed, 1.0, "fan_avg", self.uniform)


class Glorot(Xavier):
    """Another name of xavier."""

    kind: ClassVar[str] = "glorot"


class He(Initializer):
    """He et al.'s: variance 2/n, n the inputs of a unit."""

    kind: ClassVar[str] = "he"

    uniform: StrictBool = False
    """Uniform, else truncated normal."""

    def jobs(self, out: Array, seed: int) -> list[Job]:
        return scaled_jobs(out, seed, 2.0, "fan_in", self.uniform)


class Orthogonal(Initializer):
    """Orthonormal rows or columns of the matrix (all other axes) x (last axis), whichever are fewer."""

    kind: ClassVar[str] = "orthogonal"
    positional: ClassVar[tuple[str, ...]] = ("gain",)

    gain: float = 1.0
    """Length of the vectors."""

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise RuleError("G206", f"orthogonal needs a variable of two axes or more, got {_brackets(shape)}")

    def jobs(self, out: Array, seed: int) -> list[Job]:
        def write() -> None:
            matrix = out.reshape(-1, out.shape[-1])
            tall = np.empty((max(matrix.shape), min(matrix.shape)), np.float32)
            for job in quantile_jobs(normal_quantiles(), tall, seed, 0.0, 1.0):
                job()
            basis = orthonormal_rows(tall.T.astype(np.float64)) * self.gain
            matrix[...] = basis if matrix.shape[0] <= matrix.shape[1] else basis.T

        return [write]


class Identity(Initializer):
    """The identity matrix; for a convolution, at the kernel's centre."""

    kind: ClassVar[str] = "identity"
    positional: ClassVar[tuple[str, ...]] = ("gain",)

    gain: float = 1.0
    """The value on the diagonal."""

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2:
            raise RuleError("G206", f"identity needs a variable of two axes or more, got {_brackets(shape)}")

    def jobs(self, out: Array, seed: int) -> list[Job]:
        def write() -> None:
            out.fill(0)
            centre = out[tuple((size - 1) // 2 for size in out.shape[:-2])]
            diagonal = np.arange(min(centre.shape))
            centre[diagonal, diagonal] = self.gain

        return [write]


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


def parse(value: Any) -> Initializer:
    """`xavier`, `{truncated_normal: {stddev: 0.01}}` or `{constant: 0.1}` as an initializer."""
    if isinstance(value, Initializer):
        return value
    if isinstance(value, str):
        kind, arguments = value, dict[str, Any]()
    elif isinstance(value, Mapping) and len(value) == 1:
        ((kind, arguments),) = value.items()
    else:
        raise ValueError(f"expected an initializer such as xavier or {{constant: 0.1}}, found {value!r}")
    if kind not in KINDS:
        raise ValueError(f"unknown initializer {kind!r}{did_you_mean(kind, KINDS)}")
    return _build(KINDS[kind], arguments)


def _build(kind: type[Initializer], arguments: Any) -> Initializer:
    fields = kind.model_fields
    if not isinstance(arguments, Mapping):
        values = arguments if isinstance(arguments, (list, tuple)) and kind is not Constant else [arguments]
        if len(values) > len(kind.positional):
            takes = ", ".join(kind.positional) or "none"
            raise ValueError(f"{kind.kind} takes {takes} as positional arguments, found {arguments!r}")
        arguments = dict(zip(kind.positional, values, strict=False))
    for name in arguments:
        if name not in fields:
            raise ValueError(f"{kind.kind} has no argument {name!r}{did_you_mean(name, fields)}")
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][:1])
        problem = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{kind.kind}: {where}: {problem}") from None


def _dump(initializer: Initializer) -> Any:
    arguments = initializer.model_dump(exclude_defaults=True)
    return {initializer.kind: arguments} if arguments else initializer.kind


class _Schema:
    """The JSON Schema of every form, made when it is asked for."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(KINDS)}, *(_schema(kind) for kind in KINDS.values())]}


def _schema(kind: type[Initializer]) -> dict[str, Any]:
    number: dict[str, Any] = {"type": "number"}
    if kind is Constant:
        forms: list[dict[str, Any]] = [number, {"type": "array"}]
        arguments: dict[str, Any] = {
            "type": "object",
            "properties": {"value": {"anyOf": [number, {"type": "array"}]}},
            "required": ["value"],
            "additionalProperties": False,
        }
    else:
        forms = [number, {"type": "array", "items": number}] if kind.positional else []
        arguments = {key: item for key, item in kind.model_json_schema().items() if key not in ("title", "description")}
    return {
        "type": "object",
        "description": kind.__doc__,
        "properties": {kind.kind: {"anyOf": [arguments, *forms]}},
        "required": [kind.kind],
        "additionalProperties": False,
    }


AnyInitializer: TypeAlias = Annotated[Initializer, BeforeValidator(parse), PlainSerializer(_dump), _Schema]
"""An initializer as a field: a kind's name, or a kind with its arguments."""


def _brackets(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(size) for size in shape) + "]"


# -- drawing -------------------------------------------------------------------------------------------------


def initial_values(variables: Mapping[str, ParamSpec], seed: int, dtype: Any = "float32") -> dict[str, Array]:
    """Every variable by its full name; drawn on all processors, the same values on any number of them."""
    jobs: list[Job] = []
    values: dict[str, Array] = {}
    for name, spec in variables.items():
        spec.initializer.check(spec.shape)
        values[name] = np.empty(spec.shape, np.float32)
        jobs += spec.initializer.jobs(values[name], stream_seed(seed, name))
    run_jobs(jobs)
    return {name: value.astype(dtype, copy=False) for name, value in values.items()}


def run_jobs(jobs: Sequence[Job]) -> None:
    """Every job, on as many threads as there are processors."""
    pending = iter(jobs)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not failures:
                with lock:
                    job = next(pending, None)
                if job is None:
                    return
                job()
        except BaseException as error:
            failures.append(error)

    helpers = [threading.Thread(target=work, daemon=True) for _ in range(min(_processors(), len(jobs)) - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if failures:
        raise failures[0]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def scaled_jobs(out: Array, seed: int, factor: float, mode: str, uniform: bool) -> list[Job]:
    fan_in, fan_out = fans(out.shape)
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    if uniform:
        limit = math.sqrt(3.0 * factor / n)
        return uniform_jobs(out, seed, -limit, limit)
    return quantile_jobs(truncated_quantiles(), out, seed, 0.0, math.sqrt(1.3 * factor / n))


def uniform_jobs(out: Array, seed: int, low: float, high: float) -> list[Job]:
    """Multiples of 2**-24 in [0, 1), stretched to [low, high)."""

    def write(part: Array, bits: Array) -> None:
        np.copyto(part, bits >> 8)
        part *= np.float32((high - low) * 2.0**-24)
        part += np.float32(low)

    return _stretches(out, seed, write)


def quantile_jobs(quantiles: Quantiles, out: Array, seed: int, mean: float, stddev: float) -> list[Job]:
    """Quantiles at random positions: 16 bits choose the interval, 16 the place in it."""
    start, step = quantiles

    def write(part: Array, bits: Array) -> None:
        halves = bits.view("<u2")
        interval = halves[::2].astype(np.intp)
        place = halves[1::2].astype(np.float32)
        place *= np.take(step, interval, mode="clip")
        np.take(start, interval, out=part, mode="clip")
        part += place
        part *= np.float32(stddev)
        part += np.float32(mean)

    return _stretches(out, seed, write)


def _stretches(out: Array, seed: int, write: Callable[[Array, Array], None]) -> list[Job]:
    """`write(part, bits)` on every block of `out`, 32 random bits a number, one job a stretch."""
    flat = out.reshape(-1)

    def job(first: int) -> Job:
        def run() -> None:
            stream = np.random.PCG64(seed).advance(first // 2)
            stretch = flat[first : first + STRETCH]
            for begin in range(0, stretch.size, BLOCK):
                part = stretch[begin : begin + BLOCK]
                raw = stream.random_raw((part.size + 1) // 2)
                write(part, raw.astype("<u8", copy=False).view("<u4")[: part.size])

        return run

    return [job(first) for first in range(0, flat.size, STRETCH)]


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


# -- quantiles -----------------------------------------------------------------------------------------------

Quantiles: TypeAlias = "tuple[Array, Array]"
"""65,536 intervals of equal probability: where each starts, and 2**-16 of its length."""


@cache
def normal_quantiles() -> Quantiles:
    """The normal distribution's; the two outermost intervals end at ±TAIL instead of infinity."""
    lower = -_upper_quantile(np.arange(1, BLOCK // 2) / BLOCK)
    return _table(np.concatenate([[-TAIL], lower, [0.0], -lower[::-1], [TAIL]]))


TAIL = 4.58
"""Gives the whole distribution the variance 1: the outermost intervals (from 4.17) are taken as even."""


@cache
def truncated_quantiles() -> Quantiles:
    """The normal distribution's between -2 and 2."""
    below = 0.022750131948179212  # probability of less than -2
    lower = -_upper_quantile(below + np.arange(1, BLOCK // 2) / BLOCK * (1.0 - 2.0 * below))
    return _table(np.concatenate([[-2.0], lower, [0.0], -lower[::-1], [2.0]]))


def _table(edges: Array) -> Quantiles:
    start = edges[:-1].astype(np.float32)
    return start, (np.diff(edges) * 2.0**-16).astype(np.float32)


def _upper_quantile(tail: Array) -> Array:
    """x with probability `tail` (in (0, 0.5)) of more than x; M. J. Wichura's AS 241, to 16 digits."""
    centre = 0.5 - tail
    near = 0.180625 - centre * centre
    far = np.sqrt(-_log(tail)) - 1.6
    middle = centre * _ratio(np.maximum(near, 0.0), MIDDLE)
    return np.where(centre <= 0.425, middle, _ratio(far, OUTER))


def _ratio(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    above, below = (_polynomial(x, side) for side in coefficients)
    return above / below


def _polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    total = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


def _log(x: Array) -> Array:
    """The natural logarithm by exact operations: x = m * 2**e, log m = 2 artanh((m - 1)/(m + 1))."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    series = _polynomial(ratio * ratio, [1.0 / (2 * k + 1) for k in range(14)])
    return 2.0 * ratio * series + (exponent - small) * 0.6931471805599453


MIDDLE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
OUTER = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
