"""Budgets written in a spec, checked against the plan like tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from graphc.dims import format_shape, is_static, whole
from graphc.errors import Errors, Place, SpecError, clipped, did_you_mean
from graphc.graph import Plan
from graphc.lazy import lazy_import
from graphc.passes.receptive_fields import axis_names
from graphc.passes.truncate import find_layer
from graphc.receptive_field import ReceptiveField
from graphc.spec.source import SpecList, SpecMap

if TYPE_CHECKING:
    from graphc.passes import arena
else:  # few specs have a budget of memory
    arena = lazy_import("graphc.passes.arena")

_DIGITS = r"[0-9](?:_?[0-9])*"
_BOUND = re.compile(rf"\s*(<=|>=|<|>|==)\s*([-+]?(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda found, bound: found <= bound,
    ">=": lambda found, bound: found >= bound,
    "<": lambda found, bound: found < bound,
    ">": lambda found, bound: found > bound,
    "==": lambda found, bound: found == bound,
}
TOTALS = ("params", "trainable_params", "macs", "flops")
FIELDS = ("receptive_field", "stride", "padding")
MEMORY: Mapping[str, Callable[[Plan], float]] = {
    "memory": lambda plan: arena.live_bytes(arena.lifetimes(plan)),
    "arena": lambda plan: arena.arena(plan).size,
}
"""Bytes of one example in float32: the most that are alive at once, and a block that holds all tensors."""
FILE_BYTES = "file_bytes"
"""Of the compiled file: checked where it is made."""
INT8_DROP = "int8_drop"
"""What 8-bit integers may cost, of a run's accuracy, in points: checked where a model is made of them."""


def totals(plan: Plan) -> dict[str, int | None]:
    """Sums over all layers; macs and flops are None where a size is a symbol."""

    def add(values: list[int | None]) -> int | None:
        return None if None in values else sum(value for value in values if value is not None)

    return {
        "params": sum(each.param_count for each in plan.nodes),
        "trainable_params": sum(each.trainable_count for each in plan.nodes),
        "macs": add([each.macs for each in plan.nodes]),
        "flops": add([each.flops for each in plan.nodes]),
    }


def check_expectations(plan: Plan, *, exact: bool = True, spec: str | None = None) -> None:
    """Raise for every budget that does not hold, at its own line; `spec` is the file that was asked for.

    Without `exact` only bounds are checked: numbers are claims about the spec with its own variables.
    """
    expect = plan.graph.expect
    if not expect:
        return
    assert isinstance(expect, SpecMap)
    errors = Errors()
    sums = totals(plan)
    for key, raw in expect.items():
        place = expect.places[key]
        if not exact and not is_bound(raw):
            continue
        try:
            if key in TOTALS:
                check_number(key, raw, sums[key], place)
            elif key == "outputs":
                check_outputs(plan, mapping(raw, key, place))
            elif key in FIELDS:
                check_fields(plan, key, mapping(raw, key, place))
            elif key in MEMORY:
                check_number(key, raw, MEMORY[key](plan) if all(map(is_static, plan.shapes.values())) else None, place)
            elif key == FILE_BYTES:
                budget_of(key, raw, place)
            elif key == INT8_DROP:
                if not is_number(raw):
                    raise SpecError("G129", f"{key} expects a number of points, such as 0.5, got {clipped(raw)}", place)
            else:
                hint = did_you_mean(key, (*TOTALS, *MEMORY, "outputs", *FIELDS, FILE_BYTES, INT8_DROP))
                raise SpecError("G129", f"expect has no budget {clipped(key)}{hint}", expect.key_places[key])
        except SpecError as error:
            drops = f"a budget that {spec} takes over: `expect: {{{key}: null}}` there drops it"
            notes = (drops,) if spec is not None and place.path != spec else ()
            errors.add(SpecError(error.code, error.message, error.place, (*error.notes, *notes)))
    errors.raise_if_any()


def is_bound(budget: Any) -> bool:
    return isinstance(budget, str) and _BOUND.fullmatch(budget) is not None


def is_number(raw: Any) -> bool:
    return isinstance(raw, (int, float)) and not isinstance(raw, bool)


