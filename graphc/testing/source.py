"""A data source, held to what the trainer asks of one."""

from __future__ import annotations

from pathlib import Path

from graphc.data.examples import LABEL, MEMORY_LIMIT, Examples
from graphc.data.sources.base import Source
from graphc.errors import DataError
from graphc.types import Array


def check_source(source: Source, base: Path) -> Examples:
    """The examples of a source whose relative paths start at `base`, after these were looked at.

    Settings survive being written and read; two loads give the same bytes; inputs and targets have a row an example;
    labels are whole numbers within the classes; and where one byte is all that may be had, it refuses with a DataError.
    """
    assert type(source).model_validate(source.model_dump()) == source, (
        f"{source!r}: not the same after dump and validate"
    )
    examples, again = source.load(base, MEMORY_LIMIT), source.load(base, MEMORY_LIMIT)
    assert examples.inputs, f"{source!r} gives no inputs"
    assert examples.fingerprint() == again.fingerprint(), f"{source!r} gives other examples the second time"
    for name, rows in {**examples.inputs, **examples.targets}.items():
        assert len(rows) == len(examples), f"{source!r}: {len(rows)} rows of {name}, {len(examples)} examples"
    if LABEL in examples.targets:
        _check_labels(source, examples.targets[LABEL], examples.classes)
    try:
        source.load(base, 1)
    except DataError:
        return examples
    raise AssertionError(f"{source!r} loads beyond the limit: ask `check_memory` before memory is allocated")


def _check_labels(source: Source, labels: Array, classes: tuple[str, ...]) -> None:
    """Labels [N] or [N, …] of classes are whole numbers from 0."""
    if labels.dtype.kind not in "iu":
        return
    assert labels.min() >= -1, f"{source!r}: a label {labels.min()}"
    if classes:
        assert labels.max() < len(classes), f"{source!r}: a label {labels.max()} of {len(classes)} classes"
