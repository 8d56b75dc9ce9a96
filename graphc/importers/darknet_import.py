"""A cfg file of darknet as a spec, with its .weights or without: `graphc import net.cfg net.weights`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from graphc.compiler import plan_model
from graphc.errors import GraphcError, Place, SpecError, WeightsError, counted
from graphc.files import read_limited, shown
from graphc.graph import Plan
from graphc.importers.arguments import scope_of
from graphc.importers.check import Port, difference, ours, variables_of
from graphc.importers.darknet import IGNORED, SECTIONS, Cursor, Darknet, Section
from graphc.importers.flat import FlatLayer, FlatNet
from graphc.importers.imported import Imported
from graphc.importers.names import clean, name_layers
from graphc.importers.onnx_graph import RefusedError
from graphc.importers.structure.find import find_structure
from graphc.importers.structure.items import layers_of
from graphc.importers.structure.text import tree_text
from graphc.importers.tidy import tidy
from graphc.importers.write import flat_text
from graphc.spec.model import read_spec_text
from graphc.types import Array
from graphc.verify import random_inputs

LARGEST_CFG = 2**20
LARGEST_MAP, ALL_MAPS, PRODUCTS = 2**23, 2**26, 4 * 10**9
"""Numbers of a layer and of all together, and products, up to which two specs are run to be compared, however few
weights they have: those of YOLOv3-tiny and YOLOv4-tiny."""
LARGEST_WEIGHTS = 2**32
MAX_SECTIONS = 500
WITH_LONG_COUNT = 2
"""From this version of .weights on (0.2: ten times the major and the minor) the number of images seen has 64 bits."""
MAX_NAMED = 10
"""Sections of which is said why they are no layers."""
TRANSPOSED = 1000
"""A version of at least this has matrices the other way round."""


def import_darknet(
    path: str | Path, weights: str | Path | None = None, *, flat: bool = False, name: str | None = None
) -> Imported:
    """A cfg as a spec; without `weights` there are no variables.

    An error lists every section that no layer says.
    """
    path = Path(path)
    sections = read_sections(path)
    net = _net(path, sections, name or clean(path.stem) or "model")
    if weights is not None:
        _fill(net.cursor, Path(weights))
    _finish(net.net, net.current)
    comments = [f"Imported from {shown(path.name)} (darknet)."]
    text = flat_text(net.net, comments, scope_of(net.net.layers))
    plan = _plan(text, path)
    variables = variables_of(plan, net.net.layers) if weights is not None else {}
    said = (f"{counted(len(sections) - 1, 'section')}, {counted(len(net.net.layers), 'layer')}",)
    if flat:
        return Imported(text, variables, said)
    layers = list(net.net.layers)
    if weights is not None and not _is_small(layers):
        return Imported(
            text, variables, (*said, "written flat, one line a layer: it is too large to compare spec with spec")
        )
    try:
        tree = find_structure(net.net)
        structured = tree_text(net.net, tree, comments)
        other = _plan(structured, path)
        found = variables_of(other, list(layers_of(tree.layers))) if weights is not None else {}
        _check_same(plan, other, layers, variables, found)
    except GraphcError as error:
        return Imported(text, variables, (*said, f"written flat, one line a layer: with structure {error.message}"))
    return Imported(structured, found, said)


def read_sections(path: Path) -> list[Section]:
    """The sections of a cfg, `[net]` first."""
    text = read_limited(path, LARGEST_CFG, SpecError, "G101").decode("utf-8", "replace")
    sections: list[Section] = []
    options: dict[str, str] = {}
    for number, written in enumerate(text.split("\n"), 1):  # the only break of lines that darknet knows
        line = written.split("#")[0].split(";")[0].strip()
        place = Place(shown(path), number, 1)
        if line.startswith("[") and line.endswith("]"):
            options = {}
            sections.append(Section(line[1:-1].strip().lower(), options, place))
        elif line:
            key, equals, value = line.partition("=")
            if not equals or not sections:
                expected = "expected [section] or option=value"
                raise SpecError("G365", f"{expected}, found {shown(line[:60])}", place)
            if options.setdefault(key.strip(), value.strip()) != value.strip():
                said = f"{shown(key.strip()[:60])} is written twice, with other values: darknet takes the first"
                raise SpecError("G365", f"[{shown(sections[-1].kind[:60])}]: {said}", place)
    if len(sections) > MAX_SECTIONS:
        raise SpecError(
            "G365", f"expected at most {MAX_SECTIONS:,} sections, found {len(sections):,}", Place(shown(path))
        )
    if not sections or sections[0].kind not in ("net", "network"):
        raise SpecError("G365", "expected a darknet cfg, whose first section is [net]", Place(shown(path), 1, 1))
    return sections


def _net(path: Path, sections: list[Section], name: str) -> Darknet:
    """All sections as layers; a SpecError that lists those that are none."""
    refused: list[tuple[Section, str]] = []
    try:
        net = Darknet(name, sections[0])
    except RefusedError as error:
        raise SpecError("G365", f"[net]: {error}", sections[0].place) from None
    for section in sections[1:]:
        try:
            handler = SECTIONS.get(section.kind)
            if handler is not None:
                section.check_options()
                handler(net, section)
            elif section.kind not in IGNORED:
                raise RefusedError("no layer says what it does")
        except RefusedError as error:
            refused.append((section, str(error)))
        net.values.append(net.current)
    if refused:
        counts = Counter(section.kind for section, _ in refused)
        most = counts.most_common(MAX_NAMED)
        kinds = ", ".join(f"{kind[:60]} ({count})" if count > 1 else kind[:60] for kind, count in most)
        kinds += ", …" if len(counts) > len(most) else ""
        message = f"{counted(len(refused), 'section')} of {len(sections) - 1} cannot be said as layers: {shown(kinds)}"
        notes = [f"{section.place}: [{shown(section.kind[:60])}] {why}" for section, why in refused[:MAX_NAMED]]
        raise SpecError("G362", message, Place(shown(path)), notes)
    return net


def _finish(net: FlatNet, last: str) -> None:
    """Outputs, tidy layers, names."""
    if last == "image" or not net.layers:
        raise SpecError("G365", "expected layers behind [net], found none")
    if not net.outputs:
        net.outputs["output"] = last
    _drop_unread(net)
    tidy(net)
    name_layers(net)


def _drop_unread(net: FlatNet) -> None:
    """Remove layers that lead to no output."""
    needed = set(net.outputs.values())
    for layer in reversed(net.layers):
        if layer.name in needed:
            needed.update(layer.inputs)
    net.layers = [layer for layer in net.layers if layer.name in needed]


def _fill(cursor: Cursor, path: Path) -> None:
    """The variables from a .weights file, which has to be as long as they are."""
    data = read_limited(path, LARGEST_WEIGHTS, WeightsError, "G366")
    if len(data) < 16:
        raise WeightsError("G366", f"{shown(path)}: expected a .weights file, found {len(data)} bytes")
    major, minor = (int(number) for number in np.frombuffer(data, "<i4", 2))
    start = 20 if 10 * major + minor >= WITH_LONG_COUNT else 16
    if major >= TRANSPOSED or minor >= TRANSPOSED:
        raise WeightsError("G366", f"{shown(path)}: its version {major}.{minor} has other matrices: not read")
    needed = sum(math.prod(shape) for _, _, shape, _ in cursor.wanted)
    if len(data) - start != 4 * needed:
        found = f"{(len(data) - start) / 4:,.10g}"
        raise WeightsError("G366", f"{shown(path)}: expected {needed:,} numbers for this cfg, found {found}")
    numbers = np.frombuffer(data, "<f4", needed, start)
    at = 0
    for layer, name, shape, change in cursor.wanted:
        count = math.prod(shape)
        layer.params[name] = np.ascontiguousarray(change(numbers[at : at + count].reshape(shape)), np.float32)
        at += count


def _plan(text: str, path: Path) -> Plan:
    return plan_model(read_spec_text(text, path.with_suffix(".yaml")))


def _is_small(layers: list[FlatLayer]) -> bool:
    """Whether both specs can be run, to be compared, at a cost in proportion to the file's weights: images that are far
    larger than theirs cost what nobody has said."""
    weights = sum(array.size for layer in layers for array in layer.params.values())
    sizes = [math.prod(layer.shape) for layer in layers]
    products = [
        math.prod(layer.shape[:-1]) * layer.params["weights"].size for layer in layers if "weights" in layer.params
    ]
    largest = max(sizes, default=0) <= max(LARGEST_MAP, weights)
    return largest and sum(sizes) <= max(ALL_MAPS, 10 * weights) and sum(products) <= max(PRODUCTS, 4_000 * weights)


def _check_same(
    plan: Plan, other: Plan, layers: list[FlatLayer], variables: Mapping[str, Array], found: Mapping[str, Array]
) -> None:
    """An error where the spec with structure is not the flat one: other variables, or other outputs."""
    sizes = [sorted(spec.shape for spec in each.variables.values()) for each in (plan, other)]
    if sizes[0] != sizes[1]:
        raise GraphcError("G364", "its variables are others")
    if variables:
        feeds = random_inputs(plan, 1, 0)
        ports = [Port(name, name, "") for name in plan.graph.outputs]
        expected = ours(plan, variables, ports, feeds)
        if difference(ours(other, found, ports, feeds), expected) > 0:
            raise GraphcError("G363", "its outputs are others")
