"""From other people's names and layouts to ours."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from graphc.dims import format_shape
from graphc.errors import WeightsError, counted
from graphc.files import shown
from graphc.graph import Plan
from graphc.types import Array
from graphc.weights.file import OTHERS, Layout, WeightsFile, check_floats
from graphc.weights.floats import FLOATS
from graphc.weights.layouts import Form, Wanted, form_of, wanted
from graphc.weights.names import Sources, parted, sources
from graphc.weights.options import DEFAULT, LoadOptions
from graphc.weights.origin import Origin, origin_of
from graphc.weights.selection import Selection

MAX_STARTS = 50
"""Beginnings of names that are tried."""
MAX_TRIED = 300_000
"""Names that are looked at for that, once for each beginning."""
MAX_CUTS = 8
"""Modules within each other below which a network is looked for."""
CUT = re.compile("[./]")
NEUTRAL: Mapping[str, float] = {"weight": 1, "gamma": 1, "bias": 0, "biases": 0, "beta": 0}
"""An array's local name -> the number with which a layer computes the same without it."""
MAX_NEUTRAL = 2**16
"""Numbers of such an array, one for each channel: larger ones change something."""
SHOWN = 5
"""Names listed in a message before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a file had of what was wanted."""

    path: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """Wanted, not in the file."""
    unused: tuple[str, ...]
    """In the file, not wanted."""
    mis_shaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    """Name -> (expected shape, the file's)."""
    dropped: Mapping[str, str] = field(default_factory=dict)
    """In the file, but none of a network's variables: name -> what it is."""
    origin: Origin = field(default_factory=Origin)
    """Whose network the file is."""
    classes: int | None = None
    """How many classes the file has, where that is all that is in the way."""
    below: str = ""
    """What stands before the names of the network's variables, where a file keeps it among others."""
    others: str = ""
    """What the file has besides arrays."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Unused arrays of modules that were taken, and the layer that has no variable for each: without them it computes
    something else."""
    fits_turned: bool = False
    """Whether all arrays of a file that does not say how they lie would fit as PyTorch's lie, and not as ours."""

    def raise_if_incomplete(self) -> None:
        """A WeightsError that says what is missing, has another shape, or has no variable in a layer that took others
        of its module; other unused arrays are no error."""
        notes = [
            f"{name}: expected {format_shape(expected)}, found {format_shape(found)}"
            for name, (expected, found) in list(self.mis_shaped.items())[:SHOWN]
        ]
        if self.missing:
            notes.append(f"missing: {listed(self.missing)}")
        if self.missing and self.unused:
            notes.append(f"unused: {listed(self.unused)}")
        if self.missing and self.others:
            notes.append(f"what it has besides is no array of plain numbers: {self.others}")
        if self.classes is not None:
            notes.append(f"the file is of {self.classes:,} classes: --set classes={self.classes}")
        if self.fits_turned:
            notes.append("they fit as PyTorch's lie, which the file does not say: graphc weights convert --layout OIHW")
        if self.missing or self.mis_shaped:
            wanted = len(self.loaded) + len(self.missing) + len(self.mis_shaped)
            message = f"{self.path}: expected {wanted} variables, found {len(self.loaded)} of them"
            raise WeightsError("G306", message, notes=notes)
        if self.beside:
            message = f"{self.path}: {counted(len(self.beside), 'array')} of layers that the network has, which have no"
            message += " such variable: without them they compute something else"
            notes = [f"{shown(name)}: {layer} has no variable for it" for name, layer in self.beside.items()]
            raise WeightsError("G372", message, notes=notes[:SHOWN])

    def describe(self) -> str:
        """How many were loaded, then the names that were missing, unused, left out or of another shape."""
        taken = f", taken as {self.origin.described}" if self.origin.nets else ""
        place = f", from below {shown(self.below)}" if self.below else ""
        lines = [f"{self.path}: loaded {counted(len(self.loaded), 'variable')}{taken}{place}"]
        left = tuple(name for name in self.unused if name not in self.beside)
        for what, names in (
            ("missing", self.missing),
            ("unused", left),
            ("mis-shaped", (*self.mis_shaped,)),
            ("without a variable, so that their layers compute something else", (*self.beside,)),
        ):
            if names:
                lines.append(f"  {len(names)} {what}: {listed(names)}")
        for reason in dict.fromkeys(self.dropped.values()):
            names = tuple(name for name, said in self.dropped.items() if said == reason)
            lines.append(f"  {len(names)} left out ({reason}): {listed(names)}")
        return "\n".join(lines)


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def convert(file: WeightsFile, plan: Plan, options: LoadOptions = DEFAULT) -> tuple[dict[str, Array], LoadReport]:
    """A plan's variables that a file has, by our full names, each in our plan's shape, as float32.

    A WeightsError where nothing of the file fits, or where it is of a network that the spec refuses.
    """
    selection = Selection(file, ema=options.ema)
    want = wanted(plan)
    origin, mapped = _known(selection, plan, options)
    below = ""
    if want and not mapped.found:
        below = _place_of(selection, plan, options)
        selection = selection.below(below) if below else selection
        origin, mapped = _known(selection, plan, options) if below else (origin, mapped)
    chosen = {name: mapped.found[name] for name in want if name in mapped.found}
    values, mis_shaped = read_as(selection, chosen, want, options.layout or origin.layout)
    missing = tuple(name for name in want if name not in mapped.found)
    classes = None if missing else _classes(plan, mis_shaped)
    report = LoadReport(
        file.path,
        tuple(values),
        missing,
        mapped.unused,
        mis_shaped,
        selection.dropped,
        origin,
        classes,
        below,
        file.metadata.get(OTHERS, ""),
        beside_of(selection, mapped, values),
        bool(mis_shaped)
        and not (selection.layout or options.layout or origin.layout)
        and _fit(selection, chosen, want),
    )
    if want and not values and not mis_shaped:
        theirs = f"such as {listed(selection.names)}" if selection.names else report.others or "nothing"
        message = f"{file.path}: expected variables of {plan.graph.name} such as {next(iter(want))}, found {theirs}"
        raise WeightsError("G308", message)
    return values, report


