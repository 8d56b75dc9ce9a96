"""Rules of pairs of names: what is written alike, but for numbers, becomes one rule with parts in braces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from graphc.name_rules import NameRule, RuleError

NUMBER = re.compile(r"(?<![0-9])(?:0|[1-9][0-9]{0,5})(?![0-9])", re.ASCII)
PARTS = "ijklmnopqrs"
"""Names of parts, in the order of their names."""
MAX_FACTOR = 9
"""Of a number here that is a multiple there, as where every second module of theirs is one of ours."""
Pair = tuple[str, str]


def rules_of(pairs: Sequence[Pair]) -> list[Pair]:
    """Few rules (theirs, ours) that give exactly these pairs; the first that fits a name holds.

    Those without parts come first, then those of larger numbers: a multiple of a number and more has no end. A
    RuleError where a name can be none.
    """
    for theirs, _ in pairs:
        if "{" in theirs or "}" in theirs:
            raise RuleError(f"{theirs}: brackets in a name would be parts of a rule")
    groups: dict[Pair, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((NUMBER.sub("#", pair[0]), NUMBER.sub("#", pair[1])), []).append(pair)
    found = {rule: of for group in groups.values() for rule, of in _of_group(group)}
    ours = dict(pairs)
    while True:
        rules = sorted(found, key=lambda rule: (rule[0].count("{"), -_smallest(found[rule])))
        wrong = _taken_wrongly(rules, ours)
        if wrong is None:
            return rules
        found |= {pair: [pair] for pair in found.pop(wrong)}


def _smallest(pairs: Sequence[Pair]) -> int:
    return min((int(found[0]) for theirs, _ in pairs if (found := NUMBER.findall(theirs))), default=0)


def _taken_wrongly(rules: Sequence[Pair], names: Mapping[str, str]) -> Pair | None:
    """A rule that takes a name which is another's."""
    made = [(NameRule.of(*rule), rule) for rule in rules]
    for name, ours in names.items():
        said, rule = next((said, each) for made_rule, each in made if (said := made_rule.to_ours(name)) is not None)
        if said != ours:
            return rule
    return None


def _of_group(group: Sequence[Pair]) -> Iterator[tuple[Pair, Sequence[Pair]]]:
    """Rules of pairs that are alike but for numbers, with the pairs of each: one, or one for each value of a number
    that keeps them apart."""
    rule = group[0] if len(group) == 1 else _general(group)
    if rule is not None:
        yield rule, group
        return
    numbers = [NUMBER.findall(pair[0]) + NUMBER.findall(pair[1]) for pair in group]
    values = [set(column) for column in zip(*numbers, strict=True)]
    apart = [place for place, each in enumerate(values) if len(each) > 1]
    if not apart:
        yield from ((pair, [pair]) for pair in group)
        return
    place = min(apart, key=lambda each: len(values[each]))
    parts: dict[str, list[Pair]] = {}
    for pair, each in zip(group, numbers, strict=True):
        parts.setdefault(each[place], []).append(pair)
    for part in parts.values():
        yield from _of_group(part)


def _general(group: Sequence[Pair]) -> Pair | None:
    """One rule for all: each number of ours is one of theirs, and a difference, or always the same; None where it is
    not so, or where a number of theirs that is not always the same is none of ours."""
    theirs = list(zip(*([int(each) for each in NUMBER.findall(pair[0])] for pair in group), strict=True))
    ours = list(zip(*([int(each) for each in NUMBER.findall(pair[1])] for pair in group), strict=True))
    parts: dict[int, tuple[str, str]] = {}
    texts: list[str] = []
    for place, column in enumerate(ours):
        if len(set(column)) == 1:
            texts.append(str(column[0]))
            continue
        candidates = sorted(range(len(theirs)), key=lambda each: (each != place, each))
        of = next((each for each in candidates if _line(theirs[each], column) is not None), None)
        line = None if of is None else _line(theirs[of], column)
        if of is None or line is None or len(parts) == len(PARTS):
            return None
        name = parts[of][0] if of in parts else PARTS[len(parts)]
        their_part, our_part = _parts(name, *line)
        if parts.setdefault(of, (name, their_part))[1] != their_part:
            return None
        texts.append(our_part)
    if any(len(set(column)) > 1 and place not in parts for place, column in enumerate(theirs)):
        return None
    named = [parts[place][1] if place in parts else str(column[0]) for place, column in enumerate(theirs)]
    return _filled(group[0][0], named), _filled(group[0][1], texts)


def _line(theirs: Sequence[int], ours: Sequence[int]) -> tuple[int, int] | None:
    """(factor, offset) with theirs = factor*ours + offset, the smallest factor; None where there is none."""
    for factor in range(1, MAX_FACTOR + 1):
        offsets = {other - factor * mine for other, mine in zip(theirs, ours, strict=True)}
        if len(offsets) == 1 and abs(offset := offsets.pop()) < 1000 and (factor == 1 or len(set(ours)) > 2):
            return factor, offset
    return None


def _parts(name: str, factor: int, offset: int) -> tuple[str, str]:
    """How a number is written on their side and on ours."""
    if factor == 1:
        return f"{{{name}}}", f"{{{name}{-offset:+d}}}" if offset else f"{{{name}}}"
    return f"{{{factor}*{name}{offset:+d}}}" if offset else f"{{{factor}*{name}}}", f"{{{name}}}"


def _filled(name: str, numbers: Sequence[str]) -> str:
    """The name with other texts for its numbers."""
    each = iter(numbers)
    return NUMBER.sub(lambda _: next(each), name)
