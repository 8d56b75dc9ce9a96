"""How many layers a spec has at least, counted without expanding it.

Each block is counted once, so forty blocks that each use the next one twice are refused in no time. What only
expansion can tell (`when`, a number of times that is an expression) counts as nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphc.errors import SpecError
from graphc.spec.model import ModelSpec
from graphc.spec.source import SpecList, SpecMap
from graphc.written import kind_and_arguments

MAX_DEPTH = 64


def check_bounds(spec: ModelSpec, max_layers: int) -> None:
    """Refuse, at the layer that is too many, a spec that cannot have at most `max_layers`."""
    counter = _Counter(spec)
    total = 0
    for written, place in zip(spec.layers, spec.layers.places, strict=True):
        total += counter.entry(written)
        if total > max_layers:
            message = f"expected at most {max_layers:,} layers after expansion, got at least {total:,} (--max-layers)"
            raise SpecError("G161", message, place)


@dataclass(slots=True)
class _Counter:
    spec: ModelSpec
    blocks: dict[str, int] = field(default_factory=dict)
    depth: int = 0

    def layers(self, written: Any) -> int:
        return sum(self.entry(each) for each in written) if isinstance(written, SpecList) else 0

    def entry(self, written: Any) -> int:
        """The layers that one item of a layer list becomes, itself included."""
        kind, body = kind_and_arguments(written) or (None, None)
        if not isinstance(kind, str) or (isinstance(body, SpecMap) and "when" in body):
            return 0
        if kind in self.spec.blocks:
            return 1 + self.block(kind)
        return 1 + self.inside(kind, body) if isinstance(body, SpecMap) else 1

    def inside(self, kind: str, body: SpecMap) -> int:
        if kind == "branches":
            paths = body.get("paths")
            return sum(self.layers(path) for path in paths.values()) if isinstance(paths, SpecMap) else 0
        if kind in ("group", "residual"):
            return self.layers(body.get("layers")) + self.layers(body.get("shortcut"))
        each = self.entry(body["layer"]) if "layer" in body else self.layers(body.get("layers"))
        if kind == "repeat":
            times = body.get("times")
            return each * times if isinstance(times, int) and times > 0 else 0
        args = body.get("args")
        return each * len(args) if kind == "stack" and isinstance(args, SpecList) else 0

    def block(self, name: str) -> int:
        if name not in self.blocks:
            self.blocks[name] = 0  # while it is open: a block that uses itself is reported elsewhere
            if self.depth < MAX_DEPTH:
                self.depth += 1
                self.blocks[name] = self.layers(self.spec.blocks[name].layers)
                self.depth -= 1
        return self.blocks[name]
