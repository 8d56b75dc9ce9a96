"""`graphc show --arena`: where each tensor lies in one block of memory, and while which layers run."""

from __future__ import annotations

from graphc.graph import Plan
from graphc.passes.arena import arena
from graphc.report.show import dim_path, headline
from graphc.report.tables import Look, bytes_text, render

COLUMNS = ("tensor", "bytes", "offset", "written by", "last read by")


def arena_table(plan: Plan, form: str, itemsize: int) -> str:
    """The tensors in the order in which they are written, and the size of the block; numbers have `itemsize` bytes."""
    found = arena(plan, itemsize)
    names = [planned.node.name for planned in plan.nodes]

    def layer(step: int) -> str:
        return "" if step < 0 or step == len(names) else names[step]

    rows = [[each.name, each.bytes, each.offset, layer(each.first), layer(each.last)] for each in found.tensors]
    total = ["total", found.size, None, None, None]
    cells = {"tensor": dim_path, "written by": dim_path, "last read by": dim_path}
    words = " ".join(bytes_text(found.size).split())
    note = f"{words} hold all tensors of one example; {found.live:,} bytes are alive at once"
    return render(COLUMNS, rows, form, total=total, look=Look(cells, ("written by",), headline(plan), (note,)))
