"""Names within blocks: of layers what their names in the file have in common at the end, of uses at the beginning."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from graphc.importers.names import clean, unique
from graphc.importers.structure.items import Item, layers_of

SEPARATORS = "._"
SEPARATOR = re.compile(r"[._]")


def common_start(names: Sequence[str]) -> str:
    """`layer1.0` of layer1.0.conv1 and layer1.0.conv2, `block_1` of block_1_pad and block_1_expand; may be empty."""
    first, last = min(names), max(names)
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    start = first[:length]
    ends = [end for end in _ends(start) if all(_begins(name, start[:end]) and len(name) > end for name in names)]
    return start[: ends[-1]] if ends else ""


def _ends(text: str) -> list[int]:
    """Where words of a text end."""
    return [*(match.start() for match in SEPARATOR.finditer(text)), len(text)]


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
    """Sorted."""

    def of_use(self, items: Sequence[Item], default: str) -> str:
        """What a use of a block is called: the shortest beginning that its layers share with no other."""
        names = [layer.name for layer in layers_of(items)]
        whole = common_start(names)
        for start in (whole[:end] for end in _ends(whole)):
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
        theirs = sum(self._count(f"{start}{behind}") for behind in SEPARATORS) + self._count(start, whole=True)
        return theirs == sum(_begins(name, start) for name in names)

    def _count(self, start: str, *, whole: bool = False) -> int:
        """How many names begin so, or are just that."""
        first = bisect_left(self.everything, start)
        return (
            bisect_right(self.everything, start) if whole else bisect_left(self.everything, f"{start}\U0010ffff")
        ) - first


def _begins(name: str, start: str) -> bool:
    return name.startswith(start) and SEPARATOR.match(f"{name}.", len(start)) is not None
