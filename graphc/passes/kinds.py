"""What may be written on a kind, be it of the catalogue or a block of the spec: checked where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphc.errors import Place, SpecError, clipped, did_you_mean
from graphc.layers import ACTIVATIONS, CATALOGUE, NORMALIZERS
from graphc.passes.arguments import argument_names, check_argument, has_no_argument
from graphc.passes.entries import check_layer_kind, read_entry
from graphc.peers import simple
from graphc.spec.entry import Argument, Entry
from graphc.spec.forms import FORMS
from graphc.spec.forms.block import Block
from graphc.spec.source import SpecMap
from graphc.written import kind_and_arguments


@dataclass(frozen=True, slots=True)
class Kinds:
    blocks: Mapping[str, Block]

    def check_kind(self, kind: str, place: Place) -> None:
        """A SpecError where neither a layer kind nor a block is called so."""
        if kind not in self.blocks:
            check_layer_kind(kind, self.blocks, place)

    def check_name(self, kind: str, name: str, place: Place) -> None:
        """A SpecError where the kind has no such argument."""
        block = self.blocks.get(kind)
        if block is None:
            if name not in argument_names(CATALOGUE[kind]):
                raise has_no_argument(CATALOGUE[kind], name, place)
        elif name not in block.params:
            hint = did_you_mean(name, block.params)
            raise SpecError("G111", f"block {kind} has no parameter {clipped(name)}{hint}", place)

    def as_mapping(self, kind: str, value: Any) -> str:
        """`: write {kernel: 2}` for a value that a layer of this kind takes by position; a scope names it."""
        first = next(iter(CATALOGUE[kind].positional), None) if kind in CATALOGUE else None
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        return f": write {{{first}: {clipped(value)}}}" if first and plain else ""

    def check_argument(self, kind: str, name: str, value: Any, key_place: Place, place: Place) -> Any:
        """The value to keep; a SpecError where the kind has no such argument, or not of this type."""
        self.check_name(kind, name, key_place)
        if kind in self.blocks:
            return value
        kept = check_argument(CATALOGUE[kind], name, value, key_place)
        if name in CATALOGUE[kind].accepts:
            self.check_sugar(name, kept, place)
        return kept

    def check_sugar(self, name: str, value: Any, place: Place) -> None:
        """A SpecError where `value` is no kind that may follow a layer, or one of its arguments is wrong."""
        entry = self.read_sugar(name, Argument(value, place, ""), place)
        if entry is None or entry.kind in self.blocks:
            return
        for each, argument in entry.arguments.items():
            key_place = entry.places[each]
            self.check_argument(entry.kind, each, argument.value, key_place, argument.place or key_place)

    def read_sugar(self, name: str, written: Argument, place: Place) -> Entry | None:
        """What `activation` or `normalizer` stands for; None for none, and where its `when` is false."""
        value, where = written.value, written.place or place
        if value is None:
            return None
        if kind_and_arguments(value) is None:
            expected = f"{name} expects a kind, {{kind: {{arguments}}}} or none"
            raise SpecError("G115", f"{expected}, got {clipped(value)}", where)
        self.check_follower(name, value, where)
        entry = read_entry(value, where, {}, self.blocks)
        if entry is not None and (entry.kind in FORMS or entry.name is not None or entry.inputs is not None):
            expected = f"{name} expects a layer kind without name and inputs"
            raise SpecError("G115", f"{expected}, got {clipped(value)}", where)
        return entry

    def check_follower(self, name: str, written: str | SpecMap, place: Place) -> None:
        """A SpecError where `activation: …` or `normalizer: …` names no kind; activations are proposed for one."""
        kind = written if isinstance(written, str) else next(iter(written))
        at = place if isinstance(written, str) else written.key_places[kind]
        if kind in self.blocks or kind in FORMS or kind in CATALOGUE:
            return
        if simple(kind) in ("linear", "identity"):
            raise SpecError("G110", f"{name} {clipped(kind)} is said by {name}: none", at)
        family = sorted(ACTIVATIONS if name == "activation" else NORMALIZERS)
        hint = did_you_mean(kind, [*family, *self.blocks]) or f"; there are {', '.join(family)}"
        raise SpecError("G110", f"no {name} or block is named {clipped(kind)}{hint}", at)

    def check_scope_names(self, scope: Any, report: Callable[[SpecError], None]) -> None:
        """Names in a block's scope are checked where they stand, also when nothing uses the block."""
        for kinds, arguments in scope.items() if isinstance(scope, SpecMap) else ():
            for kind in (part.strip() for part in kinds.split(",")):
                try:
                    self.check_kind(kind, scope.key_places[kinds])
                except SpecError as error:
                    report(error)
                    continue
                for name in arguments if isinstance(arguments, SpecMap) else ():
                    try:
                        self.check_name(kind, name, arguments.key_places[name])
                    except SpecError as error:
                        report(error)
