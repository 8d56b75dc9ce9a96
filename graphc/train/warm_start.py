"""Weights to begin with, taken from a file by name pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphc import weights
from graphc.dims import format_shape
from graphc.emit.read import read_variables
from graphc.errors import WeightsError
from graphc.files import shown
from graphc.graph import Plan
from graphc.train.param_groups import matches, require_match
from graphc.train.recipe import InitFrom
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class StartReport:
    """What a file gave."""

    path: str
    taken: tuple[str, ...]
    """Variables that begin with the file's values."""
    fresh: tuple[str, ...]
    """Variables that begin as their initializers say."""
    unused: tuple[str, ...]
    """Arrays of the file that no variable took."""

    def __str__(self) -> str:
        lines = [f"{self.path}: {len(self.taken)} variables taken, {len(self.fresh)} fresh, {len(self.unused)} unused"]
        for what, names in (("fresh", self.fresh), ("unused", self.unused)):
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                lines.append(f"  {what}: {', '.join(names[:5])}{more}")
        return "\n".join(lines)


def warm_start(params: Mapping[str, Array], start: InitFrom, base: Path, plan: Plan) -> StartReport:
    """Overwrite the chosen variables in place; a chosen one that the file lacks or has in another shape is an error."""
    for pattern in (*start.include, *start.exclude):
        require_match(pattern, params)
    chosen = [name for name in params if matches(name, start.include) and not matches(name, start.exclude)]
    theirs = {name: _renamed(name, start.rename) for name in chosen}
    found, report = _read(base / start.path, {theirs[name]: params[name].shape for name in chosen}, plan)
    there = {name: array.shape for name, array in found.items()}
    there |= {name: shapes[1] for name, shapes in report.mis_shaped.items()}
    wrong = [
        f"{name}: expected {format_shape(params[name].shape)}, found {format_shape(there[theirs[name]])}"
        for name in chosen
        if there.get(theirs[name], params[name].shape) != params[name].shape
    ]
    wrong += [f"{name}: not in the file" for name in chosen if theirs[name] in report.missing]
    if wrong:
        message = f"{report.path}: {len(wrong)} of {len(chosen)} variables cannot be taken: `exclude` them, or `rename`"
        raise WeightsError("G325", message, notes=wrong[:10])
    variables = plan.variables
    weights.check_values(report.path, found, {theirs[name]: variables[name] for name in chosen})
    for name in chosen:
        np.copyto(params[name], found[theirs[name]])
    fresh = tuple(name for name in params if name not in theirs)
    return StartReport(report.path, tuple(chosen), fresh, report.unused)


def _read(path: Path, shapes: Mapping[str, tuple[int, ...]], plan: Plan) -> tuple[dict[str, Array], weights.LoadReport]:
    """Arrays by name; of an ONNX file those that this plan, too, would have put into it."""
    if path.suffix.lower() != ".onnx":
        return weights.load(path, shapes)
    found = read_variables(path, plan, shapes.keys())
    missing = tuple(name for name in shapes if name not in found)
    return found, weights.LoadReport(shown(path), tuple(found), missing, (), {})


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    """The name in the file: the longest beginning that `rename` knows, replaced."""
    for ours in sorted(rename, key=len, reverse=True):
        if name.startswith(ours):
            return rename[ours] + name[len(ours) :]
    return name
