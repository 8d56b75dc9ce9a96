"""Frames around groups, repeats folded: in a series and in all below it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from graphc.report.picture.blocks import Block
from graphc.report.picture.items import Fold, Frame, Item, Parallel, Path, Series, Tangle, blocks_of, is_end

LONGEST_PATTERN = 6
"""Items in the longest pattern whose repetition is looked for."""


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
