"""Blocks -> series of blocks, of paths side by side, of groups, of repeats.

CNN graphs are nearly series-parallel: where a value is read by several, paths go side by side until all of them
have met (the reader's immediate post-dominator). A path that leads to an output of its own, and never meets the
others, ends where it ends. What is no series of parallels (paths that read from each other) is a `Tangle`, laid out
in ranks.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias, Union

from graphc.report.picture.blocks import Block

START, END = "", "\0"
"""A point before all inputs and one after all outputs; never drawn."""
LARGEST_TANGLE = 40
"""Blocks in a tangle that one can still follow."""
LONGEST_PATTERN = 6
"""Items in the longest pattern whose repetition is looked for."""


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


def structure(blocks: Sequence[Block]) -> Series:
    """The whole picture: series, framed by the groups in the names, repeats folded.

    A tangle too large to be read is drawn with one block a group.
    """
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


class Dissection:
    """A graph of blocks with what is read by whom and where paths meet."""

    def __init__(self, blocks: Sequence[Block], outside: Collection[str] = ()) -> None:
        """`outside`: blocks read from that are not part of this graph."""
        self.blocks = {each.name: each for each in blocks}
        self.sources = {
            each.name: tuple(name for name in each.inputs if name not in outside) or (START,) for each in blocks
        }
        self.readers: dict[str, list[str]] = {name: [] for name in (START, *self.blocks)}
        for name, sources in self.sources.items():
            for source in sources:
                self.readers[source].append(name)
        self.sides: dict[str, list[Path]] = {}
        self.order = list(self.blocks)
        self.index = {name: place for place, name in enumerate(self.order)}
        self.split_off_sides()
        for name in self.order:
            if not self.readers[name]:
                self.readers[name] = [END]
        self.meeting: dict[str, str] = {}
        self.depth = {END: 0}
        self.find_meetings()

    def split_off_sides(self) -> None:
        """Cut off what hangs on one block and leads to an output that is not the last one's."""
        last = self.order[-1]
        main = {last}
        for name in reversed(self.order):
            if main.intersection(self.readers[name]):
                main.add(name)
        aside = [name for name in self.order if name not in main]
        for part in components(aside, self.readers):
            parents = {source for name in part for source in self.sources[name]} - set(part)
            if len(parents) != 1 or parents == {START}:
                continue
            parent = parents.pop()
            inner = Dissection([self.blocks[name] for name in part], {parent})
            self.sides.setdefault(parent, []).append(Path(inner.series(), ends=True))
            gone = set(part)
            self.readers[parent] = [name for name in self.readers[parent] if name not in gone]
            self.order = [name for name in self.order if name not in gone]

    def find_meetings(self) -> None:
        """Where all paths from a block meet again: its immediate post-dominator."""
        for name in (*reversed(self.order), START):
            self.meeting[name] = self.meet(self.readers[name])
            self.depth[name] = self.depth[self.meeting[name]] + 1

    def meet(self, names: Sequence[str]) -> str:
        """The first block that all paths from all of `names` come to; a name itself where the others lead to it."""
        common = names[0]
        for name in names[1:]:
            other = name
            while common != other:
                if self.depth[common] >= self.depth[other]:
                    common = self.meeting[common]
                else:
                    other = self.meeting[other]
        return common

    def series(self) -> Series:
        first = self.after(START)
        return (*first, *self.between(self.meeting[START], END))

    def between(self, first: str, stop: str) -> Series:
        """From block `first` on, up to but without `stop`."""
        items: list[Item] = []
        name = first
        while name != stop:
            items.append(self.blocks[name])
            items.extend(self.after(name))
            name = self.meeting[name]
        return tuple(items)

    def after(self, name: str) -> Series:
        """What lies between a block and where its paths meet: nothing, or paths side by side."""
        stop = self.meeting[name]
        readers = list(dict.fromkeys(self.readers[name]))
        sides = self.sides.get(name, [])
        beside = (Parallel((Path(()), *sides)),) if sides else ()
        if readers == [stop]:
            return beside
        return (*beside, *self.side_by_side(name, readers, stop))

    def side_by_side(self, entry: str, readers: Sequence[str], stop: str) -> Series:
        """Everything from `readers`, which read `entry`, to `stop`."""
        inside = self.region(readers, stop)
        paths = [self.path(entry, part, stop) for part in components(inside, self.readers)]
        if stop in readers and stop != END:
            paths.append(Path(()))
        if len(paths) == 1 and isinstance(paths[0].items[0], Tangle):
            return paths[0].items
        return (Parallel(tuple(paths)),)

    def region(self, readers: Iterable[str], stop: str) -> list[str]:
        """All blocks from `readers` on that come before `stop`, in order."""
        found: set[str] = set()
        waiting = [name for name in readers if name != stop]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(reader for reader in self.readers[name] if reader != stop)
        return sorted(found, key=self.index.__getitem__)

    def path(self, entry: str, part: Sequence[str], stop: str) -> Path:
        begins, ends = entry == START, stop == END
        heads = [name for name in part if entry in self.sources[name]]
        meeting = self.meet(heads)
        if meeting != stop:  # several heads, which meet before the others do
            first = self.side_by_side(entry, heads, meeting) if len(heads) > 1 else ()
            return Path((*first, *self.between(meeting, stop)), begins, ends)
        members = set(part)
        edges: list[tuple[str | None, str | None]] = []
        for name in part:
            edges.extend((source if source in members else None, name) for source in self.sources[name])
        edges.extend((name, None) for name in part if stop in self.readers[name])
        tangle = Tangle(tuple(self.blocks[name] for name in part), tuple(edges), begins, ends)
        return Path((tangle,), begins, ends)


