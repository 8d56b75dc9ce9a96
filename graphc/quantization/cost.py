"""What a conversion (8-bit integers, half precision) has cost: noise by layer, answers that are others, and what it has
won: bytes and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from graphc.emit.inner import with_outputs
from graphc.emit.model import OnnxModel
from graphc.errors import SpecError, counted
from graphc.graph import Plan
from graphc.quantization.ranges import Feeds
from graphc.quantization.source import Source
from graphc.runtime import Session
from graphc.types import Array

ACCURACY = "accuracy"
TIMED = 20
"""Runs of each model, in turn."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What a conversion makes of a tensor."""

    name: str
    decibels: float
    """Of the float32 model's values over what the converted model's differ by, as power; larger is better."""


def noise(whole: OnnxModel, converted: OnnxModel, names: Sequence[str], batches: Iterable[Feeds]) -> list[Noise]:
    """Of each tensor, the signal-to-noise ratio of the converted model; what comes before a layer adds to its noise."""
    one, other = (Session(with_outputs(each, names).serialize(), threads=1) for each in (whole, converted))
    signal, error = (dict.fromkeys(names, 0.0) for _ in range(2))
    for feeds in batches:
        expected, found = one.run_all(feeds), other.run_all(other.as_read(feeds))
        for name in names:
            _check_finite(name, expected[name], found[name])
            signal[name] += float(np.square(expected[name], dtype=np.float64).sum())
            error[name] += float(np.square(expected[name] - found[name], dtype=np.float64).sum())
    return [Noise(name, _decibels(signal[name], error[name])) for name in names]


def _check_finite(name: str, expected: Array, found: Array) -> None:
    """A SpecError where values [N, ...] were finite and are so no more."""
    if np.isfinite(expected).all() and not np.isfinite(found).all():
        largest = float(np.abs(expected).max())
        message = f"{name}: no finite number is left of its values, the largest of which is {largest:,.6g}"
        raise SpecError("G352", f"{message}: keep its layer in float32 (--in-float), or those before it")


def _decibels(signal: float, error: float) -> float:
    if not error:
        return float("inf")
    return 10 * float(np.log10(signal / error)) if signal else float("-inf")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a conversion has cost, and won."""

    form: str
    """What it was converted to: int8, float16."""
    examples: int
    noise: Sequence[Noise]
    """Of the layers' tensors, in order."""
    agreement: float | None
    """Share of the examples whose largest output is the same; None where no output is a row of classes."""
    before: Mapping[str, Any]
    """A run's metrics of the float model; empty where none are known."""
    after: Mapping[str, Any]
    bytes: tuple[int, int]
    seconds: tuple[float, float]
    """Of an example, in one thread: medians of runs in turn."""

    @property
    def points(self) -> float | None:
        """Of accuracy, that are lost; None where it is not among the metrics."""
        if ACCURACY not in self.before:
            return None
        return 100 * float(self.before[ACCURACY] - self.after[ACCURACY])

    def describe(self) -> str:
        """In a few lines."""
        worst = min(self.noise, key=lambda each: each.decibels, default=None)
        lines = []
        if self.agreement is not None:
            lines.append(f"  largest output the same in {self.agreement:.1%} of {counted(self.examples, 'example')}")
        lines += [
            f"  {name}: {value:.6g} in float32, {self.after[name]:.6g} in {self.form}"
            for name, value in self.before.items()
            if isinstance(value, (int, float))
        ]
        if worst is not None:
            lines.append(f"  least signal-to-noise: {worst.decibels:.1f} dB at {worst.name}")
        (large, small), (slow, fast) = self.bytes, self.seconds
        lines.append(f"  {large:,} bytes -> {small:,}; {slow * 1e3:.2f} ms -> {fast * 1e3:.2f} ms ({slow / fast:.2f}x)")
        return "\n".join(lines)


def cost_of(
    form: str,
    model: OnnxModel,
    found: OnnxModel,
    plan: Plan,
    names: Sequence[str],
    source: Source,
    together: int,
) -> Cost:
    """Of `found`, which is the model converted; the noise is of these tensors, and of the outputs."""
    made = {name for node in model.body.graph.node for name in node.output}
    outputs = [each.name for each in model.body.graph.output]
    judged = list(dict.fromkeys([*(name for name in names if name in made), *outputs]))
    sessions = Session(model.serialize(), threads=1), Session(found.serialize(), threads=1)
    return Cost(
        form,
        source.count,
        noise(model, found, judged, source.batches(together)),
        _agreement(sessions, source, together),
        source.metrics(sessions[0], plan),
        source.metrics(sessions[1], plan),
        (model.size, found.size),
        _timed(sessions, next(iter(source.batches(sessions[0].batch or 1)))),
    )


def _agreement(sessions: tuple[Session, Session], source: Source, together: int) -> float | None:
    same = total = 0
    for feeds in source.batches(together):
        one, other = (session.run_all(session.as_read(feeds)) for session in sessions)
        name = next((key for key, value in one.items() if value.ndim == 2 and value.shape[1] > 1), None)
        if name is None:
            return None
        same += int((one[name].argmax(1) == other[name].argmax(1)).sum())
        total += len(one[name])
    return same / total


def _timed(sessions: tuple[Session, Session], feeds: Feeds) -> tuple[float, float]:
    """Seconds of each session for an example of these inputs [N, ...], medians of runs in turn."""
    took: tuple[list[float], list[float]] = ([], [])
    given = [session.as_read(session.filled(feeds)) for session in sessions]
    for _ in range(TIMED + 2):
        for session, read, times in zip(sessions, given, took, strict=True):
            times.extend(session.time_runs(read, 1))
    one, other = (median(times[2:]) / (session.batch or 1) for session, times in zip(sessions, took, strict=True))
    return one, other
