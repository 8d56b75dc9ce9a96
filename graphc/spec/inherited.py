"""What a spec takes over of the `pretrained:` of its bases."""

from __future__ import annotations

from graphc.spec.source import SpecList, SpecMap

KEY = "pretrained"


def with_sources(below: SpecMap, over: SpecMap) -> SpecMap:
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


def drop_claims(tree: SpecMap) -> None:
    """Leave how weights are called, not whose they are."""
    written = tree.get(KEY)
    if not isinstance(written, SpecMap):
        return
    kept = written.copy()
    for name, source in written.items():
        if isinstance(source, SpecMap) and "nets" in source:
            rest = source.copy()
            rest.pop("nets")
            kept.put(name, rest, written.key_places[name], written.places[name])
    tree.put(KEY, kept, tree.key_places[KEY], tree.places[KEY])
