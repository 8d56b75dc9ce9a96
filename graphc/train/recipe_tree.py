"""A recipe as it was written: where its parts stand, and what `--set` changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphc.errors import GraphcError, Place, SpecError, clipped
from graphc.files import read_limited
from graphc.spec.scalars import resolve
from graphc.spec.source import Limits, SpecList, SpecMap, decode, load_text
from graphc.spec.syntax import unprintable
from graphc.spec.zoo import zoo_names

LIMITS = Limits(depth=24, nodes=30_000)
"""Of recipes and sweeps: those that people write have some hundreds of keys and values. run.json holds a recipe a few
levels deeper, and has to be read back."""
LARGEST = 3e38
"""Of numbers: float32 holds them."""
LONGEST = 4_096
"""Characters of a key or a text: as many as a path may have."""
LONGEST_ALPHABET = 65_536
"""Of a text under the key `alphabet`, which lists characters."""
SAYS_RECIPE = re.compile(r"""^[{ ]{0,9}["']?recipe["']? {0,9}:""", re.MULTILINE)


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
        raise SpecError("G605", f"expected KEY=VALUE, found {clipped(text)}", where)
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
    parsed = load_text(value, "--set", LIMITS, number_keys=True) if grouped else resolve(value, where)
    branch.put(last, parsed, where, where)
    return found


def check_bounds(tree: SpecMap) -> None:
    """A SpecError where a text is too long or not printable, a number one that float32 does not hold, or where `--set`
    has made the tree deeper or larger than a file's may be; `tree` is what a file's limits allow, with the values of
    some `--set`."""
    level: list[tuple[Any, Place | None]] = [(tree, tree.place)]
    nodes = letters = 0
    for _ in range(LIMITS.depth):
        inside: list[tuple[Any, Place | None]] = []
        for branch, _place in level:
            if isinstance(branch, SpecMap):
                for key, value in branch.items():
                    letters += _checked(key, LONGEST, branch.key_places[key])
                    letters += _checked(value, LONGEST_ALPHABET if key == "alphabet" else LONGEST, branch.places[key])
                    inside.append((value, branch.places[key]))
            elif isinstance(branch, SpecList):
                for value, place in zip(branch, branch.places, strict=True):
                    letters += _checked(value, LONGEST, place)
                    inside.append((value, place))
            if letters > LIMITS.file_bytes:
                raise SpecError("G108", f"more than {LIMITS.file_bytes:,} characters in texts", inside[-1][1])
        nodes += len(inside)
        if nodes > LIMITS.nodes:
            raise SpecError("G108", f"more than {LIMITS.nodes:,} keys and values", inside[-1][1])
        level = [each for each in inside if isinstance(each[0], SpecMap | SpecList)]
    if level:
        raise SpecError("G108", f"nested deeper than {LIMITS.depth} levels", level[0][1])


def _checked(value: Any, longest: int, place: Place | None) -> int:
    """The characters of a text."""
    if isinstance(value, float) and abs(value) > LARGEST:
        raise SpecError("G604", f"expected a number that float32 holds, up to {LARGEST:g}, found {value:g}", place)
    if not isinstance(value, str):
        return 0
    if len(value) > longest:
        message = f"expected a text of at most {longest:,} characters, found one of {len(value):,}"
        raise SpecError("G604", message, place)
    if refused := unprintable(value):
        raise SpecError("G604", f"expected printable text, found U+{ord(refused[0]):04X} in it", place)
    return len(value)


def is_recipe(path: Path | str) -> bool:
    """Whether a file says that it is a recipe; False where it cannot be read."""
    content = ""
    try:
        content = decode(read_limited(path, LIMITS.file_bytes), str(path))
        tree = load_text(content, str(path), LIMITS, number_keys=True)
    except SpecError as error:
        return error.code == "G108" and SAYS_RECIPE.search(content) is not None  # which `read_recipe` refuses in turn
    except GraphcError:
        return False
    return isinstance(tree, SpecMap) and "recipe" in tree


def refuse_zoo_names(path: Path | str) -> None:
    """A SpecError where a recipe's path is the name of a spec of the zoo."""
    if str(path) in zoo_names() and not Path(path).exists():
        made = f"`graphc new {path} --recipe --data FOLDER` writes one for it"
        raise SpecError("G605", f"expected a recipe's file, found {path}, a spec of the zoo: {made}")


def refuse_specs(tree: Any, path: str) -> None:
    """A SpecError where a recipe's tree is no mapping, or a spec."""
    if not isinstance(tree, SpecMap):
        raise SpecError("G605", "expected a mapping with the keys of a recipe", Place(path, 1, 1))
    if "recipe" not in tree and "layers" in tree:
        made = "`graphc new --recipe` writes a recipe, whose `model` names this file"
        raise SpecError("G605", f"expected a recipe, found a spec: {made}", Place(path, 1, 1))
