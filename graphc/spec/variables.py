"""`vars` and `--set`: values in dependency order."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from typing import Any

from graphc.errors import Place, SpecError, clipped, did_you_mean
from graphc.spec.arithmetic import FUNCTIONS
from graphc.spec.expressions import MAX_EVALUATED, MAX_LETTERS, letters_in, references, substitute
from graphc.spec.grammar import CONSTANTS, NAME, WORDS
from graphc.spec.mappings import tree_of
from graphc.spec.source import SpecMap, extent, load_text

MAX_VARIABLES = 10_000

Settings = Mapping[str, Any] | Sequence[str]
"""`{"classes": 10}`, or `["classes=10"]` as on the command line."""


def evaluate_variables(written: SpecMap, settings: Settings = ()) -> dict[str, Any]:
    """The value of each variable, in the order in which they are written; `settings` win."""
    if len(written) > MAX_VARIABLES:
        raise SpecError("G170", f"expected at most {MAX_VARIABLES:,} variables, found {len(written):,}", written.place)
    for name in written:
        check_variable_name(name, written.key_places[name])
    raw: dict[str, tuple[Any, Place]] = {name: (value, written.places[name]) for name, value in written.items()}
    for name, value, place in read_settings(settings):
        if name not in raw:
            known = did_you_mean(name, raw) or f"; there are {', '.join(raw) or 'none'}"
            raise SpecError("G172", f"the spec has no variable {clipped(name)}{known}", place)
        raw[name] = (value, place)
    values: dict[str, Any] = {}
    letters = sum(extent(value).letters for value, _ in raw.values())
    if letters > MAX_EVALUATED:
        message = f"expected at most {MAX_EVALUATED:,} characters of variables with ${{…}}, found {letters:,}"
        raise SpecError("G131", message, written.place)
    made = 0
    for name in _in_order(raw):
        value, place = raw[name]
        # `${value}` counts how large a value is once written out, so that no chain of lists can double
        values[name] = substitute("${value}", {"value": substitute(value, values, place)}, place)
        made += letters_in(values[name]) if extent(value).letters else 0
        if made > MAX_LETTERS:
            raise SpecError("G131", f"variables with ${{…}} would have more than {MAX_LETTERS:,} characters", place)
    return {name: values[name] for name in raw}


def _in_order(raw: Mapping[str, tuple[Any, Place]]) -> list[str]:
    needs = {name: sorted(references(value) & raw.keys()) for name, (value, _) in raw.items()}
    try:
        return list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        chain = list(reversed(error.args[1]))
        shown = chain if len(chain) <= 20 else [*chain[:10], "…", *chain[-3:]]
        raise SpecError("G171", f"variables need each other: {' -> '.join(shown)}", raw[chain[0]][1]) from None


def check_variable_name(name: Any, place: Place) -> None:
    """Raise where `${name}` would not mean a variable."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SpecError("G170", f"a variable's name has letters, digits and _, found {clipped(name)}", place)
    if name in WORDS or name in CONSTANTS or name in FUNCTIONS:
        raise SpecError("G170", f"{name!r} is a word of the expressions, no name for a variable", place)


def read_settings(settings: Settings) -> list[tuple[str, Any, Place]]:
    """(name, value, place) of each setting, texts read as YAML."""
    if isinstance(settings, Mapping):
        given = {name: (value, setting_path(name)) for name, value in settings.items()}
        return [
            (name, _read_value(value, name) if isinstance(value, str) else tree_of(value, path), Place(path))
            for name, (value, path) in given.items()
        ]
    result = []
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise SpecError("G172", f"--set expects NAME=VALUE, found {clipped(setting)}", Place("--set"))
        result.append((name.strip(), _read_value(value, name.strip()), Place(setting_path(name.strip()))))
    return result


def _read_value(text: str, name: str) -> Any:
    if not text.strip():
        raise SpecError("G172", f"expected a value of {clipped(name)}, found none", Place(setting_path(name)))
    return load_text(text, setting_path(name))


def setting_path(name: str) -> str:
    """What stands for the file in the place of a variable's new value."""
    return f"--set {name}"
