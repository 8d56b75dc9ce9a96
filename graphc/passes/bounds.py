"""How many layers a spec has at least, counted without expanding it.

Each block is counted once for the values it is used with, so forty blocks that each use the next one twice, or one
that uses itself twice, are refused in no time. What only expansion can tell counts as nothing: a condition or a number
of times that a scope or an index decides, and whatever lies beyond `MAX_COUNTED` entries or `MAX_LETTERS` characters of
expressions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from graphc.errors import SpecError
from graphc.spec.expressions import names_over, substitute
from graphc.spec.forms import FORMS
from graphc.spec.forms.block import Block
from graphc.spec.model import ModelSpec
from graphc.spec.source import SpecList, SpecMap
from graphc.written import kind_and_arguments

MAX_DEPTH = 64
MAX_COUNTED = 20_000
MAX_LETTERS = 500_000
PLAIN = (bool, int, float, str)
"""Values that are worth knowing."""
UNKNOWN: list[Any] = []
"""A value with which nothing is computed, and no condition holds."""
Use: TypeAlias = tuple[Any, ...]
"""A block with the values it is used with."""


def check_bounds(spec: ModelSpec, max_layers: int) -> None:
    """Refuse, at the layer that is too many, a spec that cannot have at most `max_layers`."""
    known = {name: value for name, value in spec.vars.items() if isinstance(value, PLAIN)}
    count = Counter(spec.blocks, known, known)
    total = 0
    for written, place in zip(spec.layers, spec.layers.places, strict=True):
        total += count.entry(written)
        if total > max_layers:
            message = f"expected at most {max_layers:,} layers after expansion, got at least {total:,} (--max-layers)"
            raise SpecError("G161", message, place)


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts where `names` are the values that are known."""

    blocks: Mapping[str, Block]
    names: Mapping[str, Any]
    variables: Mapping[str, Any]
    """The spec's, which every block sees."""
    depth: int = 0
    uses: dict[Use, int] = field(default_factory=dict)
    """What is counted already."""
    entries: list[int] = field(default_factory=lambda: [0])
    """How many entries were looked at, by all counters of the spec."""
    letters: list[int] = field(default_factory=lambda: [0])
    """Characters of expressions that were evaluated, by all of them."""

    def layers(self, written: Any) -> int:
        return sum(self.entry(each) for each in written) if isinstance(written, SpecList) else 0

    def entry(self, written: Any) -> int:
        """The layers that one item of a layer list becomes, itself included."""
        kind, body = kind_and_arguments(written) or (None, None)
        if not isinstance(kind, str) or self.entries[0] >= MAX_COUNTED:
            return 0
        self.entries[0] += 1
        if isinstance(body, SpecMap) and "when" in body and self.value(body["when"]) is not True:
            return 0
        if self.depth >= MAX_DEPTH:
            return 1
        inside = replace(self, depth=self.depth + 1)
        if kind in self.blocks:
            return 1 + self.blocks[kind].at_least(body, inside)
        return 1 + FORMS[kind].at_least(body, inside) if kind in FORMS and isinstance(body, SpecMap) else 1

    def value(self, written: Any) -> Any:
        """The value as far as it is known, else None."""
        if not isinstance(written, str) or "${" not in written:
            return written
        self.letters[0] += len(written)
        if self.letters[0] > MAX_LETTERS:
            return None
        try:
            found = substitute(written, self.names)
        except SpecError:
            return None
        return None if found is UNKNOWN else found

    def hiding(self, name: Any) -> Counter:
        """The same where the value of this name is not known."""
        if not isinstance(name, str) or name not in self.names:
            return self
        return replace(self, names=names_over({name: UNKNOWN}, self.names))

    def of_block(self, name: str, values: Mapping[str, Any]) -> int:
        """The least number of layers in a block that is used with these values, as far as they are known."""
        block = self.blocks[name]
        known = {each: value for each, value in values.items() if isinstance(value, PLAIN)}
        use = (name, *((each, type(value), value) for each, value in sorted(known.items())))
        if use not in self.uses:
            self.uses[use] = 0  # while it is open: where it uses itself without end, expansion says so
            own = {each: known.get(each, UNKNOWN) for each in block.params}
            self.uses[use] = replace(self, names=names_over(own, self.variables)).layers(block.layers)
        return self.uses[use]
