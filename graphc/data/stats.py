"""What a data set is like: counts, balance, sizes, values, correlation, duplicates, files that cannot be read."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.data.examples import LABEL, Examples
from graphc.data.preprocess import Preprocess
from graphc.data.sample import BOXES_THERE, POINTS_THERE
from graphc.data.steps.values import Whiten
from graphc.data.stored import StoredImages
from graphc.data.value_range import AnyRange, ValueRange, range_of
from graphc.types import Array

LOOKED_AT = 10_000
"""Images of which values are looked at, at most, spread evenly over the set."""
LOOKED_AT_BYTES = 2**28
"""And their bytes."""
MOST_CHANNELS, MOST_PAIRS = 16, 40
"""Channels that are described, and numbers of channels, or of pairs of them, that are listed."""
LARGEST = 1e9
"""Numbers that are written out are smaller."""
MOST_GAPS = 1000
"""Numbers between labels that are listed as empty classes."""
MOST_CLASSES = 10_000
"""Different labels that are listed one by one."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one set."""

    facts: Mapping[str, Any]
    """What is printed, in order."""
    classes: Mapping[str, int]
    """Examples of each class; of several labels, those for which each holds."""
    histogram: Array
    """Channels × 32: how often values lie in each of 32 equal parts of their range."""
    digests: Mapping[str, int]
    """Digest of an image's pixels -> the first example that has them."""


