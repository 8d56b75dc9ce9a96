"""Weights in and out, by the variables' full names: `vgg_16/conv1/conv1_1/weights`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from graphc.dims import format_shape
from graphc.errors import WeightsError, counted
from graphc.files import atomic_write, open_regular, shown
from graphc.lazy import np
from graphc.npz import NpzFile, write_npz
from graphc.safetensors_file import SafetensorsFile, write_safetensors
from graphc.types import Array
from graphc.variables import ParamSpec


class WeightsFile(Protocol):
    """An open file of arrays by name."""

    @property
    def names(self) -> list[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read(self, name: str) -> Array: ...


READERS: Mapping[str, Callable[[BinaryIO, str], WeightsFile]] = {".npz": NpzFile, ".safetensors": SafetensorsFile}
WRITERS: Mapping[str, Callable[[BinaryIO, Mapping[str, Array]], None]] = {
    ".npz": write_npz,
    ".safetensors": write_safetensors,
}
SHOWN = 5
"""Names listed in a message before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a file had of what was wanted."""

    path: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """Wanted, not in the file."""
    unused: tuple[str, ...]
    """In the file, not wanted."""
    mis_shaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    """Name -> (expected shape, the file's)."""

    def raise_if_incomplete(self) -> None:
        """A WeightsError that says what is missing or has another shape; unused arrays are no error."""
        notes = [
            f"{name}: expected {format_shape(expected)}, found {format_shape(found)}"
            for name, (expected, found) in list(self.mis_shaped.items())[:SHOWN]
        ]
        if self.missing:
            notes.append(f"missing: {_listed(self.missing)}")
        if self.missing and self.unused:
            notes.append(f"unused: {_listed(self.unused)}")
        if self.missing or self.mis_shaped:
            wanted = len(self.loaded) + len(self.missing) + len(self.mis_shaped)
            message = f"{self.path}: expected {wanted} variables, found {len(self.loaded)} of them"
            raise WeightsError("G306", message, notes=notes)

    def describe(self) -> str:
        """How many were loaded, then the names that were missing, unused or of another shape."""
        lines = [f"{self.path}: loaded {counted(len(self.loaded), 'variable')}"]
        for what, names in (("missing", self.missing), ("unused", self.unused), ("mis-shaped", (*self.mis_shaped,))):
            if names:
                lines.append(f"  {len(names)} {what}: {_listed(names)}")
        return "\n".join(lines)


def load_variables(path: str | Path, variables: Mapping[str, ParamSpec]) -> tuple[dict[str, Array], LoadReport]:
    """The wanted variables (by full name) that the file has in the right shape, as float32.

    A WeightsError where one holds NaN, infinity or what its layer cannot use.
    """
    values, report = load(path, {name: spec.shape for name, spec in variables.items()})
    check_values(path, values, variables)
    return values, report


def check_values(path: str | Path, values: Mapping[str, Array], variables: Mapping[str, ParamSpec]) -> None:
    """A WeightsError that names all variables with numbers that are none, or smaller than their layer can use."""
    notes = []
    for name, value in values.items():
        count = value.size - int(np.count_nonzero(np.isfinite(value)))
        smallest = variables[name].smallest
        if count:
            notes.append(f"{name}: {counted(count, 'number')} of {value.size:,} NaN, infinite or too large for float32")
        elif smallest is not None and value.size and value.min() < smallest:
            wrong = int(np.count_nonzero(value < smallest))
            least = f"the smallest is {value.min():g}"
            notes.append(f"{name}: {counted(wrong, 'number')} of {value.size:,} below {smallest:g}; {least}")
    if notes:
        more = [f"and {len(notes) - SHOWN} more variables"] if len(notes) > SHOWN else []
        message = f"{shown(path)}: expected finite numbers and variances of at least 0, found others"
        message += f" in {counted(len(notes), 'variable')}"
        raise WeightsError("G307", message, notes=[*notes[:SHOWN], *more])


def load(path: str | Path, shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, Array], LoadReport]:
    """The wanted variables (full name -> shape) that the file has in this shape, as float32, whatever they hold."""
    open_file = READERS[_suffix(path)]
    with open_regular(path, WeightsError, "G300") as file:
        source = open_file(file, shown(path))
        there = set(source.names)
        found = {name: source.shape(name) for name in shapes if name in there}
        values = {name: source.read(name) for name, shape in found.items() if shape == shapes[name]}
    report = LoadReport(
        shown(path),
        tuple(values),
        tuple(name for name in shapes if name not in there),
        tuple(name for name in source.names if name not in shapes),
        {name: (shapes[name], shape) for name, shape in found.items() if shape != shapes[name]},
    )
    return values, report


def save(path: str | Path, variables: Mapping[str, Array]) -> None:
    """Variables by full name, as float32; the same variables give the same bytes."""
    write = WRITERS[_suffix(path)]
    arrays = {name: np.asarray(value, np.float32) for name, value in variables.items()}
    atomic_write(path, lambda file: write(file, arrays))


def _suffix(path: str | Path) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise WeightsError("G300", f"expected a file of weights ending in {' or '.join(READERS)}, got {shown(path)}")
    return suffix


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
