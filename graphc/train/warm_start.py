"""Weights to begin with, taken from a file by name pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphc import weights
from graphc.conversion import read_rules
from graphc.dims import format_shape
from graphc.errors import WeightsError
from graphc.graph import Plan
from graphc.train.param_groups import chosen_by, require_matches
from graphc.train.recipe import Recipe
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


def warm_start(params: Mapping[str, Array], recipe: Recipe, base: Path, plan: Plan) -> StartReport:
    """What the recipe's `init_from` says: the chosen ones of `params` are overwritten, each in its own shape; one that
    the file lacks or has in another shape is an error. Ranges that `fake_quantize` measures begin anew."""
    start = recipe.init_from
    assert start is not None, "callers have looked"
    said = {"include": start.include, "exclude": start.exclude}
    where = [(each, ("init_from", key, at)) for key, patterns in said.items() for at, each in enumerate(patterns)]
    require_matches(recipe, where, params)
    included, excluded = chosen_by(start.include), chosen_by(start.exclude)
    taken = [name for name in params if not plan.variables[name].measured]
    chosen = [name for name in taken if included(name) and not excluded(name)]
    beginnings = sorted(start.rename, key=len, reverse=True)
    theirs = {name: _renamed(name, start.rename, beginnings) for name in plan.variables}
    rules = read_rules(base / start.map) if start.map is not None else ()
    load = weights.LoadOptions(start.source, rules, start.ema)
    found, report = _read(base / start.path, theirs, chosen, plan, load)
    wrong = [
        f"{name}: expected {format_shape(expected)}, found {format_shape(shape)}"
        for name, (expected, shape) in report.mis_shaped.items()
    ]
    wrong += [f"{name}: not in the file" for name in report.missing]
    if wrong:
        message = f"{report.path}: {len(wrong)} of {len(chosen)} variables cannot be taken: `exclude` them, or `rename`"
        raise WeightsError("G325", message, notes=wrong[:10])
    report.raise_if_incomplete()
    weights.check_values(report.path, found, plan.variables)
    for name in chosen:
        np.copyto(params[name], found[name])
    fresh = tuple(name for name in params if name not in found)
    return StartReport(report.path, tuple(chosen), fresh, report.unused)


def _read(
    path: Path, theirs: Mapping[str, str], chosen: Sequence[str], plan: Plan, load: weights.LoadOptions
) -> tuple[dict[str, Array], weights.LoadReport]:
    """The chosen variables; `theirs`: what the file calls every variable where no rules say it."""
    with weights.open_weights(path) as file:
        there = weights.Selection(file, ema=load.ema)
        origin = weights.Origin(load.rules) if load.rules else weights.origin_of(there, plan, load.source)
        known = weights.sources(there.names, origin.rules, plan).found if origin.rules else {}
        every = {ours: known.get(ours, name) for ours, name in theirs.items() if ours in known or name in there.theirs}
        names = {ours: every[ours] for ours in chosen if ours in every}
        found, mis_shaped = weights.read_as(there, names, weights.wanted(plan), origin.layout)
        taken = set(every.values())
        free = tuple(name for name in there.names if name not in taken)
        beside = weights.beside_of(there, weights.Sources(every, free), names)
    missing = tuple(name for name in chosen if name not in names)
    unused = tuple(name for name in there.names if name not in names.values())
    return found, weights.LoadReport(
        there.path, tuple(found), missing, unused, mis_shaped, there.dropped, beside=beside
    )


def _renamed(name: str, rename: Mapping[str, str], beginnings: Sequence[str]) -> str:
    """The name in the file: the longest beginning that `rename` knows, replaced; `beginnings`: the longest first."""
    for ours in beginnings:
        if name.startswith(ours):
            return rename[ours] + name[len(ours) :]
    return name
