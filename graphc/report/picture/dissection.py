"""A graph of blocks -> series of blocks and of paths side by side.

Where a value is read by several, paths go side by side until all of them have met: at the reader's immediate
post-dominator. A path that leads to an output of its own, and never meets the others, ends where it ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from graphc.report.picture.blocks import Block
from graphc.report.picture.items import Item, Parallel, Path, Series, Tangle

START, END = "", "\0"
"""A point before all inputs and one after all outputs; never drawn."""


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
        gone: set[str] = set()
        for part in components(aside, self.readers):
            parents = {source for name in part for source in self.sources[name]} - set(part)
            if len(parents) != 1 or parents == {START}:
                continue
            parent = parents.pop()
            inner = Dissection([self.blocks[name] for name in part], {parent})
            self.sides.setdefault(parent, []).append(Path(inner.series(), ends=True))
            gone.update(part)
        for parent in self.sides:
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
