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
from graphc.emit.targets.table import TARGETS, TROUBLES
from graphc.emit.targets.trouble import Trouble
from graphc.errors import Place, SpecError, Warn, did_you_mean
from graphc.graph import Plan

SILENT, REFUSED = "G246", "G247"
"""Codes of the warnings: a runtime gives wrong numbers and no error; a runtime that was asked for refuses."""


@dataclass(frozen=True, slots=True)
class Met:
    """A layer that meets a trouble."""

    trouble: Trouble
    layer: str
    place: Place


@dataclass
class Targeting:
    """The targets of one compilation."""

    targets: Sequence[str] = ()
    met: list[Met] = field(default_factory=list, init=False)
    """Once a layer and trouble."""

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
        """The same model; `met` has what it meets."""
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
                self.met.append(Met(trouble, layer or seen.node.name, place))
        return model

    @property
    def warnings(self) -> list[Warn]:
        """One of each in the targets; of runtimes that nobody has asked for one warning at most."""
        if not self.targets and len(self.met) > 1:
            return [_together(self.met)]
        return [
            Warn(
                SILENT if each.trouble.effect == "wrong" else REFUSED,
                f"{each.layer}: {_told(each.trouble, self.targets)}",
                each.place,
            )
            for each in self.met
        ]


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


def _together(met: Sequence[Met]) -> Warn:
    """One warning for what several runtimes have silently wrong, or one has in several layers."""
    layers: dict[str, dict[str, None]] = {}
    for each in met:
        layers.setdefault(each.trouble.target, {})[each.layer] = None
    said = []
    for target, names in layers.items():
        first, *others = names
        more = f" and {len(others)} more" if others else ""
        said.append(f"{target} ({first}{more})")
    target = f"--target {met[0].trouble.target}" if len(layers) == 1 else "--target NAME"
    message = f"wrong numbers, and no error, in {', '.join(said)}: {target} writes what is right there, or says of each"
    return Warn(SILENT, message, met[0].place)


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