def check_int8_drop(plan: Plan, points: float | None) -> None:
    """A SpecError where more points of accuracy are lost than the spec allows, or nobody knows how many."""
    expect = plan.graph.expect
    if not expect or INT8_DROP not in expect:
        return
    assert isinstance(expect, SpecMap)
    place, most = expect.places[INT8_DROP], expect[INT8_DROP]
    if points is None:
        wanted = "the accuracy of a run, which has not been judged: --calibrate takes the folder of a run with accuracy"
        raise SpecError("G221", f"{INT8_DROP}: expected {wanted} among its metrics", place)
    if points > most:
        raise SpecError("G221", f"{INT8_DROP}: expected at most {most} points, got {points:.2f}", place)


def check_file_bytes(plan: Plan, found: int) -> None:
    """A SpecError where a compiled file of so many bytes is not what the spec expects."""
    expect = plan.graph.expect
    if expect and FILE_BYTES in expect:
        assert isinstance(expect, SpecMap)
        check_number(FILE_BYTES, expect[FILE_BYTES], found, expect.places[FILE_BYTES])


def mapping(raw: Any, key: str, place: Place) -> SpecMap:
    if not isinstance(raw, SpecMap):
        raise SpecError("G129", f"expect: {key} expects a mapping of names, got {clipped(raw)}", place)
    return raw


def budget_of(what: str, written: Any, place: Place) -> tuple[str, float]:
    """(how it is compared, with what) of a number, or a bound such as `<= 5e6`."""
    if isinstance(written, str) and (match := _BOUND.fullmatch(written)):
        return match.group(1), float(match.group(2))
    if is_number(written):
        return "==", written
    raise SpecError("G129", f"{what} expects a number or a bound such as '<= 5e6', got {clipped(written)}", place)


def check_number(what: str, budget: Any, found: float | None, place: Place) -> None:
    """`budget` is a number, or a bound such as `<= 5e6`."""
    if found is None:
        raise SpecError("G221", f"{what}: expected {budget}, but it is not a number while a size is a symbol", place)
    sign, bound = budget_of(what, budget, place)
    if not _COMPARE[sign](found, bound):
        raise SpecError("G221", f"{what}: expected {budget if sign != '==' else f'{bound:,.0f}'}, got {found:,}", place)


def check_outputs(plan: Plan, budgets: SpecMap) -> None:
    for name, written in budgets.items():
        place = budgets.places[name]
        found = plan.shapes[named(plan, name, place)]
        expected = tuple(written) if isinstance(written, SpecList) else (written,)
        if tuple(str(whole(size)) for size in expected) != tuple(str(size) for size in found):
            wanted = "×".join(size if isinstance(size, str) else clipped(size) for size in expected)
            told = f"outputs: {name}: expected {wanted}, got {format_shape(found)}"
            notes = ["a budget says the shape of one example, without N"] if len(expected) == len(found) + 1 else []
            raise SpecError("G221", told, place, notes)


def check_fields(plan: Plan, key: str, budgets: SpecMap) -> None:
    for name, written in budgets.items():
        place = budgets.places[name]
        field = plan.by_name[named(plan, name, place)].receptive_field
        found = None if field is None else field_values(field, key)
        if written is None and found is None:
            continue
        budget = tuple(written) if isinstance(written, SpecList) else (written,) * len(found or ())
        if field is None or found is None or len(budget) != len(found):
            got = None if found is None else list(found)
            raise SpecError("G221", f"{key} of {name}: expected {clipped(written)}, got {clipped(got)}", place)
        for axis, expected, value in zip(axis_names(field), budget, found, strict=True):
            check_number(f"{key} of {name} in {axis}", expected, value, place)


def field_values(field: ReceptiveField, key: str) -> tuple[float, ...] | None:
    if key == "stride":
        return tuple(float(stride) for stride in field.stride)
    return field.size if key == "receptive_field" else field.padding


def named(plan: Plan, name: str, place: Place) -> str:
    try:
        return find_layer(plan.graph, name)
    except SpecError as error:
        raise SpecError(error.code, f"expect: {error.message}", place) from None
