"""The same blocks for other drawing tools: Graphviz and Mermaid."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.dims import format_shape
from graphc.graph import Plan
from graphc.report.families import ACCENTS
from graphc.report.picture.blocks import Block, blocks, tooltip


def draw_dot(plan: Plan) -> str:
    """Graphviz: one node a block, one cluster an outermost group."""
    found = blocks(plan)
    index = {block.name: number for number, block in enumerate(found)}
    lines = [f"digraph {quoted(plan.graph.name)} {{", '  node [shape=box style=rounded fontname="sans-serif"]']
    for group, members in groups(found):
        inside = "    " if group else "  "
        if group:
            lines.append(f"  subgraph {quoted('cluster ' + group)} {{")
            lines.append(f"    label={quoted(group)}")
        for block in members:
            colour = ACCENTS[block.family].light
            text = quoted("\n".join(texts(block)))
            hint = quoted(tooltip(block))
            lines.append(f'{inside}b{index[block.name]} [label={text} color="{colour}" tooltip={hint}]')
        if group:
            lines.append("  }")
    lines.extend(f"  b{index[source]} -> b{index[block.name]}" for block in found for source in block.inputs)
    return "\n".join([*lines, "}\n"])


def draw_mermaid(plan: Plan) -> str:
    """Mermaid: a flowchart, one subgraph an outermost group."""
    found = blocks(plan)
    index = {block.name: number for number, block in enumerate(found)}
    lines = ["flowchart TD"]
    for number, (group, members) in enumerate(groups(found)):
        if group:
            lines.append(f"  subgraph g{number} [{label([group])}]")
        lines.extend(f"    b{index[block.name]}[{label(texts(block))}]:::{block.family}" for block in members)
        if group:
            lines.append("  end")
    lines.extend(f"  b{index[source]} --> b{index[block.name]}" for block in found for source in block.inputs)
    there = {block.family for block in found}
    lines.extend(f"  classDef {name} stroke:{accent.light}" for name, accent in ACCENTS.items() if name in there)
    return "\n".join(lines) + "\n"


def texts(block: Block) -> list[str]:
    shape = format_shape(block.shape)
    if not block.members:
        return [block.title, shape]
    return [block.name, " · ".join([block.title, *block.extras]), shape]


def groups(found: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """(outermost group, its blocks); an empty name for blocks in none."""
    by_name: dict[str, list[Block]] = {}
    for block in found:
        by_name.setdefault(block.name.split("/")[0] if "/" in block.name else "", []).append(block)
    return list(by_name.items())


def quoted(text: str) -> str:
    """A Graphviz string; newlines as \\n."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def label(lines: Sequence[str]) -> str:
    """A Mermaid text: quotes and tags as entities, lines by <br/>."""
    safe = (line.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;") for line in lines)
    return f'"{"<br/>".join(safe)}"'
