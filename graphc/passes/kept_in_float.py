"""Layers that a conversion leaves in float32, as they are written: names, patterns, `first` and `last`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.errors import SpecError, did_you_mean
from graphc.files import shown
from graphc.graph import Plan
from graphc.patterns import too_much, within_groups


def kept_in_float(plan: Plan, patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a layer, by name, stays in float32: `first` and `last` are the outermost ones with weights. A SpecError
    where a pattern fits none."""
    weighted = [each.node.name for each in plan.nodes if each.macs != 0]  # None: not known, not none
    layers = [each.node.name for each in plan.nodes]
    chosen: set[str] = set()
    ends = {"first": weighted[:1], "last": weighted[-1:]}
    if said := too_much(patterns, layers):
        raise SpecError("G351", said)
    for text in patterns:
        fits = within_groups(text).fullmatch
        found = ends.get(text) or [name for name in layers if fits(name)]
        if not found:
            hint = did_you_mean(text, layers)
            raise SpecError("G351", f"no layer is called {shown(text)}: none stays in float for it{hint}")
        chosen.update(found)
    return chosen.__contains__