def components(names: Sequence[str], readers: dict[str, list[str]]) -> list[list[str]]:
    """Parts of `names` that are connected among themselves, in order of their first."""
    root = {name: name for name in names}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for name in names:
        for reader in readers[name]:
            if reader in root:
                root[find(reader)] = find(name)
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(find(name), []).append(name)
    return list(parts.values())


# frames and folds ------------------------------------------------------------------------------------------


def tidy(items: Series, prefix: tuple[str, ...] = ()) -> Series:
    """Groups framed, repeats folded, in a series and in all below it."""
    runs: list[tuple[str | None, list[Item]]] = []
    for item in items:
        path = group_path(item)
        inside = path[: len(prefix)] == prefix and len(path) > len(prefix)
        key = path[len(prefix)] if inside else None
        if key is not None and runs and runs[-1][0] == key:
            runs[-1][1].append(item)
        else:
            runs.append((key, [item]))
    if len(runs) == 1 and runs[0][0] is not None:  # the whole series is one group: no frame in a frame
        return tidy(items, (*prefix, runs[0][0]))
    done: list[Item] = []
    for key, members in runs:
        if key is None:
            done.extend(inner(item) for item in members)
            continue
        content = tidy(tuple(members), (*prefix, key))
        done.extend(content if says_itself(content, key) else [Frame(key, content)])
    return fold(done)


def says_itself(content: Series, group: str) -> bool:
    """Whether a frame would add nothing: one block, or repeats that are called as their group is."""
    item = content[0]
    return len(content) == 1 and (
        isinstance(item, Block) or (isinstance(item, Fold) and item.names[0].startswith(group))
    )


def inner(item: Item) -> Item:
    """An item of several groups, tidied inside."""
    return Parallel(tuple(tidy_path(path) for path in item.paths)) if isinstance(item, Parallel) else item


def tidy_path(path: Path) -> Path:
    """A path tidied inside; one that ends by itself, such as an auxiliary head, shows its group."""
    groups = common(group_path(item) for item in path.items if not is_end(item))
    items = tidy(path.items, groups)
    if path.ends and groups and len(items) > 1:
        items = (Frame(groups[-1], items, ends=True),)
    return Path(items, path.begins, path.ends)


def is_end(item: Item) -> bool:
    """Whether this is an input or output of the model."""
    return isinstance(item, Block) and not item.members


def group_path(item: Item) -> tuple[str, ...]:
    """The groups that hold all of an item; none for what leads out of the model."""
    if isinstance(item, Parallel) and any(path.ends for path in item.paths):
        return ()
    return common(tuple(block.name.split("/")[:-1]) for block in blocks_of(item))


def common(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    longest: tuple[str, ...] | None = None
    for path in paths:
        if longest is None:
            longest = path
        while longest != path[: len(longest)]:
            longest = longest[:-1]
    return longest or ()


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


def fold(items: Sequence[Item]) -> Series:
    """Repeated patterns of items as one `Fold`, the repetition that covers most first."""
    forms = [form(item) for item in items]
    done: list[Item] = []
    at = 0
    while at < len(items):
        length, count = repetition(forms, at)
        if count > 1:
            everything = tuple(items[at : at + length * count])
            names = (name_of(items[at]), name_of(items[at + length * (count - 1)]))
            done.append(Fold(tuple(items[at : at + length]), count, names, everything))
        else:
            done.append(items[at])
        at += length * count
    return tuple(done)


def repetition(forms: Sequence[Hashable], at: int) -> tuple[int, int]:
    """(length, count) of the pattern that covers most from `at` on; (1, 1) where nothing repeats."""
    best = (1, 1)
    for length in range(1, LONGEST_PATTERN + 1):
        count = 1
        pattern = forms[at : at + length]
        while forms[at + length * count : at + length * (count + 1)] == pattern:
            count += 1
        if count > 1 and length * count > best[0] * best[1]:
            best = (length, count)
    return best


def form(item: Item) -> Hashable:
    """Equal for items that are built alike."""
    if isinstance(item, Block):
        return item.structure if item.members else (item.name,)
    if isinstance(item, Parallel):
        return tuple((path.begins, path.ends, *(form(each) for each in path.items)) for path in item.paths)
    if isinstance(item, Tangle):
        index: dict[str | None, int] = {block.name: place for place, block in enumerate(item.blocks)}
        edges = tuple((index.get(source), index.get(target)) for source, target in item.edges)
        return tuple(block.structure for block in item.blocks), edges
    count = item.count if isinstance(item, Fold) else 1
    return ("group", count, *(form(each) for each in item.items))


def name_of(item: Item) -> str:
    if isinstance(item, (Block, Frame)):
        return item.name.rpartition("/")[2]
    if isinstance(item, Fold):
        return item.names[0]
    path = group_path(item)
    return path[-1] if path else next(blocks_of(item)).name.rpartition("/")[2]
