"""The ranges of a model's tensors on examples, from which `graphc.emit.quantize` makes integers.

The float model itself is run in onnxruntime, with every tensor that is to be quantized among its outputs. `min-max`
keeps the least and the largest value; `percentile` leaves out the share of the values that lie farthest out, counted in
a histogram of the range that a first pass has found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from graphc.emit.inner import fixed_batch, numbers_of, with_outputs
from graphc.emit.model import OnnxModel
from graphc.errors import SpecError, clipped, counted, did_you_mean
from graphc.files import atomic_write, read_limited, shown
from graphc.kernels.integers import Range
from graphc.runtime import Session
from graphc.types import Array
from graphc.valid_json import without_duplicates

BINS = 4096
"""Of a histogram."""
MEMORY = 256 << 20
"""Bytes that the tensors of the examples which are run together may take."""
MOST_TOGETHER = 32
LARGEST_FILE = 2**26
"""Bytes of a file of ranges."""
LIMIT = 1e30
"""Of a range in a file."""

Feeds = Mapping[str, Array]


def find_ranges(
    model: OnnxModel, names: Sequence[str], batches: Callable[[], Iterable[Feeds]], percentile: float | None = None
) -> dict[str, Range]:
    """The range of each tensor over all batches of inputs [N, ...], which are asked for once a pass; `percentile`: of
    100 values, as many as count (None: all)."""
    session = Session(with_outputs(model, names).serialize(), threads=1)
    found: dict[str, Range] = {}
    for feeds in batches():
        for name, array in session.run_all(feeds).items():
            here = Range(float(array.min()), float(array.max()))
            found[name] = here.joined(found[name]) if name in found else here
        _check(found)
    if names and not found:
        raise SpecError("G351", "calibration expects an example or more, found none")
    if percentile is None:
        return found
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for feeds in batches():
        for name, array in session.run_all(feeds).items():
            counts[name] += np.histogram(array, BINS, _edges(found[name]))[0]
    return {name: _within(found[name], counts[name], percentile) for name in names}


def _check(found: Mapping[str, Range]) -> None:
    wrong = [name for name, each in found.items() if not np.isfinite((each.low, each.high)).all()]
    if wrong:
        count = counted(len(wrong), "tensor")
        raise SpecError("G351", f"calibration expects finite values, found others in {count}, the first: {wrong[0]}")


def _edges(over: Range) -> tuple[float, float]:
    return (over.low, over.high) if over.low < over.high else (over.low, over.low + 1)


def _within(over: Range, counts: Array, percentile: float) -> Range:
    """The part of a range, cut in bins with these counts [BINS], that leaves out on both sides together at most what is
    beyond the percentile of the absolute values, 0 being always inside."""
    low, high = _edges(over)
    edges = np.linspace(low, high, BINS + 1)
    farthest = np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))
    order = np.argsort(farthest, kind="stable")
    kept = np.searchsorted(np.cumsum(counts[order]), counts.sum() * percentile / 100)
    limit = farthest[order[min(kept, BINS - 1)]]
    return Range(max(over.low, -limit), min(over.high, limit))


def examples_together(model: OnnxModel, names: Sequence[str]) -> int:
    """How many examples are run at once: the file's number where it has one, else as many as MEMORY holds."""
    fits = MEMORY // max(np.dtype(np.float32).itemsize * numbers_of(model, names), 1)
    return fixed_batch(model) or min(max(fits, 1), MOST_TOGETHER)


def write_ranges(path: str | Path, ranges: Mapping[str, Range]) -> None:
    """Keep ranges in a file, a line a tensor."""
    lines = [f" {json.dumps(name)}: [{each.low!r}, {each.high!r}]" for name, each in ranges.items()]
    atomic_write(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read_ranges(path: str | Path, names: Sequence[str]) -> dict[str, Range]:
    """Ranges that were kept, of all of these tensors; others are not looked at."""
    try:
        text = read_limited(path, LARGEST_FILE, SpecError, "G351")
        found = json.loads(text, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise SpecError("G351", f"{shown(path)}: expected ranges as JSON, got: {error}") from None
    if not isinstance(found, dict):
        raise SpecError("G351", f"{shown(path)}: expected a range a tensor, as JSON, found no mapping")
    missing = [name for name in names if name not in found]
    if missing:
        hint = did_you_mean(missing[0], found)
        raise SpecError("G351", f"{shown(path)}: expected the range of {shown(missing[0])}, found none{hint}")
    return {name: _range_of(found[name], name, path) for name in names}


def _range_of(written: object, name: str, path: str | Path) -> Range:
    if isinstance(written, list) and len(written) == 2:
        low, high = written
        if type(low) in (int, float) and type(high) in (int, float) and -LIMIT <= low <= high <= LIMIT:
            return Range(float(low), float(high))
    found = clipped(written)
    raise SpecError("G351", f"{shown(path)}: {shown(name)}: expected [least, largest], two numbers, found {found}")
