"""ModelSpec -> LayerGraph: scopes inherited, repeats unrolled, blocks opened, names wired.

Before:  - repeat: {times: 2, name: conv1, layer: {conv2d: {filters: 64}}}      (conv2d: {activation: relu} in scope)
After:   conv1/conv1_1       conv2d(filters=64)     <- image
         conv1/conv1_1/Relu  relu                   <- conv1/conv1_1
         conv1/conv1_2       conv2d(filters=64)     <- conv1/conv1_1/Relu
         conv1/conv1_2/Relu  relu                   <- conv1/conv1_2
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from graphc.dims import whole
from graphc.errors import GraphcError, Place, SpecError, SpecErrors, did_you_mean
from graphc.graph import Argument, LayerGraph
from graphc.layers import CATALOGUE
from graphc.passes.arguments import argument_names, build_layer, check_argument
from graphc.passes.bounds import check_bounds
from graphc.passes.entries import (
    Entry,
    check_arity,
    check_name,
    condition,
    entry_kind,
    read_entry,
    unknown_kind,
    with_arguments,
)
from graphc.passes.inputs import read_inputs
from graphc.passes.scopes import Scope, Scopes
from graphc.passes.wire import MAX_ERRORS, Draft, wire
from graphc.passes.wiring import InputRef, NameRef, Names, Ref, scoped
from graphc.spec.expressions import substitute
from graphc.spec.model import REQUIRED, ModelSpec
from graphc.spec.source import SpecList, SpecMap, clipped

P = ParamSpec("P")
T = TypeVar("T")

MAX_LAYERS = 50_000
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where an entry stands: everything that is inherited downwards."""

    group: str
    """Naming scope, "" at the top."""
    variables: str
    """Naming scope of its variables: `group`, or the shared one's."""
    names: Mapping[str, Any]
    """Values that `${…}` sees."""
    scope: Scope
    bindings: Mapping[str, Ref]
    """Block inputs by name."""
    trail: tuple[str, ...] = ()
    open_blocks: tuple[str, ...] = ()
    copies: int = 1
    """How often the repeats around it repeat it."""
    depth: int = 0

    def inside(self, name: str | None, share: str | None = None) -> Surroundings:
        """One group further down; the same one where the group has no name."""
        if name is None:
            return self
        return replace(self, group=scoped(self.group, name), variables=share or scoped(self.variables, name))


def expand(spec: ModelSpec, *, max_layers: int = MAX_LAYERS) -> LayerGraph:
    """The layers of a spec, complete, validated and in topological order."""
    expansion = _Expansion(spec, max_layers)
    try:
        return expansion.run()
    except _EnoughError:
        raise expansion.collected() from None


class _EnoughError(Exception):
    """Enough errors are known: leave all levels at once."""


