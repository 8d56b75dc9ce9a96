"""Examples in memory: arrays for a network's inputs and for its losses' targets, one row an example."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from graphc.errors import DataError, Place
from graphc.types import Array

MEMORY_LIMIT = 8 * 2**30
"""Bytes that one data set may take, unless the caller says otherwise."""

LABEL = "label"
"""What the targets of a data set with one kind of target are called."""
IMAGE = "image"
"""What the inputs of a data set with one kind of input are called."""


@dataclass(frozen=True, slots=True)
class Examples:
    """A data set: every array has one row an example."""

    inputs: Mapping[str, Array]
    targets: Mapping[str, Array]
    classes: tuple[str, ...] = ()
    """Names of the classes that labels count, where they are known."""
    source: str = ""
    """Where they come from, for messages."""

    def __post_init__(self) -> None:
        counts = {name: len(array) for name, array in {**self.inputs, **self.targets}.items()}
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{count} of {name}" for name, count in counts.items())
            raise DataError("G402", f"expected as many of one as of the other, found {found}", Place(self.source))
        if not len(self):
            raise DataError("G402", "found no examples", Place(self.source))

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: Array) -> Examples:
        """Some of the examples, in this order."""
        return replace(
            self,
            inputs={name: array[rows] for name, array in self.inputs.items()},
            targets={name: array[rows] for name, array in self.targets.items()},
        )

    def fingerprint(self) -> str:
        """SHA-256 over names, types, shapes and bytes: whether a resumed run sees the same data."""
        digest = hashlib.sha256()
        for name, array in sorted({**self.inputs, **self.targets}.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
            digest.update(np.ascontiguousarray(array).data.cast("B"))
        return digest.hexdigest()


def split(examples: Examples, share: float, seed: int) -> tuple[Examples, Examples]:
    """(the rest, `share` of the examples), drawn by the seed; both in their old order."""
    count = round(len(examples) * share)
    if not 0 < count < len(examples):
        raise DataError("G402", f"a share of {share} of {len(examples)} examples leaves one part empty")
    drawn = np.zeros(len(examples), bool)
    drawn[np.random.default_rng([seed, 0x5711]).permutation(len(examples))[:count]] = True
    return examples.take(np.flatnonzero(~drawn)), examples.take(np.flatnonzero(drawn))


def check_memory(shape: tuple[int, ...], item_bytes: int, limit: int, path: str) -> int:
    """The bytes of an array, or an error before anything of that size is allocated."""
    size = math.prod(shape) * item_bytes
    if size > limit:
        found = f"{'×'.join(map(str, shape))} values of {item_bytes} bytes are {size:,} bytes"
        raise DataError("G407", f"{found}, the limit is {limit:,} (--max-memory raises it)", Place(path))
    return size


def check_labels(labels: Array, classes: int, source: str) -> None:
    """Labels must be whole numbers below `classes`; the first that is not is named."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError("G405", f"expected labels that are whole numbers, found {labels.dtype}", Place(source))
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        value = int(labels.ravel()[first])
        example = first // max(math.prod(labels.shape[1:]), 1)
        message = f"expected labels from 0 to {classes - 1}, found {value} at example {example}"
        raise DataError("G405", f"{message} ({int(wrong.sum())} such labels)", Place(source))
