"""A file's keys laid over those of the files that it extends and includes.

Most keys replace what is below; `MERGED` ones are laid key by key, and `pretrained:` source by source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.spec.source import SpecList, SpecMap

OWN_KEYS = (
    "graphc", "name", "scope", "vars", "inputs", "arg_scopes", "arg_scope", "blocks", "layers", "outputs",
    "end_points", "expect", "pretrained",
)  # fmt: skip
"""What a spec says itself; its other keys name files."""
MERGED = ("vars", "inputs", "arg_scopes", "blocks", "outputs", "expect")
DROPPED = ("inputs", "blocks", "outputs", "expect", "pretrained")
"""Where null takes away what the base has; of a variable or a scope it is a value."""
ARITHMETIC = ("inputs", "arg_scopes", "arg_scope", "blocks", "layers")
"""Where a spec has its own of these, whose weights its base took is no claim about it."""
PRETRAINED = "pretrained"


def size(tree: SpecMap) -> int:
    """How many keys, and rules of names, are copied where a file's keys are laid over others."""
    sources = tree.get(PRETRAINED)
    named = [each for each in sources.values() if isinstance(each, SpecMap)] if isinstance(sources, SpecMap) else []
    merged = [tree[key] for key in MERGED if isinstance(tree.get(key), SpecMap)]
    rules = [each["rules"] for each in named if isinstance(each.get("rules"), SpecList)]
    return len(tree) + sum(len(each) for each in (*merged, *named, *rules))


def lay_own(below: SpecMap, own: SpecMap) -> None:
    """Lay a file's own keys on all that it extends and includes, in place."""
    if any(key in own for key in ARITHMETIC):
        _drop_claims(below)
    overlay(below, own, OWN_KEYS)


def overlay(result: SpecMap, over: SpecMap, keys: Sequence[str]) -> None:
    """Lay the keys of `over` on `result`, in place, the merged ones key by key; null drops what is there."""
    for key in keys:
        if key not in over:
            continue
        value: Any = over[key]
        below = result.get(key)
        if key in MERGED and isinstance(value, SpecMap) and isinstance(below, SpecMap):
            both = SpecMap.empty(value.place)
            gone = [name for name in below if key in DROPPED and value.get(name, "") is None]
            for each in (below, value):
                for name, item in each.items():
                    if name not in gone:
                        both.put(name, item, each.key_places[name], each.places[name])
            value = both
        if key == PRETRAINED and isinstance(value, SpecMap) and isinstance(below, SpecMap):
            value = _with_sources(below, value)
        result.put(key, value, over.key_places[key], over.places[key])


def _with_sources(below: SpecMap, over: SpecMap) -> SpecMap:
    """Sources laid over others of the same names, key by key; both have rules, the upper ones first; null drops one."""
    found = below.copy()
    for name, source in over.items():
        base = below.get(name)
        if source is None:
            found.pop(name, None)
            continue
        both = _laid(base, source) if isinstance(source, SpecMap) and isinstance(base, SpecMap) else source
        found.put(name, both, over.key_places[name], over.places[name])
    return found


def _laid(below: SpecMap, over: SpecMap) -> SpecMap:
    both = below.copy()
    for key, value in over.items():
        rules = _rules(over, below) if key == "rules" and key in below else value
        both.put(key, rules, over.key_places[key], over.places[key])
    return both


def _rules(*sources: SpecMap) -> SpecList:
    """The rules of several sources as one list."""
    found = SpecList([], sources[0].places["rules"], [])
    for source in sources:
        written, place = source["rules"], source.places["rules"]
        items = zip(written, written.places, strict=True) if isinstance(written, SpecList) else [(written, place)]
        for item, where in items:
            found.put(item, where)
    return found


def _drop_claims(tree: SpecMap) -> None:
    """Leave how weights are called, not whose they are."""
    written = tree.get(PRETRAINED)
    if not isinstance(written, SpecMap):
        return
    kept = written.copy()
    for name, source in written.items():
        if isinstance(source, SpecMap) and "nets" in source:
            rest = source.copy()
            rest.pop("nets")
            kept.put(name, rest, written.key_places[name], written.places[name])
    tree.put(PRETRAINED, kept, tree.key_places[PRETRAINED], tree.places[PRETRAINED])
