"""Weights in and out, by the variables' full names: `vgg_16/conv1/conv1_1/weights`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from graphc.errors import WeightsError, counted
from graphc.files import atomic_write, shown
from graphc.graph import Plan
from graphc.initializers import Zeros
from graphc.lazy import np
from graphc.types import Array
from graphc.variables import ParamSpec
from graphc.weights.convert import SHOWN, LoadReport, convert, read_as
from graphc.weights.formats import open_weights
from graphc.weights.layouts import Wanted
from graphc.weights.npz import write_npz
from graphc.weights.options import DEFAULT, LoadOptions
from graphc.weights.safetensors_file import write_safetensors

WRITTEN = (".npz", ".safetensors")


def load_variables(path: str | Path, plan: Plan, options: LoadOptions = DEFAULT) -> tuple[dict[str, Array], LoadReport]:
    """The plan's variables (by full name) that a file has, each in its own shape, as float32.

    A WeightsError where one holds NaN, infinity or what its layer cannot use, or where nothing of the file fits.
    """
    with open_weights(path) as file:
        values, report = convert(file, plan, options)
    check_values(path, values, plan.variables)
    return values, report


def load(path: str | Path, shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, Array], LoadReport]:
    """The arrays of these names that the file has, each in the wanted shape: [...], as float32, whatever they hold."""
    want = {name: Wanted(ParamSpec(shape, Zeros())) for name, shape in shapes.items()}
    with open_weights(path) as file:
        there = set(file.names)
        values, mis_shaped = read_as(file, {name: name for name in shapes if name in there}, want)
        unused = tuple(name for name in file.names if name not in shapes)
    missing = tuple(name for name in shapes if name not in there)
    return values, LoadReport(shown(path), tuple(values), missing, unused, mis_shaped)


def check_values(path: str | Path, values: Mapping[str, Array], variables: Mapping[str, ParamSpec]) -> None:
    """A WeightsError that names all variables [...] with numbers that are none, or smaller than their layer can use."""
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


def save(path: str | Path, variables: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Variables by full name, of any shape, as float32; the same variables give the same bytes. Of .npz files there is
    no place for metadata: a WeightsError."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITTEN:
        raise WeightsError("G300", f"expected a file of weights ending in {' or '.join(WRITTEN)}, got {shown(path)}")
    if metadata and suffix == ".npz":
        raise WeightsError("G300", f"{shown(path)}: an .npz file cannot say how its arrays lie: write .safetensors")
    arrays = {name: np.asarray(value, np.float32) for name, value in variables.items()}
    if suffix == ".npz":
        atomic_write(path, lambda file: write_npz(file, arrays))
    else:
        atomic_write(path, lambda file: write_safetensors(file, arrays, metadata))
