"""A recipe as it was written: where its parts stand, and what `--set` changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import Place, SpecError
from graphc.spec.source import SpecList, SpecMap, load_text, resolve


def place_in(tree: Any, keys: Sequence[int | str], of_key: bool = False) -> Place | None:
    """The place of the deepest part of a path that was written: of the value there, or of its key."""
    place: Place | None = tree.place
    for key in keys:
        if isinstance(tree, SpecMap) and key in tree:
            place = (tree.key_places if of_key else tree.places)[str(key)]
            tree = tree[str(key)]
        elif isinstance(tree, SpecList) and isinstance(key, int) and key < len(tree):
            place, tree = tree.places[key], tree[key]
        else:
            break
    return place


def overridden(tree: SpecMap, text: str) -> SpecMap:
    """The tree with `key.path=value`; what an alias puts in other places too stays there as it is."""
    where = Place("--set")
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise SpecError("G605", f"expected KEY=VALUE, found {text!r}", where)
    *above, last = path.split(".")
    found = branch = tree.copy()
    for key in above:
        inner = branch.get(key)
        if isinstance(inner, SpecMap):
            branch.put(key, inner := inner.copy(), branch.key_places[key], branch.places[key])
        else:
            branch.put(key, inner := SpecMap.empty(where), where, where)
        branch = inner
    grouped = value[:1] in ("{", "[")
    parsed = load_text(value, "--set", number_keys=True) if grouped else resolve(value, where)
    branch.put(last, parsed, where, where)
    return found
