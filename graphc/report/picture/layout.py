"""Series of blocks -> boxes with places: everything is measured from the inside out, then drawn from the outside in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.dims import format_shape
from graphc.report.picture.blocks import Block, tooltip
from graphc.report.picture.box import ASIDE, GAP, LANE, Box
from graphc.report.picture.canvas import Canvas, pill, text_width
from graphc.report.picture.items import Fold, Frame, Item, Parallel, Path, Series, blocks_of
from graphc.report.picture.ranks import ranked
from graphc.report.tables import short

FRAME = 9.0
"""Between a frame and what is in it."""
LABEL = 18.0
"""Height of a frame's name."""


@dataclass(frozen=True, slots=True)
class Style:
    names: bool
    """Whether blocks show their layers' names, or have them in the tooltip alone."""


def measure(item: Item, style: Style) -> Box:
    if isinstance(item, Block):
        return block_box(item, style)
    if isinstance(item, Parallel):
        return parallel_box(item, style)
    if isinstance(item, Frame):
        return frame_box(series_box(item.items, style), item.name, hint(item), ends=item.ends)
    if isinstance(item, Fold):
        return fold_box(item, style)
    return ranked(item, {block.name: block_box(block, style) for block in item.blocks})


# blocks ----------------------------------------------------------------------------------------------------


def block_box(
    block: Block, style: Style, badge: str = "", name: str = "", words: str = "", params: int | None = None
) -> Box:
    """`badge`, `name`, `words` and `params` are those of a repeat, drawn as its first."""
    cost = short(block.params) if params is None else f"{short(params)} in all"
    texts = block_texts(block, style, name, cost if (block.params if params is None else params) else "")
    sizes = {"t": 10.5, "n": 11.5, "m": 9.0}
    width = max(text_width(line, sizes[kind]) for kind, line in texts) + 17
    if badge:
        width += 12
    height = 12.0 * len(texts) + 8

    def draw(canvas: Canvas, x: float, y: float) -> None:
        canvas.block((x, y, width, height), block.family, texts, words or tooltip(block), block.name, badge)

    is_end = not block.members
    return Box(width, height, width / 2, draw, begins=is_end and not block.inputs, ends=is_end and bool(block.inputs))


def block_texts(block: Block, style: Style, name: str, cost: str) -> list[tuple[str, str]]:
    """Lines of a block as (class, words): n a name, t a title, m less important; `cost`: its parameters, in words."""
    shape = format_shape(block.shape)
    if not block.members:
        return [("n", block.title), ("m", shape)]
    extras = " · ".join(block.extras)
    if block.family == "group":
        return [("n", block.title), ("m", f"{extras} · {shape}")]
    if style.names:
        shown = name or block.name.rpartition("/")[2]
        first = [("n", shown)] if shown != block.members[0].node.layer.kind else []
        title = f"{block.title} · {extras}" if extras else block.title
        return [*first, ("t", title), ("m", f"{shape} · {cost}" if cost else shape)]
    return [("t", block.title), ("m", extras or shape)]


# series, paths, frames, repeats ----------------------------------------------------------------------------


def series_box(items: Series, style: Style) -> Box:
    return stack([measure(item, style) for item in items])


def stack(boxes: Sequence[Box]) -> Box:
    """Boxes below each other on one axis, with lines between them."""
    axis = max((box.axis for box in boxes), default=LANE / 2)
    right = max((box.width - box.axis for box in boxes), default=LANE / 2)
    tops: list[float] = []
    y = 0.0
    for index, box in enumerate(boxes):
        if index:
            y += gap(boxes[index - 1], box)
        tops.append(y)
        y += box.height

    def draw(canvas: Canvas, x: float, top: float) -> None:
        for index, (box, offset) in enumerate(zip(boxes, tops, strict=True)):
            box.draw(canvas, x + axis - box.axis, top + offset)
            if index and not box.begins and not boxes[index - 1].ends:
                end = top + tops[index - 1] + boxes[index - 1].height
                canvas.connect(x + axis, end, x + axis, top + offset, top + offset, box.arrow)

    if not boxes:
        return Box(LANE, 0, LANE / 2, draw, solid=False, arrow=False)
    return Box(axis + right, y, axis, draw, boxes[0].solid, boxes[0].arrow, boxes[0].begins, boxes[-1].ends)


