"""Behind each entry of a list of layers: the shape of its output, sums of what is inside it, and by choice more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from graphc.errors import counted
from graphc.graph import PlannedNode
from graphc.lsp.analysis import Analysis
from graphc.lsp.facts import Facts, field_size, shapes_of, short, total
from graphc.lsp.outline import Outline, WrittenEntry
from graphc.lsp.types import Hint, HintChoice, Position

MOST = 8
"""Different hints of one line that are shown."""


def hints(analysis: Analysis, choice: HintChoice, first: int = 0, last: int | None = None) -> list[Hint]:
    """The hints of the entries that begin in these lines (from 0, the last one included), in their order."""
    if analysis.plan is None or analysis.kind == "recipe":
        return []
    facts = Facts(analysis.plan, analysis.outline)
    found: dict[Position, dict[str, str]] = {}
    ends = _Ends(analysis.outline)
    for entry in analysis.outline.entries:
        line = entry.place.line - 1
        if line < first or (last is not None and line > last):
            continue
        for text, tooltip in _told(facts, entry, choice):
            told = found.setdefault(ends.of(entry), {})
            if text and len(told) <= MOST:
                told.setdefault(text, tooltip)
    return [
        Hint(position, "; ".join(_few(told)), "\n".join(_few(told.values())))
        for position, told in sorted(found.items())
        if told
    ]


def _few(texts: Iterable[str]) -> list[str]:
    """As many as are shown."""
    shown = list(texts)
    return [*shown[:MOST], "…"] if len(shown) > MOST else shown


class _Ends:
    """Where the hints of entries stand: behind what their first line says, before a comment."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.known: tuple[int, int, Position] | None = None
        """The last answer, for all columns of its line from one on and before another."""

    def of(self, entry: WrittenEntry) -> Position:
        line, column = entry.place.line - 1, self.outline.text.span_at(entry.place).end.column
        if self.known is None or self.known[2].line != line or not self.known[0] <= column <= self.known[1]:
            text = self.outline.text.line(line)
            comment = text.find(" #", column)
            end = Position(line, len((text[:comment] if comment >= 0 else text).rstrip()))
            self.known = column, comment if comment >= 0 else len(text), end
        return self.known[2]


def _told(facts: Facts, entry: WrittenEntry, choice: HintChoice) -> Iterator[tuple[str, str]]:
    """The hint of an entry and what is said about it; nothing where nothing is known."""
    uses = facts.made_by(entry)
    nodes = [each for use in uses for each in use]
    own = facts.layers_at(entry.place)
    if own and not entry.is_compound:
        names = {each.node.name for each in own}
        followers = [each for each in nodes if not names.isdisjoint(_groups_of(each.node.name))]
        yield _line(own, [*own, *followers], choice), _tip(own)
    elif nodes:
        outputs = [facts.output_of(use) for use in uses]
        shown = [each for each in outputs if each is not None]
        yield _line(shown if len(shown) == len(uses) else [], nodes, _sums(choice)), _count(uses)


def _groups_of(name: str) -> list[str]:
    """The names that a layer's name lies below: a and a/b of a/b/c."""
    return [name[:at] for at, letter in enumerate(name) if letter == "/"]


def _sums(choice: HintChoice) -> HintChoice:
    """What is shown of several layers: their sums, unless nobody wants them."""
    if not choice.sums:
        return choice
    return HintChoice(params=True, macs=True, receptive_field=choice.receptive_field)


def _count(uses: Sequence[Sequence[PlannedNode]]) -> str:
    layers = counted(sum(map(len, uses)), "layer")
    return layers if len(uses) == 1 else f"{layers}, made {len(uses)} times"


def _line(shown: Sequence[PlannedNode], of: Sequence[PlannedNode], choice: HintChoice) -> str:
    parts = [shapes_of(shown)] if shown else []
    if choice.params and (params := sum(each.param_count for each in of)):
        parts.append(f"{short(params)} params")
    if choice.macs and (macs := total(each.macs for each in of)) != 0:
        parts.append(f"{short(macs)} MACs")
    if choice.receptive_field and shown and (size := field_size(shown[-1].receptive_field)):
        parts.append(f"RF {size}")
    return ", ".join(parts)


def _tip(own: Sequence[PlannedNode]) -> str:
    names = ", ".join(each.node.name for each in own[:6])
    return names + (f" and {len(own) - 6} more" if len(own) > 6 else "")
