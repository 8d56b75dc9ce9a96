"""Lists of layers -> unresolved nodes: what a layer's arguments come to, what follows it; forms open themselves.

An entry with an error gives FAULTY, and the next ones are read all the same: one run reports several errors, each
once, and none that only follows from another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from graphc.errors import Errors, Place, SpecError, clipped, did_you_mean
from graphc.layers import CATALOGUE
from graphc.passes.arguments import build_layer
from graphc.passes.entries import check_arity, evaluated, looked_through, read_entry
from graphc.passes.kinds import Kinds
from graphc.passes.scopes import WRONG, Scopes, written_size
from graphc.passes.wire import UnresolvedNode
from graphc.passes.wiring import FAULTY, Names
from graphc.patterns import MAX_LENGTH, WILDCARD
from graphc.spec.entry import Argument, Entry, written_name
from graphc.spec.expressions import substitute
from graphc.spec.forms import FORMS
from graphc.spec.forms.base import SaidError
from graphc.spec.forms.frame import ExpansionFrame, NameRef, Ref, Scope, scoped
from graphc.spec.model import ModelSpec
from graphc.spec.source import SpecList, extent

MAX_DEPTH = 64
MAX_ARGUMENTS = 2_000_000
"""Arguments of layers and blocks and what is in them, counted for every repetition."""
EXPRESSION = 4
"""What is looked through for `${…}` counts as so many."""
SCOPED = 8
"""What is checked where a scope is entered counts as so many."""
LETTERS = 50
"""Characters of a pattern that take as long as a name without them."""
MAX_GROUP = 1_000
"""Characters of a group's full name."""
NODES_PER_ENTRY = 4
"""As many nodes may an entry become on average: a layer with a normalizer and an activation is three."""


STOP_AT_ONCE = frozenset({"G161", "G162", "G163"})
"""Errors of size: going on would cost what the limit is there to save."""


class EnoughError(Exception):
    """Enough errors are known: leave all levels at once."""


