"""`graphc bench`: how fast an ONNX file runs here, beside this machine's own matrix product and beside another file.

Whatever else the machine does at the time falls on all of them: the files and the product take turns, in rounds of a
few runs each, and what is compared are a round's medians. The product is NumPy's of float32 matrices, with as many
threads as the model may use, at its highest rate of all rounds: the peak that a float32 model can come near to. (Its
median was lower than the model's rate on a machine where thirty other processes ran.) What is timed is `run` as a
caller sees it, with inputs and outputs in the processor's memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graphc.emit.macs import Macs, count_macs
from graphc.errors import SpecError, did_you_mean
from graphc.files import shown
from graphc.parallel.blas import libraries
from graphc.providers import CPU
from graphc.runtime import Port, Session
from graphc.types import Array

SIDE = 512
"""Of the square matrices whose product is the peak."""
MOST_NUMBERS = 2**28
"""Of an input that is made up."""
ROUND = 0.1
"""Seconds for which a file runs before the others have their turn; one run at least."""
LEAST_ROUNDS = 5
STEADY = 0.5
"""Spread, over the median, from which on it is said that the times vary."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a model is run."""

    provider: str
    threads: int
    batch: int


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured of one file in one setting."""

    file: str
    provider: str
    threads: int
    batch: int
    median_ms: float
    """Of one run."""
    p5_ms: float
    p95_ms: float
    runs: int
    examples_per_s: float
    macs: int
    """Of one run."""
    gmacs_per_s: float
    gemm_gmacs_per_s: float | None
    """NumPy's matrix product in the best of the same rounds; None where the model does not run on the processor."""
    of_gemm: float | None
    ratio: float | None = None
    """The first file's time over this one's: the median of the rounds; None of the first file."""
    ratio_p25: float | None = None
    ratio_p75: float | None = None

    @property
    def spread(self) -> float:
        return (self.p95_ms - self.p5_ms) / self.median_ms

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def bench(
    files: Sequence[str],
    settings: Sequence[Setting],
    sizes: Mapping[str, int],
    *,
    fixed_batch: bool = True,
    seconds: float = 2.0,
    warm_up: int = 3,
    verbose: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> list[Speed]:
    """Every file in every setting, `seconds` each. `sizes`: of what a signature leaves open, by name, or by
    input.axis. `fixed_batch`: a file whose batch is another is an error; else it keeps its own."""
    found: list[Speed] = []
    told: set[str] = set()
    for setting in settings:
        rivals = [_Rival(file, setting, sizes, fixed_batch, verbose) for file in files]
        for notice in dict.fromkeys(notice for rival in rivals for notice in rival.notices):
            if notice not in told:
                told.add(notice)
                say(notice)
        rounds = _take_turns(rivals, setting.threads, seconds, warm_up)
        found += _speeds(rivals, setting, rounds)
    return found


class _Rival:
    """A file in one setting, ready to run."""

    def __init__(self, file: str, setting: Setting, sizes: Mapping[str, int], fixed: bool, verbose: bool) -> None:
        self.file = file
        self.session = Session(file, setting.provider, setting.threads, verbose=verbose)
        shapes, self.batch = shapes_of(self.session, setting.batch, sizes, fixed)
        ports = {port.name: port for port in self.session.inputs}
        self.feeds = {name: example_of(ports[name], shape) for name, shape in shapes.items()}
        self.macs: Macs = count_macs(file, shapes)
        self.notices = list(self.session.notices)
        if self.macs.left_out:
            self.notices.append(f"{shown(file)}: not among its MACs: {shown(', '.join(self.macs.left_out))}")
        if any(array.dtype.kind == "i" for array in self.feeds.values()):
            self.notices.append(f"{shown(file)}: its inputs of whole numbers are all 0")

    def times(self, count: int) -> list[float]:
        """Seconds of `count` runs, of which one more comes before that is not counted."""
        return self.session.time_runs(self.feeds, count + 1)[1:]


def shapes_of(
    session: Session, batch: int, sizes: Mapping[str, int], fixed: bool = True
) -> tuple[dict[str, tuple[int, ...]], int]:
    """({input: shape}, the batch); a SpecError where a size stays open, or the batch is fixed at another.

    A size is open that the file gives a name, or none; the first of an input is the batch unless `sizes` has it.
    """
    known = sorted(
        {_name(port, axis) for port in session.inputs for axis in range(len(port.shape)) if _open(port, axis)}
    )
    for name in sizes:
        if name not in known:
            there = f"its open sizes are {', '.join(known)}" if known else "it leaves no size open"
            raise SpecError("G347", f"{session.name} has no size {shown(name)}{did_you_mean(name, known)}: {there}")
    shapes: dict[str, tuple[int, ...]] = {}
    batches: list[int] = []
    for port in session.inputs:
        shape: list[int] = []
        for axis, size in enumerate(port.shape):
            name = _name(port, axis)
            if isinstance(size, int):
                shape.append(size)
            elif name in sizes:
                shape.append(sizes[name])
            elif axis == 0:
                shape.append(batch)
            else:
                raise SpecError("G346", f"{session.name} leaves {name} open: give it with --size {name}=NUMBER")
        if min(shape, default=1) < 0 or math.prod(shape) > MOST_NUMBERS:
            found = "×".join(map(str, shape))
            expected = f"expected an input of at most {MOST_NUMBERS:,} numbers"
            raise SpecError("G346", f"{session.name}: {expected}, found {shown(port.name)} of {found}")
        shapes[port.name] = tuple(shape)
        batches += shape[:1]
        if fixed and port.shape and isinstance(port.shape[0], int) and port.shape[0] != batch:
            raise SpecError(
                "G348", f"{session.name} fixes the first size of {port.name} at {shape[0]}: no batch {batch}"
            )
    return shapes, batches[0] if batches else 1


def _open(port: Port, axis: int) -> bool:
    return isinstance(port.shape[axis], str)


def _name(port: Port, axis: int) -> str:
    """What a size is called: as the file says, else input.axis."""
    size = port.shape[axis]
    return size if isinstance(size, str) and size != "?" else f"{port.name}.{axis}"


def example_of(port: Port, shape: tuple[int, ...]) -> Array:
    """Random values of this shape for an input: normally distributed, all bytes, and 0 of other whole numbers, which
    are mostly indices of something."""
    rng = np.random.default_rng(0)
    try:
        dtype = np.dtype(port.dtype)
    except TypeError:
        raise SpecError("G342", f"input {port.name} expects {port.dtype}, which bench cannot make up") from None
    if dtype.kind == "f":
        return rng.standard_normal(shape, np.float32).astype(dtype)
    if dtype.kind == "b" or dtype.itemsize == 1:
        info = (0, 2) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max + 1)
        return rng.integers(*info, shape).astype(dtype)
    return np.zeros(shape, dtype)


