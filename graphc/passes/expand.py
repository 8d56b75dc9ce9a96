"""ModelSpec -> LayerGraph: scopes inherited, repeats unrolled, blocks opened, names wired.

Before:  - repeat: {times: 2, name: conv1, layer: {conv2d: {filters: 64}}}      (conv2d: {activation: relu} in scope)
After:   conv1/conv1_1       conv2d(filters=64)     <- image
         conv1/conv1_1/Relu  relu                   <- conv1/conv1_1
         conv1/conv1_2       conv2d(filters=64)     <- conv1/conv1_1/Relu
         conv1/conv1_2/Relu  relu                   <- conv1/conv1_2

Layers are made in `expansion`; groups, repeats, branches and blocks open themselves, below `spec/forms`.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.graph import GraphInput, LayerGraph
from graphc.passes.bounds import check_bounds
from graphc.passes.expansion import EnoughError, Expansion
from graphc.passes.inputs import read_inputs
from graphc.passes.wire import wire
from graphc.passes.wiring import Names
from graphc.spec.forms.frame import ExpansionFrame, InputRef, Ref, Scope
from graphc.spec.model import ModelSpec

MAX_LAYERS = 50_000


@dataclass(frozen=True, slots=True)
class Expanded:
    """A spec's layers before their names are looked up, with the errors that were found on the way."""

    expansion: Expansion
    batch: str | int
    inputs: tuple[GraphInput, ...]
    last: Ref | None
    is_whole: bool
    """Whether everything was looked at: not so where there are too many errors or layers."""
    is_bounded: bool
    """Whether the spec is within its bounds: else nothing was expanded."""

    def wired(self) -> LayerGraph:
        """The graph, or every error."""
        errors = self.expansion.errors
        if not self.is_whole:
            raise errors.collected(stopped=errors.enough)
        errors.raise_if_any()
        expansion = self.expansion
        spec, unresolved = expansion.spec, expansion.unresolved
        return wire(spec, self.batch, self.inputs, unresolved, expansion.names, expansion.named, self.last)


def expand(spec: ModelSpec, *, max_layers: int = MAX_LAYERS) -> LayerGraph:
    """The layers of a spec, complete, validated and in topological order."""
    return unfold(spec, max_layers=max_layers).wired()


def unfold(spec: ModelSpec, *, max_layers: int = MAX_LAYERS) -> Expanded:
    """The layers of a spec as far as they have no error; a SpecError where its inputs cannot be read."""
    batch, inputs = read_inputs(spec)
    expansion = Expansion(spec, max_layers, Names(dict.fromkeys(each.name for each in inputs)))
    last: Ref | None = None
    is_whole = is_bounded = False
    try:
        scope = read_scopes(expansion)
        known = len(expansion.errors)
        with expansion.reporting():
            check_bounds(spec, max_layers)
        is_bounded = len(expansion.errors) == known
        top = ExpansionFrame("", "", dict(spec.vars), scope, {})
        start: Ref | None = InputRef(inputs[0].name) if len(inputs) == 1 else None
        last = expansion.expand_list(spec.layers, top, start)
        is_whole = True
    except EnoughError:
        pass
    return Expanded(expansion, batch, inputs, last, is_whole, is_bounded)


def read_scopes(expansion: Expansion) -> Scope:
    """The scope around all layers; the spec's named scopes are captured, and those of its blocks checked."""
    spec, scopes = expansion.spec, expansion.scopes
    for name, written in spec.arg_scopes.items():
        place = spec.arg_scopes.places[name]
        with expansion.reporting():
            raw = expansion.substituted(written, spec.vars, place)
            scopes.capture(name, expansion.enter_scope(Scope(), raw, place, f"arg_scopes.{name}"), place)
    scope = Scope()
    if spec.arg_scope is not None:
        place = spec.arg_scope_place
        with expansion.reporting():
            raw = expansion.substituted(spec.arg_scope, spec.vars, place)
            scope = expansion.enter_scope(scope, raw, place, "the spec's arg_scope")
    for block in spec.blocks.values():
        expansion.kinds.check_scope_names(block.arg_scope, expansion.report)
    return scope
