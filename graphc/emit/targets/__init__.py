"""What runtimes cannot do, or do wrong, and the form that works there: `graphc compile --target`.

`table.TROUBLES` is the one table of it: lints, `--target`, the tests of `tests/runtimes` and docs/runtimes.md read it.
`Targeting` is what `compile_plan` calls with a model: first `rewrite`, which gives nodes the form that works in the
chosen targets, and behind any conversion `look`, which warns of what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from graphc.emit.model import OnnxModel, emit
from graphc.emit.quantize import layer_of
from graphc.emit.targets.rewrites import rewrite_for
from graphc.emit.targets.seen import Seen, seen_nodes
from graphc.emit.targets.table import TARGETS, TROUBLES, Trouble
from graphc.errors import SpecError, Warn, did_you_mean
from graphc.graph import Plan

SILENT, REFUSED = "G246", "G247"
"""Codes of the warnings: a runtime gives wrong numbers and no error; a runtime that was asked for refuses."""


@dataclass
class Targeting:
    """The targets of one compilation."""

    targets: Sequence[str] = ()
    warnings: list[Warn] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for name in self.targets:
            if name not in TARGETS:
                raise SpecError(
                    "G354", f"no target {name!r}{did_you_mean(name, TARGETS)}; there are {', '.join(TARGETS)}"
                )

    def rewrite(self, model: OnnxModel, plan: Plan) -> OnnxModel:
        """The model in the form that works in the targets."""
        return rewrite_for(model, self.targets)

    def look(self, model: OnnxModel, plan: Plan) -> OnnxModel:
        """The same model; `warnings` has what it meets, once a layer and trouble."""
        known = {each.node.name: each.node.place for each in plan.nodes}
        said: set[tuple[str, str]] = set()
        for seen in seen_nodes(model):
            for trouble in troubles_of(seen, self.targets):
                layer = layer_of(seen.node)
                key = ("" if trouble.once else layer, f"{trouble.target} {trouble.name}")
                if key in said:
                    continue
                said.add(key)
                place = known.get(layer, plan.graph.inputs[0].place)
                code = SILENT if trouble.effect == "wrong" else REFUSED
                self.warnings.append(Warn(code, f"{layer or seen.node.name}: {_told(trouble, self.targets)}", place))
        return model


def troubles_of(seen: Seen, targets: Sequence[str]) -> list[Trouble]:
    """What a node meets: where it is silent in any runtime, else in the targets alone. Who has chosen targets is not
    told of others."""
    return [
        each
        for each in TROUBLES
        if (each.target in targets or (each.effect == "wrong" and not targets)) and each.is_met(seen)
    ]


def warnings_of(plan: Plan, targets: Sequence[str]) -> list[Warn]:
    """What a plan meets in these targets, whatever its weights: with zeros for them."""
    params = {name: np.zeros(each.shape, np.float32) for name, each in plan.variables.items()}
    targeting = Targeting(targets)
    targeting.look(targeting.rewrite(emit(plan, params, overwrite=True), plan), plan)
    return targeting.warnings


def _told(trouble: Trouble, targets: Sequence[str]) -> str:
    helps = trouble.instead
    if trouble.rewrite is not None and trouble.target not in targets:
        helps = f"--target {trouble.target} writes {trouble.instead}"
    return f"{trouble.says}" + (f": {helps}" if helps else "")


__all__ = [
    "REFUSED",
    "SILENT",
    "TARGETS",
    "TROUBLES",
    "Seen",
    "Targeting",
    "Trouble",
    "seen_nodes",
    "troubles_of",
    "warnings_of",
]
