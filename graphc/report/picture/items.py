"""What a picture consists of: blocks below each other, paths side by side, frames, repeats, tangles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, Union

from graphc.report.picture.blocks import Block


@dataclass(frozen=True, slots=True)
class Path:
    """One of several side by side; empty: the value itself, carried along."""

    items: Series
    begins: bool = False
    """With an input: nothing leads into it."""
    ends: bool = False
    """With an output: nothing comes out of it."""


@dataclass(frozen=True, slots=True)
class Parallel:
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A named group."""

    name: str
    items: Series
    ends: bool = False
    """Nothing comes out of it."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Items that come `count` times in a row, alike but for names and input sizes."""

    items: Series
    count: int
    names: tuple[str, str]
    """Of the first and the last."""
    everything: Series
    """All of them, for sums."""


@dataclass(frozen=True, slots=True)
class Tangle:
    """Blocks with the edges between them; None: from before, or to what comes after."""

    blocks: tuple[Block, ...]
    edges: tuple[tuple[str | None, str | None], ...]
    begins: bool = False
    ends: bool = False


Item: TypeAlias = Union[Block, Parallel, Frame, Fold, Tangle]
Series: TypeAlias = tuple[Item, ...]


def blocks_of(item: Item) -> Iterator[Block]:
    """Every block in an item; of a fold, of all its repeats."""
    if isinstance(item, Block):
        yield item
    elif isinstance(item, Tangle):
        yield from item.blocks
    elif isinstance(item, Parallel):
        for path in item.paths:
            for each in path.items:
                yield from blocks_of(each)
    else:
        for each in item.everything if isinstance(item, Fold) else item.items:
            yield from blocks_of(each)


def is_end(item: Item) -> bool:
    """Whether this is an input or output of the model."""
    return isinstance(item, Block) and not item.members


def drawn(series: Series) -> list[Block]:
    """Blocks that are on the page: of repeats the first."""
    found: list[Block] = []
    for item in series:
        if isinstance(item, Block):
            found.append(item)
        elif isinstance(item, Tangle):
            found.extend(item.blocks)
        elif isinstance(item, Parallel):
            found.extend(block for path in item.paths for block in drawn(path.items))
        else:
            found.extend(drawn(item.items))
    return found