@dataclass
class Expansion:
    spec: ModelSpec
    max_layers: int
    names: Names
    unresolved: list[UnresolvedNode] = field(default_factory=list)
    errors: Errors = field(default_factory=Errors)
    named: list[str] = field(default_factory=list)
    """Full names of the layers and groups that the user named, in order: the default end points."""
    taken: Counter[str] = field(default_factory=Counter)
    shares: dict[str, str] = field(default_factory=dict)
    """Full name -> whose variables are used there, of layers and groups that use others'."""
    numbers: Counter[str] = field(default_factory=Counter)
    """The last number behind each default name."""
    entries_seen: int = 0
    arguments_seen: int = 0

    def __post_init__(self) -> None:
        self.kinds = Kinds(self.spec.blocks)
        self.scopes = Scopes(self.kinds, self.report)
        self.taken.update(self.names.inputs.keys())
        self.variables = self.spec.vars

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
            message = f"expected at most {MAX_DEPTH} levels of groups and blocks, got more{without_end(at.open_blocks)}"
            raise SpecError("G163", message, layers.place)
        if len(at.group) > MAX_GROUP:
            found = f"{len(at.group):,}: {clipped(at.group)}"
            raise SpecError(
                "G163", f"expected at most {MAX_GROUP:,} letters of a group's name, got {found}", layers.place
            )
        at = at.deeper()
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
        form = FORMS.get(entry.kind) or self.spec.blocks.get(entry.kind)
        if form is None:
            return self.expand_layer(entry, at, sources)
        if entry.kind in FORMS and "arg_scope" in entry.arguments:
            at = self.with_defaults(entry, at)
        return form.expand(self, entry, at.under_when() if entry.conditional else at, sources)

    def with_defaults(self, entry: Entry, at: ExpansionFrame) -> ExpansionFrame:
        """The frame with the form's own `arg_scope` over the scope around it."""
        written = entry.arguments["arg_scope"]
        raw = self.substituted(written.value, at.names, written.place or entry.place)
        label = f"arg_scope of {entry.kind} {entry.name}"
        if not entry.name:
            label = f"arg_scope of the {entry.kind} at {entry.place}"
        return replace(at, scope=self.enter_scope(at.scope, raw, entry.places["arg_scope"], label))

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

    def substituted(self, value: Any, names: Mapping[str, Any], place: Place) -> Any:
        """The value with every `${…}` in it replaced, which is counted."""
        self.count_arguments(1 + EXPRESSION * looked_through(value), place)
        return substitute(value, names, place)

    def read_sources(self, entry: Entry, at: ExpansionFrame, current: Ref | None) -> list[Ref]:
        if entry.inputs is not None:
            place = entry.places.get("inputs", entry.place)
            read = {name: self.read_name(name, at, place) for name in dict.fromkeys(entry.inputs)}
            self.count_arguments(sum(len(read[name]) - 1 for name in entry.inputs), place)
            return [ref for name in entry.inputs for ref in read[name]]  # what is read twice is looked up once
        if current is None:
            listed = ", ".join(self.names.inputs)
            raise SpecError("G123", f"{entry.kind} needs inputs: the spec has several ({listed})", entry.place)
        return [current]

    def read_name(self, name: str, at: ExpansionFrame, place: Place) -> list[Ref]:
        """What a name of `inputs` stands for: one value, or of a pattern all above that fit it."""
        as_it_is: list[Ref] = [NameRef(name, at.group, at.bindings, place)]
        if not WILDCARD.search(name) or name in at.bindings or name in self.names.inputs:
            return as_it_is
        if self.names.find(name, at.group) is not None:
            return as_it_is
        if len(name) > MAX_LENGTH:
            raise SpecError("G121", f"a pattern has at most {MAX_LENGTH:,} characters, got {len(name):,}", place)
        levels = at.group.count("/") + 2
        self.count_arguments(len(self.names.targets) * levels * (1 + len(name) // LETTERS), place)
        found = self.names.matching(name, at.group)
        if not found:
            if self.errors:  # it may be inside what has an error
                raise SaidError
            raise SpecError("G121", f"no layer or group above matches {clipped(name)}", place)
        self.count_arguments(len(found), place)
        return [NameRef(each, "", {}, place) for each in found]

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
        return self.shares.get(full, full)

    def enter(self, entry: Entry, default: str, at: ExpansionFrame) -> ExpansionFrame:
        """The frame inside the entry's group, whose name it claims."""
        return self.sharing(at.inside(self.claim(entry, default, at), self.shared(entry, at)))

    def sharing(self, at: ExpansionFrame) -> ExpansionFrame:
        """The frame, whose group's variables are known to whoever shares them in turn."""
        if at.variables != at.group:
            self.shares[at.group] = at.variables
        return at

    def enter_element(self, name: str, at: ExpansionFrame, place: Place) -> ExpansionFrame:
        """The frame inside a group that the entry around it names, at `place`: one of its elements, or paths."""
        inner = self.sharing(at.inside(name))
        if self.taken[inner.group]:
            raise SpecError(
                "G124", f"the name {clipped(inner.group)} is used twice: what is around it needs a name", place
            )
        self.taken[inner.group] += 1
        self.named.append(inner.group)
        return inner

    def close(self, group: ExpansionFrame, output: Ref | None) -> Ref | None:
        """A group stands for its last output."""
        if output is not None:
            self.names.targets[group.group] = output
        return output

    def enter_scope(self, scope: Scope, written: Any, place: Place, source: str) -> Scope:
        self.count_arguments(SCOPED * written_size(written), place)
        return self.scopes.enter(scope, written, place, source)

    def capture_scope(self, name: str, scope: Scope, place: Place) -> None:
        self.scopes.capture(name, scope, place)

    # layers -------------------------------------------------------------------------------------

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
        for argument, other in (("like", layer.follows), ("pool", layer.undoes)):
            if other is not None:
                sources = [*sources, NameRef(other, at.group, at.bindings, arguments[argument].place or entry.place)]
        variables = share or scoped(at.variables, name)
        if variables != full:
            self.shares[full] = variables
        written = {
            name: each if following[name] or each.value is None else replace(each, value=None)
            for name, each in followed_by.items()
        }
        node = UnresolvedNode(full, layer, tuple(sources), entry.place, variables, arguments, at.trail, written)
        self.unresolved.append(node)
        if len(self.unresolved) > NODES_PER_ENTRY * self.max_layers:
            most = f"{NODES_PER_ENTRY * self.max_layers:,} layers with normalizers and activations"
            raise SpecError("G161", f"expected at most {most} after expansion, got more (--max-layers)", entry.place)
        output: Ref | None = len(self.unresolved) - 1
        below = at.renamed(full, variables) if any(following.values()) else at
        for sugar in following.values():
            output = self.expand_sugar(sugar, below, output) if sugar is not None else output
        assert output is not None
        self.names.targets[full] = output
        return output

    def effective(self, entry: Entry, positional: Sequence[str], at: ExpansionFrame) -> dict[str, Argument]:
        """The entry's arguments: its scope's, then its own positional and named ones over them."""
        inherited = at.scope.of(entry.kind)
        is_layer = entry.kind not in FORMS and entry.kind not in self.spec.blocks
        held = entry.arguments.values() if is_layer else ()
        nodes = sum(extent(each.value).nodes for each in (*held, *inherited.values()))
        nodes += sum(extent(value).nodes for value in entry.positional)
        self.count_arguments(len(positional) + nodes, entry.place)
        arguments = dict(inherited)
        values = entry.positional
        if len(values) > 1 == len(positional):
            values = (list(values),)  # reshape: [28, 28, 1]: the only one is the list
        if len(values) > len(positional):
            takes = ", ".join(positional) or "none"
            message = f"{entry.kind} takes {len(positional)} positional arguments ({takes}), got {len(values)}"
            raise SpecError("G114", message, entry.place)
        written = dict(entry.arguments)
        for name, value in zip(positional, values, strict=False):
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
            return self.spec.blocks[sugar.kind].expand(self, sugar, at, [source])
        return self.expand_layer(sugar, at, [source], CATALOGUE[sugar.kind].__name__)

    def expand_merge(self, entry: Entry, merging: Argument, at: ExpansionFrame, outputs: list[Ref]) -> Ref:
        """The merge layer of branches or a residual, with the entry's activation on it."""
        place = merging.place or entry.place
        read = read_entry(self.substituted(merging.value, at.names, place), place, at.names, self.spec.blocks)
        if read is None or read.kind not in CATALOGUE or CATALOGUE[read.kind].inputs_at_most is not None:
            known = [kind for kind, layer in CATALOGUE.items() if layer.inputs_at_most is None]
            raise SpecError("G115", f"merge expects one of {', '.join(known)}, got {clipped(merging.value)}", place)
        if read.inputs is not None:
            raise SpecError("G115", f"{entry.kind} say what is merged: merge takes no inputs", read.places["inputs"])
        if "activation" in entry.arguments:
            read = replace(read, arguments={**read.arguments, "activation": entry.arguments["activation"]})
        return self.expand_layer(read, at, outputs)


def without_end(blocks: Sequence[str]) -> str:
    """`: a -> b -> a, 32 times`, where the innermost of these open blocks uses itself; else nothing."""
    times = blocks.count(blocks[-1]) if blocks else 0
    if times < 2:
        return ""
    before = len(blocks) - 2 - blocks[-2::-1].index(blocks[-1])
    return f": {' -> '.join(blocks[before:])}, {times - 1} times, and no `when` ends it"
