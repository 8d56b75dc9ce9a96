"""Lists of layers -> unresolved nodes: what a layer's arguments come to, what follows it, what a block holds.

An entry with an error gives FAULTY, and the next ones are read all the same: one run reports several errors, each
once, and none that only follows from another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from graphc.errors import Errors, Place, SpecError, clipped, did_you_mean
from graphc.graph import Argument
from graphc.layers import CATALOGUE
from graphc.passes.arguments import build_layer
from graphc.passes.entries import Entry, check_arity, evaluated, read_entry, written_name
from graphc.passes.kinds import Kinds
from graphc.passes.scopes import WRONG, Scope, Scopes
from graphc.passes.wire import UnresolvedNode
from graphc.passes.wiring import FAULTY, NameRef, Names, Ref, scoped
from graphc.spec.expressions import names_over, substitute
from graphc.spec.model import REQUIRED, ModelSpec
from graphc.spec.source import SpecList, extent

MAX_DEPTH = 64
MAX_ARGUMENTS = 2_000_000
"""Arguments of layers and blocks and what is in them, counted for every repetition."""
EXPRESSION = 4
"""What is looked through for `${…}` counts as so many."""
MAX_GROUP = 1_000
"""Characters of a group's full name."""
NODES_PER_ENTRY = 4
"""As many nodes may an entry become on average: a layer with a normalizer and an activation is three."""


@dataclass(frozen=True, slots=True)
class ExpansionFrame:
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
    following: tuple[Place, ...] = ()
    """Where what follows a layer is written, for a layer that follows one: it must not follow itself."""

    def inside(self, name: str | None, share: str | None = None) -> ExpansionFrame:
        """One group further down; the same one where the group has no name."""
        if name is None:
            return self
        return replace(self, group=scoped(self.group, name), variables=share or scoped(self.variables, name))


STOP_AT_ONCE = frozenset({"G161", "G162", "G163"})
"""Errors of size: going on would cost what the limit is there to save."""


class EnoughError(Exception):
    """Enough errors are known: leave all levels at once."""


class SaidError(Exception):
    """An entry cannot be read because of an error that was reported already."""