def gap(above: Box, below: Box) -> float:
    """Pixels between two boxes of a series; paths side by side have room for their lines inside."""
    return GAP if above.solid and below.solid else 3.0


def parallel_box(item: Parallel, style: Style) -> Box:
    boxes = [series_box(path.items, style) for path in item.paths]
    begins, ends = all(path.begins for path in item.paths), all(path.ends for path in item.paths)
    above = 0.0 if begins else GAP
    below = 0.0 if ends else GAP + 2
    lefts: list[float] = []
    x = 0.0
    for box in boxes:
        lefts.append(x)
        x += box.width + ASIDE
    width, height = x - ASIDE, above + max(box.height for box in boxes) + below
    axis = axis_of(item.paths, [left + box.axis for left, box in zip(lefts, boxes, strict=True)])

    def draw(canvas: Canvas, x: float, y: float) -> None:
        for path, box, left in zip(item.paths, boxes, lefts, strict=True):
            at = x + left + box.axis
            box.draw(canvas, x + left, y + above)
            if not path.begins:
                canvas.connect(x + axis, y, at, y + above, y + 5, box.arrow)
            if not path.items:
                canvas.connect(at, y + above, at, y + above + box.height, y, False)
            if not path.ends:
                canvas.connect(at, y + above + box.height, x + axis, y + height, y + height - 7, False)

    return Box(width, height, axis, draw, solid=False, arrow=False, begins=begins, ends=ends)


def axis_of(paths: Sequence[Path], axes: Sequence[float]) -> float:
    """The main path's axis where there is one, else the middle between the outermost."""
    going_on = [axis for path, axis in zip(paths, axes, strict=True) if not path.ends]
    working = [axis for path, axis in zip(paths, axes, strict=True) if not path.ends and path.items]
    main = working if len(working) == 1 else going_on or list(axes)
    return (main[0] + main[-1]) / 2


def frame_box(inside: Box, label: str, words: str, badge: str = "", ends: bool = False) -> Box:
    """A box in a named frame; the name keeps clear of the line that enters on the axis."""
    named = text_width(label, 10.5) + 16 if label else 0.0
    left = max(FRAME, named - inside.axis)
    width = left + inside.width + FRAME
    above = LABEL if inside.solid else LABEL - 7
    height = above + inside.height + FRAME
    if badge:
        width += max(0.0, 14 - (inside.width - inside.axis))
    axis = left + inside.axis
    ends = ends or inside.ends

    def draw(canvas: Canvas, x: float, y: float) -> None:
        canvas.frame(x, y, width, height, label, words)
        inside.draw(canvas, x + left, y + above)
        if not inside.begins:
            canvas.connect(x + axis, y, x + axis, y + above, y, inside.arrow)
        if not ends:
            canvas.connect(x + axis, y + above + inside.height, x + axis, y + height, y, False)
        if badge:
            canvas.blocks.append(f'<g class="b">{pill(x + width, y + 1, badge)}</g>')

    return Box(width, height, axis, draw, arrow=False, begins=inside.begins, ends=ends)


def fold_box(item: Fold, style: Style) -> Box:
    """What is repeated, once, with how often."""
    badge, names = f"×{item.count}", from_to(*item.names)
    first = item.items[0]
    last = item.everything[-1]
    if len(item.items) == 1 and isinstance(first, Block) and isinstance(last, Block):
        words = f"{names}, {item.count} times\n{tooltip(first)}\n{hint(item)}"
        params = sum(block.params for block in blocks_of(item))
        box = block_box(replace(first, shape=last.shape), style, badge, names, words, params)
        return Box(box.width, box.height + 4, box.axis, box.draw)
    inside = first.items if isinstance(first, Frame) and len(item.items) == 1 else item.items
    named = style.names or isinstance(first, Frame)
    return frame_box(series_box(inside, style), names if named else "", f"{names}\n{hint(item)}", badge)


def from_to(first: str, last: str) -> str:
    """`unit_2 … 5`: of the last name only what differs, whole numbers whole."""
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), 0)
    while same and last[same - 1].isdigit():
        same -= 1
    return f"{first} … {last[same:]}"


def hint(item: Item) -> str:
    """Sums over a group."""
    members = list(blocks_of(item))
    params = sum(block.params for block in members)
    macs = [block.macs for block in members]
    total = None if None in macs else sum(value or 0 for value in macs)
    layers = sum(len(block.members) for block in members)
    return f"{layers} layers, {params:,} parameters, {short(total)} MACs"