def _fit(file: WeightsFile, names: Mapping[str, str], want: Mapping[str, Wanted]) -> bool:
    """Whether arrays of the file (ours -> its name) are variables as PyTorch lays them out."""
    return all(form_of(want[ours], "OIHW", file.entry(theirs).shape) is not None for ours, theirs in names.items())


def beside_of(file: WeightsFile, mapped: Sources, taken: Collection[str]) -> dict[str, str]:
    """Unused arrays of numbers beside the `taken` ones (our names), with their layers; none of gammas that are all 1
    and biases that are all 0, which change nothing."""
    return {name: layer for name, layer in mapped.beside(taken).items() if not _changes_nothing(file, name)}


def _changes_nothing(file: WeightsFile, name: str) -> bool:
    _, local = parted(name)
    neutral = NEUTRAL.get(local)
    entry = file.entry(name)
    if entry.dtype not in FLOATS:
        return True
    return neutral is not None and entry.size <= MAX_NEUTRAL and bool((file.read(name) == neutral).all())


def _known(selection: Selection, plan: Plan, options: LoadOptions) -> tuple[Origin, Sources]:
    """Whose a file's network is, and which of its arrays are which variables."""
    origin = Origin(options.rules) if options.rules else origin_of(selection, plan, options.source)
    return origin, sources(selection.names, origin.rules, plan)


def _place_of(selection: Selection, plan: Plan, options: LoadOptions) -> str:
    """What stands before the names of the variables, where a file keeps a network as a part of another one: that below
    which most of them are found. Empty where there is none; a WeightsError where there are several."""
    starts = Counter(name[: each.end()] for name in selection.names for each in islice(CUT.finditer(name), MAX_CUTS))
    found: dict[str, int] = {}
    for start, _ in starts.most_common(min(MAX_STARTS, MAX_TRIED // max(len(selection.names), 1))):
        part = selection.below(start)
        variables = frozenset(_known(part, plan, options)[1].found)
        if variables:
            found[start] = len(variables)
    most = max(found.values(), default=0)
    best = [start for start, count in found.items() if count == most]
    if len(best) > 1:
        message = f"{selection.path}: expected one network's variables, found those of several, below {listed(best)}"
        raise WeightsError("G314", f"{message}: --map says which")
    return best[0] if best else ""


def _classes(plan: Plan, mis_shaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]) -> int | None:
    """How many classes a file has whose arrays are the plan's but for that; None where it is not so."""
    ours = plan.graph.pretrained.variables.get("classes")
    others = [set(found) - set(expected) for expected, found in mis_shaped.values() if ours in expected]
    return others[0].copy().pop() if len(others) == len(mis_shaped) and _is_one(others) else None


def _is_one(sets: Sequence[set[int]]) -> bool:
    """Whether all sets hold one number, the same."""
    return bool(sets) and len(sets[0]) == 1 and all(each == sets[0] for each in sets)


def read_as(
    file: WeightsFile, names: Mapping[str, str], want: Mapping[str, Wanted], layout: Layout | None = None
) -> tuple[dict[str, Array], dict[str, tuple[tuple[int, ...], tuple[int, ...]]]]:
    """(arrays, each in its own shape with us, by our name; those of other shapes: expected and found); `names`: ours ->
    the file's."""
    lies = file.layout or layout or "HWIO"
    forms: dict[str, Form] = {}
    mis_shaped = {}
    for ours, theirs in names.items():
        entry = file.entry(theirs)
        check_floats(file.path, theirs, entry)
        form = form_of(want[ours], lies, entry.shape)
        if form is None:
            mis_shaped[ours] = (want[ours].spec.shape, entry.shape)
        else:
            forms[ours] = form
    values = {ours: form.to_ours(file.read(names[ours]), want[ours].spec.shape) for ours, form in forms.items()}
    return values, mis_shaped
