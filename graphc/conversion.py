"""Files of weights looked at, and written anew with the names and the layout of a spec."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from graphc import weights
from graphc.compiler import Limits, plan_spec
from graphc.dims import format_shape
from graphc.errors import SpecError, WeightsError, clipped, counted
from graphc.files import digest_of, shown
from graphc.name_rules import NameRule, RuleError, name_rules
from graphc.published import WeightSet, sets_in
from graphc.spec.pretrained import Net, PretrainedSource
from graphc.spec.source import SpecMap, load_file
from graphc.types import Array
from graphc.weights.convert import LoadReport
from graphc.weights.formats import place_of
from graphc.weights.found_rules import rules_of
from graphc.weights.keras_write import write_h5
from graphc.weights.matching import matched
from graphc.weights.options import DEFAULT
from graphc.weights.origin import ORIGIN, SLIM
from graphc.weights.safetensors_file import FORMAT, LAYOUT
from graphc.weights.tensorflow.write import write_checkpoint
from graphc.weights.theirs import exported, net_of

MAX_SAID, LONGEST_KEY = 50, 100
"""Lines of what a file says of itself, and characters of a key."""
COLUMNS = ("name", "shape", "type", "numbers", "left out")


def described(path: str | Path, *, ema: bool = False) -> tuple[str, list[list[object]]]:
    """(what a file is, in words; a row of `COLUMNS` for each array, in the file's order)."""
    with weights.open_weights(path) as file:
        selection = weights.Selection(file, ema=ema, folded=True)
        entries = {name: file.entry(name) for name in file.names}
        rows: list[list[object]] = [
            [shown(name), format_shape(each.shape), each.dtype, each.size, selection.dropped.get(name, "")]
            for name, each in entries.items()
        ]
        said = [file.format, f"written by {file.writer}" if file.writer else "which does not say what wrote it"]
        said.append(f"{counted(len(rows), 'array')} of {sum(each.size for each in entries.values()):,} numbers")
        said.append(f"arrays lie as {file.layout}" if file.layout else "how arrays lie is not said")
        if file.in_order:
            said.append("in the order in which layers were made")
        lines = [f"{file.path}: {', '.join(said)}"]
        about = list(islice(file.metadata.items(), MAX_SAID))
        lines += [f"  {shown(key[:LONGEST_KEY])}: {shown(clipped(value))}" for key, value in about]
        if len(file.metadata) > len(about):
            lines.append(f"  and {len(file.metadata) - len(about):,} more of its metadata")
    return "\n".join(lines), rows


def read_rules(path: str | Path) -> tuple[NameRule, ...]:
    """Rules of a YAML or JSON file that maps their names to ours; a SpecError at the place of one that cannot be."""
    tree = load_file(path)
    if not isinstance(tree, SpecMap):
        raise SpecError("G318", f"{shown(path)}: expected a mapping of their names to ours, found {clipped(tree)}")
    found = []
    for theirs, ours in tree.items():
        try:
            if not isinstance(ours, str):
                raise RuleError(f"expected our name of {clipped(theirs)}, found {clipped(ours)}")
            found.append(NameRule.of(theirs, ours))
        except RuleError as error:
            raise SpecError("G318", str(error), tree.key_places[theirs]) from None
    return tuple(found)


def found_map(
    path: str | Path,
    spec: str | Path,
    settings: Sequence[str] = (),
    *,
    load: weights.LoadOptions = DEFAULT,
    limits: Limits | None = None,
) -> tuple[str, int]:
    """(YAML of rules from a file's names to a spec's, found by order and shape; how many variables they give).

    `load.rules`: what is known of some names. A WeightsError where the rules do not give every variable.
    """
    plan = plan_spec(spec, settings, limits=limits or Limits())
    with weights.open_weights(path) as file:
        selection = weights.Selection(file, ema=load.ema)
        pairs = matched(selection, plan, load.rules, load.layout)
        try:
            rules = rules_of(pairs)
        except RuleError as error:
            message = f"{shown(path)}: expected names of modules that rules can be written of: {error}"
            raise WeightsError("G368", message) from None
        made = name_rules(rules)
        _, report = weights.convert(file, plan, replace(load, source=None, rules=made))
        report.raise_if_incomplete()
    lines = [
        f"# Their names of modules: those of {plan.graph.name}, found by order and shape in",
        f"# {shown(Path(path).name)}. Shapes say nothing of padding, strides or epsilons: read them, try",
        "#   graphc weights check FILE --for SPEC --map THIS --images photos",
    ]
    lines += [
        f"{json.dumps(theirs, ensure_ascii=False)}: {json.dumps(ours, ensure_ascii=False)}" for theirs, ours in rules
    ]
    return "\n".join(lines) + "\n", len(report.loaded)


def convert_file(
    path: str | Path,
    spec: str | Path,
    output: str | Path,
    settings: Sequence[str] = (),
    *,
    load: weights.LoadOptions = DEFAULT,
    partial: bool = False,
    limits: Limits | None = None,
) -> LoadReport:
    """Write the variables of a spec that a file has as a safetensors file, which says how they lie and whence they
    are; with `partial` also where some are missing."""
    plan = plan_spec(spec, settings, limits=limits or Limits())
    with weights.open_weights(path) as file:
        values, report = weights.convert(file, plan, load)
        source = file.format
    if not partial:
        report.raise_if_incomplete()
    weights.check_values(path, values, plan.variables)
    metadata = {
        LAYOUT: "HWIO",
        "graphc.model": plan.graph.name,
        "graphc.source": f"{Path(path).name}: {source}",
        "graphc.source_sha256": digest_of(place_of(path)),
    }
    if report.origin.nets:
        metadata[ORIGIN] = " ".join(_titles(report.origin.nets, sets_in(path, plan, load)))
    weights.save(output, values, {key: shown(value) for key, value in metadata.items()})
    return report


def _titles(nets: Sequence[Net], sets: Sequence[WeightSet]) -> list[str]:
    """The networks that weights may be of, each set of weights that they may be where those are known."""
    if sets:
        return [each.title for each in sets]
    return [f"{net.source}:{net.name}" for net in nets]


def export_file(
    path: str | Path,
    spec: str | Path,
    output: str | Path,
    to: str,
    settings: Sequence[str] = (),
    *,
    limits: Limits | None = None,
) -> Net:
    """Write a network's variables as a library has them, in a file of `WRITERS`: the library's network that it is."""
    plan = plan_spec(spec, settings, limits=limits or Limits())
    known = plan.graph.pretrained.sources
    if to not in known or not is_named(known[to]):
        there = ", ".join(name for name, source in known.items() if is_named(source)) or "none"
        raise SpecError(
            "G366", f"{plan.graph.name}: expected a source whose names are known: {there}; found {clipped(to)}"
        )
    net = net_of(plan, known[to])
    values, report = weights.load_variables(path, plan)
    report.raise_if_incomplete()
    arrays = exported(plan, known[to], values)
    write = WRITERS.get(to)
    if write is not None and Path(output).suffix != SAFETENSORS:
        write[1](output, arrays)
        return net
    layout = known[to].layout or "OIHW"
    metadata = {FORMAT: "pt" if layout == "OIHW" else "tf", "graphc.model": plan.graph.name, "net": net.title}
    weights.save(output, arrays, metadata)
    return net


def is_named(source: PretrainedSource) -> bool:
    """Whether it is known what a source calls things: by rules, or as TF-Slim, whose names are ours."""
    return bool(source.rules) or source.name == SLIM


def export_name(spec: str | Path, to: str) -> str:
    """What an exported file is called."""
    ending = WRITERS[to][0] if to in WRITERS else SAFETENSORS
    return f"{Path(spec).stem}_{to}{ending}"


SAFETENSORS = ".safetensors"
WRITERS: Mapping[str, tuple[str, Callable[[str | Path, Mapping[str, Array]], None]]] = {
    "keras": (".h5", write_h5),
    "tf_slim": (".ckpt.index", write_checkpoint),
}
"""A library -> the ending of the files that it reads, and what writes them; those of the others are safetensors."""
