"""Names within blocks: of layers what their names in the file have in common at the end, of uses at the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.importers.names import clean, unique
from graphc.importers.structure.items import Item, layers_of


def common_start(names: Sequence[str]) -> str:
    """`layer1.0` of layer1.0.conv1 and layer1.0.conv2; may be empty."""
    parts = [name.split(".") for name in names]
    found = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        found.append(level[0])
    if len(found) == len(parts[0]):
        found.pop()
    return ".".join(found)


def common_end(names: Sequence[str], kind: str) -> str:
    """`conv1` of layer1.0.conv1 and layer2.1.conv1; the kind where they have no word in common."""
    last = {name.rpartition(".")[2] for name in names}
    word = last.pop() if len(last) == 1 else ""
    return word if word and not word.isdigit() and not word.startswith("layer_") else kind


def slot_names(uses: Sequence[Sequence[Item]]) -> dict[str, str]:
    """Names of the first use's layers -> names in the block."""
    rows = [list(layers_of(use)) for use in uses]
    taken: set[str] = set()
    found: dict[str, str] = {}
    for column in zip(*rows, strict=True):
        words = [layer.name for layer in column]
        found[column[0].name] = unique(clean(common_end(words, column[0].kind)), taken)
    return found


@dataclass(frozen=True, slots=True)
class Naming:
    """Names of uses and repeats, from the file's names of all layers."""

    everything: tuple[str, ...]

    def of_use(self, items: Sequence[Item], default: str) -> str:
        """What a use of a block is called: the shortest beginning that its layers share with no other."""
        names = [layer.name for layer in layers_of(items)]
        parts = common_start(names).split(".")
        for length in range(1, 1 + len(parts)):
            start = ".".join(parts[:length])
            if start and self.is_own(start, names):
                return clean(start) or default
        return clean(names[0]) or default

    def of_row(self, elements: Sequence[Sequence[Item]], default: str) -> str:
        """What a repeat is called: the same, of all of its elements; else what the first one is called."""
        names = [layer.name for element in elements for layer in layers_of(element)]
        start = common_start(names)
        if start and self.is_own(start, names):
            return clean(start) or default
        return self.of_use(elements[0], default)

    def is_own(self, start: str, names: Sequence[str]) -> bool:
        """Whether only these layers' names begin so."""
        return sum(_begins(name, start) for name in self.everything) == sum(_begins(name, start) for name in names)


def _begins(name: str, start: str) -> bool:
    return name == start or name.startswith(f"{start}.")
