"""`graphc explain`: where each effective argument of a layer comes from; what a kind or a key means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphc.documented import flow, written
from graphc.errors import SpecError, did_you_mean
from graphc.graph import Node, Plan
from graphc.passes.truncate import find_layer
from graphc.report.codes import explain_code, is_code
from graphc.report.tables import render
from graphc.report.vocabulary import find, words
from graphc.report.words import Setting, Word
from graphc.settings import meant
from graphc.spec.entry import Argument
from graphc.spec.library import library
from graphc.spec.schema import argument_order
from graphc.spec.zoo import SUFFIXES, zoo_names

LIBRARY = "blocks"
"""The key of a spec with which the library's blocks are shown."""


def explain_layer(plan: Plan, target: str, form: str) -> str:
    """`LAYER` or `LAYER.ARG`: value, place and source of each argument."""
    name, argument = layer_and_argument(plan, target)
    node = plan.by_name[name].node
    rows = argument_rows(node)
    if argument:
        known = [row[0] for row in rows]
        if argument not in known:
            hint = did_you_mean(argument, known)
            raise SpecError("G111", f"{node.layer.kind} has no argument {argument!r}{hint}")
        rows = [row for row in rows if row[0] == argument]
    if form != "json":
        rows = [[name, show(value), source] for name, value, source in rows]
    table = render(("argument", "value", "from"), rows, form)
    if form != "table":
        return table
    head = f"{node.name}: {node.layer.kind}, written at {node.place}\n"
    trail = "".join(f"  {step}\n" for step in node.trail)
    reads = f"  reads {', '.join(node.inputs)}\n"
    below = [f"{each.name} ({each.layer.kind})" for each in plan.graph.nodes if belongs(each, node)]
    followed = f"  followed by {', '.join(below)}\n" if below else ""
    return head + trail + reads + followed + table


def layer_and_argument(plan: Plan, target: str) -> tuple[str, str]:
    """A layer, and after a dot one of its arguments; a layer's own name may have dots in it."""
    whole, _, argument = target.rpartition(".")
    for name, after in ((target, ""), (whole, argument)):
        if name in plan.by_name:
            return name, after
    try:
        return find_layer(plan.graph, target), ""
    except SpecError:
        if not whole:
            raise
        return find_layer(plan.graph, whole), argument


def belongs(node: Node, layer: Node) -> bool:
    """Whether a node is the normalizer or the activation of a layer."""
    return bool(layer.followed_by) and node.name.startswith(f"{layer.name}/")


def argument_rows(node: Node) -> list[list[Any]]:
    """Every argument in force: its name, its value as it would be written, and where it came from."""
    layer = node.layer
    given = {**node.arguments, **node.followed_by}
    rows = []
    for name in (*argument_order(type(layer)), *layer.accepts):
        if name in node.followed_by:
            value = node.followed_by[name].value
        else:
            value = None if name in layer.accepts else written(layer.in_force(name))
        rows.append([name, value, source_of(given[name]) if name in given else f"default of {layer.kind}"])
    return rows


def source_of(argument: Argument) -> str:
    place = argument.place
    return argument.source if place is None or str(place) in argument.source else f"{argument.source} at {place}"


def explain_word(name: str, form: str) -> str:
    """What a kind, a key or the code of an error means; of a word what it takes, in each of its senses."""
    if is_code(name):
        return explain_code(name, form)
    senses = find(name)
    if not senses:
        return explain_argument(name, form)
    if form != "table":
        rows = [[*row_of(each), word.vocabulary] for word in senses for each in word.settings]
        return render(("argument", "type", "default", "meaning", "of"), rows, form)
    return "\n".join([*map(described, senses), *([described_library()] if name == LIBRARY else [])])


def explain_argument(name: str, form: str) -> str:
    """What a word means as an argument of kinds."""
    rows = [
        [f"{word.name} ({word.vocabulary})", *row_of(each)[1:]]
        for word in words()
        for each in word.settings
        if each.name == name and not word.is_key
    ]
    if not rows:
        raise unknown(name)
    table = render(("argument of", "type", "default", "meaning"), rows, form)
    return table if form != "table" else f"{name}: argument\n{table}"


def row_of(setting: Setting) -> list[str]:
    return [setting.name, setting.type, setting.default, setting.meaning]


def described(word: Word) -> str:
    """One sense of a word, as a page of its own."""
    lines = [f"{word.name}: {word.vocabulary}", *(f"  {line}" for line in word.meaning.splitlines())]
    if word.note:
        lines.append(f"  {word.note}")
    if word.settings:
        lines.append(render(("argument", "type", "default", "meaning"), list(map(row_of, word.settings)), "table"))
    if word.example:
        lines.append(f"  for example: {word.example}")
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"


def described_library() -> str:
    """The blocks that come with graphc, in a table."""
    rows = [[name, included, block.description] for name, (included, block) in library().items()]
    return f"blocks that come with graphc\n{render(('block', 'include', 'meaning'), rows, 'table')}"


def unknown(name: str) -> SpecError:
    """The error for a word that nothing means."""
    if name in zoo_names() or Path(name).suffix in SUFFIXES:
        return SpecError("G110", f"{name} is a spec: say which layer, graphc explain {name} LAYER")
    hint = meant(name, sorted({word.name for word in words()}))
    return SpecError("G110", f"no kind and no key is named {name!r}{hint}; for a layer: graphc explain SPEC LAYER")


def show(value: Any, length: int = 80) -> str:
    text = value if isinstance(value, str) else flow(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."