def statistics(examples: Examples) -> Statistics:
    """Look at a set; of a large one, values and duplicates of some thousand images only."""
    name, images = next(iter(examples.inputs.items()))
    fitting = max(16, LOOKED_AT_BYTES // max(int(np.prod(images.shape[1:])), 1))
    rows = np.unique(np.linspace(0, len(examples) - 1, min(len(examples), LOOKED_AT, fitting)).astype(np.intp))
    values = images[rows]
    facts: dict[str, Any] = {"examples": len(examples), **_class_facts(examples), **_size_facts(images, rows)}
    histogram = np.zeros((1, 32), np.int64)
    if values.ndim >= 3:
        pictures = values if values.ndim == 4 else values[..., None]
        if pictures.dtype == bool:
            pictures = pictures.astype(np.uint8)
        known = examples.range_of(name) or range_of(pictures)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            facts |= _value_facts(pictures, known)
            histogram = _histogram(pictures[..., :MOST_CHANNELS], known)
    digests: dict[str, int] = {}
    repeated = []
    for row, value in zip(rows.tolist(), values, strict=True):
        first = digests.setdefault(_digest(value), row)
        repeated += [(first, row)] if first != row else []
    pairs = ", ".join(f"{examples.name(a)} = {examples.name(b)}" for a, b in repeated[:3])
    facts |= {"duplicates": f"{len(repeated)} ({pairs})" if repeated else 0}
    if differing := _differing(examples, repeated):
        pairs = ", ".join(f"{examples.name(a)} and {examples.name(b)}" for a, b in differing[:3])
        facts["duplicates with other labels"] = f"{len(differing)} ({pairs})"
    facts["unreadable files"] = len(examples.skipped)
    facts |= {f"note {number + 1}": note for number, note in enumerate(examples.notes)}
    facts |= {f"unreadable {number + 1}": said for number, said in enumerate(examples.skipped[:10])}
    return Statistics(facts, _classes(examples), histogram, digests)


def shared(a: Statistics, b: Statistics) -> int:
    """Images that two sets have in common, of those looked at."""
    return len(a.digests.keys() & b.digests.keys())


def _differing(examples: Examples, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs of the same image that have different labels."""
    labels = examples.targets.get(LABEL)
    if not isinstance(labels, np.ndarray):
        return []
    return [(a, b) for a, b in pairs if not np.array_equal(labels[a], labels[b])]


def _classes(examples: Examples) -> dict[str, int]:
    labels = examples.targets.get(LABEL)
    if labels is not None and labels.ndim == 2 and labels.shape[1] == len(examples.classes):
        return dict(zip(examples.classes, np.count_nonzero(labels, axis=0).tolist(), strict=True))
    if labels is None or labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return {}
    counts = Counter(labels.tolist())
    last = max(counts)
    gapless = range(last + 1) if last < len(counts) + len(examples.classes) + MOST_GAPS else ()
    kinds = sorted({*counts, *range(len(examples.classes)), *gapless})
    if len(kinds) > MOST_CLASSES:
        return {}
    return {examples.classes[n] if 0 <= n < len(examples.classes) else str(n): counts.get(n, 0) for n in kinds}


def _class_facts(examples: Examples) -> dict[str, Any]:
    counts = _classes(examples)
    facts: dict[str, Any] = {}
    if counts:
        least, most = min(counts.values()), max(counts.values())
        ratio = f"{most / least:.2f}" if least else "some classes are empty"
        facts |= {"classes": len(counts), "largest class / smallest": ratio}
    for name, what in ((BOXES_THERE, "boxes"), (POINTS_THERE, "key points")):
        if name in examples.targets:
            there = examples.targets[name].reshape(len(examples), -1).sum(axis=1)
            facts[f"{what} an image"] = f"{there.min():.0f} to {there.max():.0f}, {there.mean():.2f} on average"
    return facts


def _size_facts(images: Any, rows: Array) -> dict[str, Any]:
    if not isinstance(images, StoredImages):
        return {"size": "×".join(map(str, images.shape[1:]))}
    sizes = np.array([images.read(row).shape[:2] for row in rows.tolist()])
    low, middle, high = (np.percentile(sizes, part, axis=0).astype(int) for part in (0, 50, 100))
    spread = ", ".join(f"{what} {a}×{b}" for what, (a, b) in (("least", low), ("median", middle), ("most", high)))
    return {"size": spread, "resized to": "×".join(map(str, images.shape[1:]))}


def _value_facts(images: Array, known: AnyRange) -> dict[str, Any]:
    """Means, deviations, and correlations of channels before and after whitening."""
    channels = images.shape[-1]
    flat = images.reshape(-1, channels).astype(np.float64)
    wrong = ~np.isfinite(flat)
    if wrong.any():
        rows = np.count_nonzero(wrong.reshape(len(images), -1).any(axis=1))
        return {"values": f"{images.dtype}, {np.count_nonzero(wrong)} of them not finite, in {rows} examples"}
    facts: dict[str, Any] = {
        "values": f"{images.dtype}, {flat.min():g} to {flat.max():g}",
        "black to white": _said(known),
        "channel means": _listed(flat.mean(axis=0)),
        "channel deviations": _listed(flat.std(axis=0)),
    }
    if 1 < channels <= MOST_CHANNELS:
        whitened = np.empty(images.shape)
        Preprocess(steps=(Whiten(),)).fitted(images.astype(np.float32)).apply(images, whitened)
        facts["channel correlations"] = _correlations(flat)
        facts["after whitening"] = _correlations(whitened.reshape(-1, channels))
    return facts


def _said(known: AnyRange) -> str:
    if isinstance(known, ValueRange):
        return f"{known.low:g} to {known.high:g}"
    return "not known: `value_range: [black, white]` at the source says it"


def _correlations(values: Array) -> str:
    matrix = np.corrcoef(values.T)
    pairs = itertools.combinations(range(values.shape[1]), 2)
    return _listed(np.array([matrix[pair] for pair in pairs]))


def _listed(numbers: Array) -> str:
    more = f" … ({len(numbers):,} in all)" if len(numbers) > MOST_PAIRS else ""
    rounded = np.round(numbers[:MOST_PAIRS], 3).tolist()
    return ", ".join(f"{number + 0.0:.3f}" if abs(number) < LARGEST else f"{number:g}" for number in rounded) + more


def _histogram(images: Array, known: AnyRange) -> Array:
    """Channels × 32, from black to white; where these are not known, from the lowest to the highest value; zeros where
    these cannot be told apart in 32 steps."""
    none = np.zeros((images.shape[-1], 32), np.int64)
    if not np.isfinite(images).all():
        return none
    low, top = float(images.min()), float(images.max())
    if isinstance(known, ValueRange):
        low, top = known.low, known.high
    if low != top and not np.all(np.diff(np.linspace(low, top, 33)) > 0):
        return none
    try:
        return np.stack([np.histogram(images[..., c], 32, (low, top))[0] for c in range(images.shape[-1])])
    except ValueError:  # NumPy widens a range of one value, which it cannot where values are large
        return none


def _digest(value: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(value).data.cast("B")).hexdigest()
