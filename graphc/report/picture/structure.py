"""Blocks -> series of blocks, of paths side by side, of groups, of repeats.

CNN graphs are nearly series-parallel. What is not (paths that read from each other) is a `Tangle`, laid out in ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from graphc.errors import SpecError
from graphc.report.picture.blocks import Block
from graphc.report.picture.dissection import Dissection
from graphc.report.picture.items import Parallel, Series, Tangle
from graphc.report.picture.tidying import tidy

LARGEST_TANGLE = 40
"""Blocks in a tangle that one can still follow."""


def structure(blocks: Sequence[Block]) -> Series:
    """The whole picture: series, framed by the groups in the names, repeats folded.

    A tangle too large to be read is drawn with one block a group.
    """
    try:
        return _structure(blocks)
    except RecursionError:
        message = "paths of the network lie too deep within each other to be drawn: `--until` stops at a layer"
        raise SpecError("G334", message) from None


def _structure(blocks: Sequence[Block]) -> Series:
    series = Dissection(blocks).series()
    if any(len(item.blocks) > LARGEST_TANGLE for item in tangles(series)):
        series = Dissection(contract(blocks)).series()
    return tidy(series)


def tangles(items: Series) -> Iterator[Tangle]:
    for item in items:
        if isinstance(item, Tangle):
            yield item
        elif isinstance(item, Parallel):
            for path in item.paths:
                yield from tangles(path.items)


def contract(blocks: Sequence[Block]) -> list[Block]:
    """One block for each outermost group; the blocks as they are where groups read from each other both ways."""
    groups: dict[str, list[Block]] = {}
    for block in blocks:
        groups.setdefault(block.name.split("/")[0], []).append(block)
    owner = {block.name: name for name, members in groups.items() for block in members}
    made: dict[str, Block] = {}
    for name, members in groups.items():
        sources = dict.fromkeys(owner[source] for block in members for source in block.inputs)
        inputs = tuple(source for source in sources if source != name)
        layers = tuple(each for block in members for each in block.members)
        if len(members) == 1:
            made[name] = replace(members[0], inputs=inputs)
        else:
            words = (f"{len(layers)} layers",)
            made[name] = Block(name, "group", name, words, members[-1].shape, layers, inputs)
    try:
        order = TopologicalSorter({name: made[name].inputs for name in made}).static_order()
        return [made[name] for name in order]
    except CycleError:
        return list(blocks)