@dataclass(frozen=True, slots=True)
class _Rounds:
    """Seconds of runs by file and round, and GMACs a second of the product by round."""

    times: list[list[list[float]]]
    gemm: list[float]


def _take_turns(rivals: Sequence[_Rival], threads: int, seconds: float, warm_up: int) -> _Rounds:
    """Rounds of all files and the product, until each file has run for `seconds`."""
    counts = []
    for rival in rivals:
        once = min(rival.times(max(warm_up, 1)))
        counts.append(max(1, int(min(ROUND, seconds / LEAST_ROUNDS) / max(once, 1e-6))))
    product = _Product(threads)
    times: list[list[list[float]]] = [[] for _ in rivals]
    gemm: list[float] = []
    while len(gemm) < LEAST_ROUNDS or min(sum(map(sum, each)) for each in times) < seconds:
        for rival, count, found in zip(rivals, counts, times, strict=True):
            found.append(rival.times(count))
        gemm.append(product.rate())
    return _Rounds(times, gemm)


class _Product:
    """NumPy's product of float32 matrices."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        rng = np.random.default_rng(0)
        self._a, self._b = (rng.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))
        self._c = np.empty((SIDE, SIDE), np.float32)

    def rate(self) -> float:
        """GMACs a second: the best of three."""
        best = float("inf")
        with libraries().limit(limits=self._threads, user_api="blas"):
            for _ in range(3):
                begun = time.perf_counter()
                np.matmul(self._a, self._b, out=self._c)
                best = min(best, time.perf_counter() - begun)
        return SIDE**3 / best / 1e9


def _speeds(rivals: Sequence[_Rival], setting: Setting, rounds: _Rounds) -> list[Speed]:
    gemm = max(rounds.gemm) if rivals[0].session.providers == (CPU,) else None
    medians = [np.array([np.median(each) for each in of_one]) for of_one in rounds.times]
    found = []
    for index, (rival, of_one) in enumerate(zip(rivals, rounds.times, strict=True)):
        runs = np.concatenate([np.array(each) for each in of_one])
        p5, median, p95 = map(float, np.percentile(runs, (5, 50, 95)))
        rate = rival.macs.total / median / 1e9
        # a file that is run on more examples has not become slower
        ratios = medians[0] / medians[index] * (rival.batch / rivals[0].batch)
        p25, middle, p75 = map(float, np.percentile(ratios, (25, 50, 75))) if index else (None, None, None)
        found.append(
            Speed(
                file=rival.file,
                provider=setting.provider,
                threads=setting.threads,
                batch=rival.batch,
                median_ms=1e3 * median,
                p5_ms=1e3 * p5,
                p95_ms=1e3 * p95,
                runs=len(runs),
                examples_per_s=rival.batch / median,
                macs=rival.macs.total,
                gmacs_per_s=rate,
                gemm_gmacs_per_s=gemm,
                of_gemm=None if gemm is None else rate / gemm,
                ratio=middle,
                ratio_p25=p25,
                ratio_p75=p75,
            )
        )
    return found