@dataclass
class Expansion:
    spec: ModelSpec
    max_layers: int
    compositions: Mapping[str, Composition]
    names: Names
    unresolved: list[UnresolvedNode] = field(default_factory=list)
    errors: Errors = field(default_factory=Errors)
    named: list[str] = field(default_factory=list)
    """Full names of the layers and groups that the user named, in order: the default end points."""
    taken: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    """The last number behind each default name."""
    entries_seen: int = 0
    arguments_seen: int = 0

    def __post_init__(self) -> None:
        self.kinds = Kinds(self.spec.blocks)
        self.scopes = Scopes(self.kinds, self.report)
        self.taken.update(self.names.inputs.keys())

    # errors ------------------------------------------------------------------------------------------------

    def report(self, error: SpecError, *, of_a_layer: bool = False) -> None:
        """Keep an error."""
        if error.code == "G141" and self.errors:  # what captures the scope may be what has an error
            return
        self.errors.add(error, of_a_layer=of_a_layer)
        if self.errors.enough or error.code in STOP_AT_ONCE:
            raise EnoughError from None

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Keep the error of what is done inside, and go on behind it."""
        try:
            yield
        except SpecError as error:
            self.report(error)

    # walking -----------------------------------------------------------------------------------------------

    def expand_list(self, layers: SpecList, at: ExpansionFrame, start: Ref | None) -> Ref | None:
        """The value after all entries of a list, where `start` is the value before the first."""
        if at.depth >= MAX_DEPTH:
            raise SpecError("G163", f"expected at most {MAX_DEPTH} levels of groups and blocks, got more", layers.place)
        if len(at.group) > MAX_GROUP:
            found = f"{len(at.group):,}: {clipped(at.group)}"
            raise SpecError(
                "G163", f"expected at most {MAX_GROUP:,} letters of a group's name, got {found}", layers.place
            )
        at = replace(at, depth=at.depth + 1)
        current = start
        for written, place in zip(layers, layers.places, strict=True):
            current = self.expand_entry(written, place, at, current)
        return current

    def expand_entry(
        self,
        written: Any,
        place: Place,
        at: ExpansionFrame,
        current: Ref | None,
        change: Callable[[Entry], Entry] = lambda entry: entry,
    ) -> Ref | None:
        """The value after an entry, `change` applied to it; FAULTY where it has an error."""
        name = written_name(written)
        try:
            self.count(place)
            self.count_arguments(EXPRESSION * evaluated(written), place)
            entry = read_entry(written, place, at.names, self.spec.blocks)
            if entry is None:
                return current
            entry = change(entry)
            name = entry.name
            return self.dispatch(entry, at, current)
        except SpecError as error:
            self.report(error, of_a_layer=True)
        except SaidError:
            pass
        if name is not None:
            self.names.targets.setdefault(scoped(at.group, name), FAULTY)
        return FAULTY

    def dispatch(self, entry: Entry, at: ExpansionFrame, current: Ref | None) -> Ref | None:
        sources = self.read_sources(entry, at, current)
        composition = self.compositions.get(entry.kind)
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

    def count_arguments(self, count: int, place: Place) -> None:
        """Refuse layers and blocks whose arguments would take long to read, all repetitions together."""
        self.arguments_seen += count
        if self.arguments_seen > MAX_ARGUMENTS:
            raise SpecError("G161", f"expected at most {MAX_ARGUMENTS:,} arguments after expansion, got more", place)

    def read_sources(self, entry: Entry, at: ExpansionFrame, current: Ref | None) -> list[Ref]:
        if entry.inputs is not None:
            place = entry.places.get("inputs", entry.place)
            return [NameRef(name, at.group, at.bindings, place) for name in entry.inputs]
        if current is None:
            listed = ", ".join(self.names.inputs)
            raise SpecError("G123", f"{entry.kind} needs inputs: the spec has several ({listed})", entry.place)
        return [current]

    def claim(self, entry: Entry, default: str, at: ExpansionFrame) -> str:
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
        first = full = scoped(at.group, default)
        while self.taken[full]:
            self.numbers[first] += 1
            full = f"{first}_{self.numbers[first]}"
        self.taken[full] += 1
        return full.rpartition("/")[2]

    def shared(self, entry: Entry, at: ExpansionFrame) -> str | None:
        """The full name whose variables the entry uses, where it says `share`."""
        if entry.share is None:
            return None
        full = self.names.find(entry.share, at.group)
        if full is None:
            place = entry.places["share"]
            if self.errors.add_again("G125", place) or self.errors:  # it may be inside what has an error
                raise SaidError
            hint = did_you_mean(entry.share, self.names.targets)
            raise SpecError("G125", f"share: no layer or group above is named {clipped(entry.share)}{hint}", place)
        return full

    # layers and blocks -------------------------------------------------------------------------------------

    def expand_layer(self, entry: Entry, at: ExpansionFrame, sources: list[Ref], default: str | None = None) -> Ref:
        """A layer and what follows it; `default` is its name where it has none, unless that is the kind's."""
        kind = CATALOGUE[entry.kind]
        arguments = self.effective(entry, kind.positional, at)
        followed_by = {name: arguments.pop(name) for name in kind.accepts if name in arguments}
        following = {name: self.kinds.read_sugar(name, each, entry.place) for name, each in followed_by.items()}
        normalizer = following.get("normalizer")
        if normalizer is not None and "bias" in kind.model_fields and "bias" not in arguments:
            source = f"no bias beside the normalizer {normalizer.kind}"
            arguments["bias"] = Argument(False, followed_by["normalizer"].place, source)
        name = self.claim(entry, default or entry.kind, at)
        share = self.shared(entry, at)
        full = scoped(at.group, name)
        check_arity(kind, full, len(sources), entry)
        try:
            layer = build_layer(kind, full, arguments, entry.place)
        except SpecError:
            if at.scope.faulty:
                raise SaidError from None
            raise
        variables = share or scoped(at.variables, name)
        written = {name: each if following[name] else replace(each, value=None) for name, each in followed_by.items()}
        node = UnresolvedNode(full, layer, tuple(sources), entry.place, variables, arguments, at.trail, written)
        self.unresolved.append(node)
        if len(self.unresolved) > NODES_PER_ENTRY * self.max_layers:
            most = f"{NODES_PER_ENTRY * self.max_layers:,} layers with normalizers and activations"
            raise SpecError("G161", f"expected at most {most} after expansion, got more (--max-layers)", entry.place)
        output: Ref | None = len(self.unresolved) - 1
        below = replace(at, group=full, variables=variables)
        for sugar in following.values():
            output = self.expand_sugar(sugar, below, output) if sugar is not None else output
        assert output is not None
        self.names.targets[full] = output
        return output

    def effective(self, entry: Entry, positional: Sequence[str], at: ExpansionFrame) -> dict[str, Argument]:
        """The entry's arguments: its scope's, then its own positional and named ones over them."""
        inherited = at.scope.of(entry.kind)
        held = entry.arguments.values() if entry.kind in CATALOGUE else ()
        self.count_arguments(len(inherited) + sum(extent(each.value).nodes for each in held), entry.place)
        arguments = dict(inherited)
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
            key_place = entry.places.get(name, entry.place)
            kept: Any = WRONG
            try:
                kept = self.kinds.check_argument(
                    entry.kind, name, argument.value, key_place, argument.place or key_place
                )
            except SpecError as error:
                self.report(error, of_a_layer=True)
            arguments[name] = argument if kept is argument.value else replace(argument, value=kept)
        if any(argument.value is WRONG for argument in arguments.values()):
            raise SaidError
        return arguments

    def expand_sugar(self, sugar: Entry, at: ExpansionFrame, source: Ref | None) -> Ref | None:
        """`activation: relu` and `normalizer: {batch_norm: {…}}` as layers of their own, below the layer's name."""
        assert source is not None
        if sugar.place in at.following:
            message = f"{sugar.kind} would follow itself without end: its own activation or normalizer has to be none"
            raise SpecError("G162", message, sugar.place)
        at = replace(at, following=(*at.following, sugar.place))
        if sugar.kind in self.spec.blocks:
            return self.expand_block(sugar, at, [source])
        return self.expand_layer(sugar, at, [source], CATALOGUE[sugar.kind].__name__)

    def expand_block(self, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
        block = self.spec.blocks[entry.kind]
        if block.name in at.open_blocks:
            chain = " -> ".join([*at.open_blocks[at.open_blocks.index(block.name) :], block.name])
            raise SpecError("G162", f"blocks may not use themselves: {chain}", entry.place)
        arguments = self.effective(entry, tuple(block.params), at)
        values: dict[str, Any] = {}
        seen = names_over(values, self.spec.vars)
        self.count_arguments(len(block.params), entry.place)
        for name, default in block.params.items():
            if name in arguments:
                values[name] = arguments[name].value
            elif default is REQUIRED:
                error = SpecError("G113", f"block {block.name} needs {clipped(name)}", entry.place)
                raise SaidError if at.scope.faulty else error
            else:
                values[name] = substitute(default, seen, block.place)
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
            names=seen,
            bindings=bindings,
            trail=(*at.trail, f"in block {block.name} used at {entry.place}"),
            open_blocks=(*at.open_blocks, block.name),
        )
        if block.arg_scope is not None:
            raw = substitute(block.arg_scope, inner.names, block.place)
            scope = self.scopes.enter(inner.scope, raw, block.place, f"arg_scope of block {block.name}")
            inner = replace(inner, scope=scope)
        return self.close(inner, self.expand_list(block.layers, inner, sources[0]))

    def close(self, group: ExpansionFrame, output: Ref | None) -> Ref | None:
        """A group stands for its last output."""
        if output is not None:
            self.names.targets[group.group] = output
        return output


Composition: TypeAlias = Callable[[Expansion, Entry, ExpansionFrame, list[Ref]], Ref | None]
"""Opens a group, repeat, stack, branches or residual: the value after it."""