@dataclass
class _Expansion:
    spec: ModelSpec
    max_layers: int
    drafts: list[Draft] = field(default_factory=list)
    errors: list[GraphcError] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    """Full names of the layers and groups that the user named, in order: the default end points."""
    taken: Counter[str] = field(default_factory=Counter)
    entries_seen: int = 0

    def run(self) -> LayerGraph:
        self.scopes = Scopes(self.check_argument, self.check_kind)
        batch, inputs = read_inputs(self.spec)
        self.names = Names(tuple(each.name for each in inputs))
        self.taken.update(self.names.inputs)
        values = dict(self.spec.vars)
        for name, written in self.spec.arg_scopes.items():
            place = self.spec.arg_scopes.places[name]
            raw = substitute(written, values, place)
            self.guard(self.capture_top, name, raw, place)
        scope = Scope()
        if self.spec.arg_scope is not None:
            place = self.spec.arg_scope_place
            raw = substitute(self.spec.arg_scope, values, place)
            scope = self.guard(self.scopes.enter, Scope(), raw, place, "the spec's arg_scope") or scope
        for block in self.spec.blocks.values():
            self.guard(self.check_scope_names, block.arg_scope)
        top = Surroundings("", "", values, scope, {})
        start: Ref | None = InputRef(inputs[0].name) if len(inputs) == 1 else None
        check_bounds(self.spec, self.max_layers)
        last = self.expand_list(self.spec.layers, top, start)
        self.stop_on_errors()
        return wire(self.spec, batch, inputs, self.drafts, self.names, self.named, last)

    # errors ------------------------------------------------------------------------------------------------

    def guard(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """The result of `work`, or None with its error kept: one run reports several."""
        try:
            return work(*args, **kwargs)
        except GraphcError as error:
            self.errors.append(error)
            if len(self.errors) >= MAX_ERRORS or error.code in STOP_AT_ONCE:
                raise _EnoughError from None
            return None

    def stop_on_errors(self) -> None:
        if self.errors:
            raise self.collected()

    def collected(self) -> GraphcError:
        return self.errors[0] if len(self.errors) == 1 else SpecErrors(self.errors)

    def check_kind(self, kind: str, place: Place) -> None:
        if kind not in CATALOGUE and kind not in self.spec.blocks:
            raise unknown_kind(kind, self.spec.blocks, place)

    def check_argument(self, kind: str, name: str, value: Any, place: Place) -> Any:
        block = self.spec.blocks.get(kind)
        if block is None:
            return check_argument(CATALOGUE[kind], name, value, place)
        if name not in block.params:
            hint = did_you_mean(name, block.params)
            raise SpecError("G111", f"block {kind} has no parameter {clipped(name)}{hint}", place)
        return value

    def check_scope_names(self, scope: Any) -> None:
        """Names in a block's scope are checked where they stand, also when nothing uses the block."""
        if isinstance(scope, SpecMap):
            for kinds, arguments in scope.items():
                place = scope.key_places[kinds]
                for kind in (part.strip() for part in kinds.split(",")):
                    self.check_kind(kind, place)
                    block = self.spec.blocks.get(kind)
                    known = argument_names(CATALOGUE[kind]) if block is None else tuple(block.params)
                    for name in arguments if isinstance(arguments, SpecMap) else ():
                        if name not in known:
                            hint = did_you_mean(name, known)
                            where = arguments.key_places[name]
                            raise SpecError("G111", f"{kind} has no argument {clipped(name)}{hint}", where)

    def capture_top(self, name: str, raw: Any, place: Place) -> None:
        self.scopes.capture(name, self.scopes.enter(Scope(), raw, place, f"arg_scopes.{name}"), place)

    # walking -----------------------------------------------------------------------------------------------

    def expand_list(self, layers: SpecList, at: Surroundings, start: Ref | None) -> Ref | None:
        """The value after all entries of a list, where `start` is the value before the first."""
        if at.depth >= MAX_DEPTH:
            raise SpecError("G163", f"expected at most {MAX_DEPTH} levels of groups and blocks, got more", layers.place)
        at = replace(at, depth=at.depth + 1)
        current = start
        for written, place in zip(layers, layers.places, strict=True):
            result = self.guard(self.expand_entry, written, place, at, current)
            current = result if result is not None else current
        return current

    def expand_entry(self, written: Any, place: Place, at: Surroundings, current: Ref | None) -> Ref | None:
        self.count(place)
        entry = read_entry(written, place, at.names, self.spec.blocks)
        if entry is None:
            return current
        return self.dispatch(entry, at, current)

    def dispatch(self, entry: Entry, at: Surroundings, current: Ref | None) -> Ref | None:
        sources = self.read_sources(entry, at, current)
        composition = COMPOSITIONS.get(entry.kind)
        if composition is not None:
            return composition(self, entry, at, sources)
        if entry.kind in self.spec.blocks:
            return self.expand_block(entry, at, sources)
        return self.expand_layer(entry, at, sources)

    def count(self, place: Place, copies: int = 1) -> None:
        self.entries_seen += 1
        if self.entries_seen > self.max_layers or copies > self.max_layers:
            found = f"{copies:,}" if copies > self.max_layers else "more"
            message = f"expected at most {self.max_layers:,} layers after expansion, got {found} (--max-layers)"
            raise SpecError("G161", message, place)

    def read_sources(self, entry: Entry, at: Surroundings, current: Ref | None) -> list[Ref]:
        if entry.inputs is not None:
            place = entry.places.get("inputs", entry.place)
            return [NameRef(name, at.group, at.bindings, place) for name in entry.inputs]
        if current is None:
            listed = ", ".join(self.names.inputs)
            raise SpecError("G123", f"{entry.kind} needs inputs: the spec has several ({listed})", entry.place)
        return [current]

    def claim(self, entry: Entry, default: str, at: Surroundings) -> str:
        """The entry's name in its group: as written, else the default made unique."""
        if entry.name is not None:
            full = scoped(at.group, entry.name)
            if self.taken[full]:
                place = entry.places.get("name", entry.place)
                used = "an input's" if full in self.names.inputs else "used twice"
                raise SpecError("G124", f"the name {clipped(full)} is {used}", place)
            self.taken[full] += 1
            self.named.append(full)
            return entry.name
        full = scoped(at.group, default)
        while self.taken[full]:
            number = self.taken[f"{full}\0"] = self.taken[f"{full}\0"] + 1
            full = scoped(at.group, f"{default}_{number}")
            if not self.taken[full]:
                break
        self.taken[full] += 1
        return full.rpartition("/")[2]

    def shared(self, entry: Entry, at: Surroundings) -> str | None:
        """The full name whose variables the entry uses, where it says `share`."""
        if entry.share is None:
            return None
        full = self.names.find(entry.share, at.group)
        if full is None:
            place = entry.places["share"]
            hint = did_you_mean(entry.share, self.names.targets)
            raise SpecError("G125", f"share: no layer or group above is named {clipped(entry.share)}{hint}", place)
        return full

    # layers and blocks -------------------------------------------------------------------------------------

    def expand_layer(self, entry: Entry, at: Surroundings, sources: list[Ref]) -> Ref:
        kind = CATALOGUE[entry.kind]
        arguments = self.effective(entry, kind.positional, at)
        followed_by = {name: arguments.pop(name) for name in kind.accepts if name in arguments}
        following = [each for each in followed_by.values() if each.value is not None]
        normalizer = followed_by.get("normalizer")
        if normalizer in following and "bias" in kind.model_fields and "bias" not in arguments:
            assert normalizer is not None
            source = f"no bias beside the normalizer {entry_kind(normalizer.value)}"
            arguments["bias"] = Argument(False, normalizer.place, source)
        name = self.claim(entry, entry.kind, at)
        share = self.shared(entry, at)
        full = scoped(at.group, name)
        check_arity(kind, full, len(sources), entry)
        layer = build_layer(kind, full, arguments, entry.place)
        variables = share or scoped(at.variables, name)
        draft = Draft(full, layer, tuple(sources), entry.place, variables, arguments, at.trail, followed_by)
        output: Ref = self.add(draft)
        below = replace(at, group=full, variables=variables)
        for sugar in following:
            output = self.expand_sugar(sugar, below, output, entry.place)
        self.names.targets[full] = output
        return output

    def effective(self, entry: Entry, positional: Sequence[str], at: Surroundings) -> dict[str, Argument]:
        """The entry's arguments: its scope's, then its own positional and named ones over them."""
        arguments = dict(at.scope.of(entry.kind))
        if len(entry.positional) > len(positional):
            takes = ", ".join(positional) or "none"
            message = (
                f"{entry.kind} takes {len(positional)} positional arguments ({takes}), got {len(entry.positional)}"
            )
            raise SpecError("G114", message, entry.place)
        written = dict(entry.arguments)
        for name, value in zip(positional, entry.positional, strict=False):
            if name in written:
                raise SpecError("G114", f"{entry.kind}: {name} is given by position and by name", entry.place)
            written[name] = Argument(value, entry.place, f"written on the layer, at {entry.place}")
        for name, argument in written.items():
            value = self.check_argument(entry.kind, name, argument.value, entry.places.get(name, entry.place))
            arguments[name] = argument if value is argument.value else replace(argument, value=value)
        return arguments

    def expand_sugar(self, sugar: Argument, at: Surroundings, source: Ref, place: Place) -> Ref:
        """`activation: relu` and `normalizer: {batch_norm: {…}}` as layers of their own, below the layer's name."""
        where = sugar.place or place
        entry = read_entry(sugar.value, where, at.names, self.spec.blocks)
        assert entry is not None
        if entry.kind in COMPOSITIONS or entry.name is not None:
            raise SpecError("G115", f"expected a layer kind without a name, got {clipped(sugar.value)}", where)
        if entry.kind in self.spec.blocks:
            return self.expand_block(entry, at, [source]) or source
        named = replace(entry, name=CATALOGUE[entry.kind].__name__)
        before = len(self.named)
        output = self.expand_layer(named, at, [source])
        del self.named[before:]  # an end point is what the user named
        return output

    def expand_block(self, entry: Entry, at: Surroundings, sources: list[Ref]) -> Ref | None:
        block = self.spec.blocks[entry.kind]
        if block.name in at.open_blocks:
            chain = " -> ".join([*at.open_blocks[at.open_blocks.index(block.name) :], block.name])
            raise SpecError("G162", f"blocks may not use themselves: {chain}", entry.place)
        arguments = self.effective(entry, tuple(block.params), at)
        values = {}
        for name, default in block.params.items():
            if name in arguments:
                values[name] = arguments[name].value
            elif default is REQUIRED:
                raise SpecError("G113", f"block {block.name} needs {clipped(name)}", entry.place)
            else:
                values[name] = substitute(default, {**self.spec.vars, **values}, block.place)
        bindings: dict[str, Ref] = {}
        if block.inputs is not None:
            if len(block.inputs) != len(sources):
                expected = ", ".join(block.inputs)
                message = f"block {block.name} reads {len(block.inputs)} inputs ({expected}), got {len(sources)}"
                raise SpecError("G126", message, entry.places.get("inputs", entry.place))
            bindings = dict(zip(block.inputs, sources, strict=True))
        name = self.claim(entry, block.name, at)
        inner = at.inside(name, self.shared(entry, at))
        inner = replace(
            inner,
            names={**self.spec.vars, **values},
            bindings=bindings,
            trail=(*at.trail, f"in block {block.name} used at {entry.place}"),
            open_blocks=(*at.open_blocks, block.name),
        )
        if block.arg_scope is not None:
            raw = substitute(block.arg_scope, inner.names, block.place)
            scope = self.scopes.enter(inner.scope, raw, block.place, f"arg_scope of block {block.name}")
            inner = replace(inner, scope=scope)
        return self.close(inner, self.expand_list(block.layers, inner, sources[0]))

    # composition -------------------------------------------------------------------------------------------

    def expand_group(self, entry: Entry, at: Surroundings, sources: list[Ref]) -> Ref | None:
        layers = self.layer_list(entry, "layers")
        inner = self.open_group(entry, at)
        label = f"arg_scope of group {entry.name}" if entry.name else f"arg_scope of the group at {entry.place}"
        if "arg_scope" in entry.arguments:
            written = entry.arguments["arg_scope"]
            raw = substitute(written.value, at.names, written.place)
            scope = self.scopes.enter(at.scope, raw, entry.places["arg_scope"], label)
            inner = replace(inner, scope=scope)
        if "as" in entry.arguments:
            captured = entry.arguments["as"]
            self.scopes.capture(str(captured.value), inner.scope, entry.places["as"])
        output = self.expand_list(layers, inner, sources[0])
        return self.close(inner, output) if entry.name is not None else output

    def expand_repeat(self, entry: Entry, at: Surroundings, sources: list[Ref]) -> Ref | None:
        times = whole(self.value(entry, "times", at))
        place = entry.places.get("times", entry.place)
        if isinstance(times, bool) or not isinstance(times, int) or times < 0:
            raise SpecError("G116", f"repeat: times expects a whole number of at least 0, got {clipped(times)}", place)
        at = replace(at, copies=at.copies * times)
        self.count(place, at.copies)
        elements = self.element_list(entry)
        index = entry.arguments.get("index")
        inner, each = self.open_elements(entry, at, elements)
        output: Ref | None = sources[0]
        for number in range(1, times + 1):
            names = at.names if index is None else {**at.names, str(index.value): number}
            trail = (*at.trail, f"in repeat at {entry.place}, {number} of {times}")
            element = replace(inner, names=names, trail=trail)
            output = self.expand_element(elements, f"{each}_{number}", element, output, {}, "layers" in entry.arguments)
        return self.close(inner, output)

    def expand_stack(self, entry: Entry, at: Surroundings, sources: list[Ref]) -> Ref | None:
        args = self.value(entry, "args", at)
        if not isinstance(args, SpecList):
            place = entry.places.get("args", entry.place)
            raise SpecError("G116", f"stack: args expects a list with one entry an element, got {clipped(args)}", place)
        elements = self.element_list(entry, only="layer")
        inner, each = self.open_elements(entry, at, elements)
        output: Ref | None = sources[0]
        for number, (written, place) in enumerate(zip(args, args.places, strict=True), start=1):
            trail = (*at.trail, f"in stack at {entry.place}, {number} of {len(args)}")
            extra = {"args": (written, place)}
            output = self.expand_element(elements, f"{each}_{number}", replace(inner, trail=trail), output, extra)
        return self.close(inner, output)

    def element_list(self, entry: Entry, only: str | None = None) -> SpecList:
        """What a repeat or stack repeats: one layer, or several in a group of their own."""
        given = [key for key in ("layer", "layers") if key in entry.arguments]
        if len(given) != 1 or (only and given != [only]):
            raise SpecError("G113", f"{entry.kind} needs {only or 'either layer or layers'}", entry.place)
        argument = entry.arguments[given[0]]
        if given == ["layer"]:
            place = argument.place or entry.place
            return SpecList([argument.value], place, [place])
        return self.layer_list(entry, "layers")

    def open_elements(self, entry: Entry, at: Surroundings, elements: SpecList) -> tuple[Surroundings, str]:
        """The surroundings of a repeat's elements, and what they are called before their number."""
        inner = at.inside(self.claim(entry, entry.kind, at), self.shared(entry, at))
        default = entry.name or (entry_kind(elements[0]) if "layer" in entry.arguments else entry.kind)
        each = entry.arguments["each"].value if "each" in entry.arguments else default
        return inner, str(each)

    def expand_element(
        self,
        elements: SpecList,
        name: str,
        at: Surroundings,
        current: Ref | None,
        extra: Mapping[str, tuple[Any, Place]],
        grouped: bool = False,
    ) -> Ref | None:
        assert current is not None
        if grouped:
            full = scoped(at.group, name)
            self.taken[full] += 1
            self.named.append(full)
            inner = at.inside(name)
            return self.close(inner, self.expand_list(elements, inner, current))
        place = elements.places[0]

        def one() -> Ref | None:
            self.count(place)
            entry = read_entry(elements[0], place, at.names, self.spec.blocks)
            if entry is None:
                return current
            entry = replace(entry, name=name)
            if "args" in extra:
                entry = with_arguments(entry, *extra["args"])
            return self.dispatch(entry, at, current)

        result: Ref | None = self.guard(one)
        return result if result is not None else current

    def expand_branches(self, entry: Entry, at: Surroundings, sources: list[Ref]) -> Ref | None:
        paths = self.required(entry, "paths").value
        if not isinstance(paths, SpecMap) or not paths:
            place = entry.places.get("paths", entry.place)
            raise SpecError("G116", "branches: paths expects a mapping of names to lists of layers", place)
        inner = self.open_group(entry, at)
        outputs: list[Ref] = []
        for name, layers in paths.items():
            if isinstance(layers, SpecMap) and set(layers) == {"when", "layers"}:
                where = layers.places["when"]
                if not condition(substitute(layers["when"], at.names, where), where):
                    continue
                layers = layers["layers"]  # noqa: PLW2901
            if not isinstance(layers, SpecList):
                raise SpecError(
                    "G116", f"path {name} expects a list of layers, got {clipped(layers)}", paths.places[name]
                )
            path = inner.inside(check_name(name, paths.key_places[name]))
            output = self.close(path, self.expand_list(layers, path, sources[0]))
            assert output is not None
            outputs.append(output)
            self.named.append(path.group)
        merge = entry.arguments.get("merge", Argument("concat", None, "default of branches"))
        output = self.merge(entry, merge, inner, outputs)
        return self.close(inner, output) if entry.name is not None else output

    def expand_residual(self, entry: Entry, at: Surroundings, sources: list[Ref]) -> Ref | None:
        inner = self.open_group(entry, at)
        shortcut: Ref | None = sources[0]
        if "shortcut" in entry.arguments:
            shortcut = self.expand_list(self.layer_list(entry, "shortcut"), inner, sources[0])
        output = self.expand_list(self.layer_list(entry, "layers"), inner, sources[0])
        assert shortcut is not None
        assert output is not None
        merge = entry.arguments.get("merge", Argument("add", None, "default of residual"))
        output = self.merge(entry, merge, inner, [shortcut, output])
        return self.close(inner, output) if entry.name is not None else output

    def merge(self, entry: Entry, merge: Argument, at: Surroundings, outputs: list[Ref]) -> Ref:
        """The merge layer of branches or a residual, with the entry's activation on it."""
        place = merge.place or entry.place
        merging = read_entry(substitute(merge.value, at.names, place), place, at.names, self.spec.blocks)
        known = [kind for kind, layer in CATALOGUE.items() if layer.inputs_at_most is None]
        if merging is None or merging.kind not in known:
            raise SpecError("G115", f"merge expects one of {', '.join(known)}, got {clipped(merge.value)}", place)
        if "activation" in entry.arguments:
            merging = replace(merging, arguments={**merging.arguments, "activation": entry.arguments["activation"]})
        return self.expand_layer(merging, at, outputs)

    # small things ------------------------------------------------------------------------------------------

    def close(self, group: Surroundings, output: Ref | None) -> Ref | None:
        """A group stands for its last output."""
        if output is not None:
            self.names.targets[group.group] = output
        return output

    def add(self, draft: Draft) -> int:
        self.drafts.append(draft)
        return len(self.drafts) - 1

    def required(self, entry: Entry, name: str) -> Argument:
        if name not in entry.arguments:
            raise SpecError("G113", f"{entry.kind} needs {clipped(name)}", entry.place)
        return entry.arguments[name]

    def value(self, entry: Entry, name: str, at: Surroundings) -> Any:
        argument = self.required(entry, name)
        return substitute(argument.value, at.names, argument.place or entry.place)

    def open_group(self, entry: Entry, at: Surroundings) -> Surroundings:
        """The surroundings inside a group, branches or residual: one level down only where the entry has a name."""
        if entry.name is None:
            return at
        return at.inside(self.claim(entry, entry.name, at), self.shared(entry, at))

    def layer_list(self, entry: Entry, name: str) -> SpecList:
        layers = self.required(entry, name).value
        if layers is None:
            return SpecList([], entry.place, [])
        if not isinstance(layers, SpecList):
            place = entry.places.get(name, entry.place)
            raise SpecError("G116", f"{entry.kind}: {name} expects a list of layers, got {clipped(layers)}", place)
        return layers


STOP_AT_ONCE = frozenset({"G161", "G162", "G163"})
"""Errors of size: going on would cost what the limit is there to save."""

COMPOSITIONS: dict[str, Callable[[_Expansion, Entry, Surroundings, list[Ref]], Ref | None]] = {
    "group": _Expansion.expand_group,
    "repeat": _Expansion.expand_repeat,
    "stack": _Expansion.expand_stack,
    "branches": _Expansion.expand_branches,
    "residual": _Expansion.expand_residual,
}
