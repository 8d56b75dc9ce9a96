"""A cfg file of darknet as a spec, with its .weights or without: `graphc import net.cfg net.weights`."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from graphc.errors import GraphcError, Place, SpecError, WeightsError, counted
from graphc.files import open_regular, read_open, shown
from graphc.graph import Plan
from graphc.importers.arguments import scope_of
from graphc.importers.check import Port, difference, ours, plan_of, variables_of
from graphc.importers.darknet import DETECTIONS, Cursor, Darknet
from graphc.importers.darknet_cfg import Section, read_sections
from graphc.importers.imported import Imported
from graphc.importers.names import clean, name_layers
from graphc.importers.onnx_graph import RefusedError
from graphc.importers.structure.find import find_structure
from graphc.importers.structure.items import layers_of
from graphc.importers.structure.text import tree_text
from graphc.importers.tidy import tidy
from graphc.importers.write import flat_text
from graphc.types import Array
from graphc.verify import random_inputs

LARGEST_MAP, ALL_MAPS, PRODUCTS = 2**20, 2**22, 10**8
"""Numbers of a layer and of all together, and products, up to which two specs are run to be compared, however few
weights they have. Those of YOLOv3-tiny and YOLOv4-tiny are more, in proportion to their weights."""
LARGEST_WEIGHTS = 2**32
WITH_LONG_COUNT = 2
"""From this version of .weights on (0.2: ten times the major and the minor) the number of images seen has 64 bits."""
MAX_NAMED = 10
"""Sections of which is said why they are no layers."""
TRANSPOSED = 1000
"""A version of at least this has matrices the other way round. Writers have 0.1 and 0.2."""


def import_darknet(
    path: str | Path,
    weights: str | Path | None = None,
    *,
    flat: bool = False,
    name: str | None = None,
    check: bool = True,
) -> Imported:
    """A cfg as a spec; without `weights` there are no variables. `check`: the spec with structure is run, where it has
    variables, and compared with the flat one.

    An error lists every section that no layer says.
    """
    path = Path(path)
    sections = read_sections(path)
    net = _net(path, sections, name or clean(path.stem) or "model")
    if weights is not None:
        _fill(net.cursor, Path(weights))
    tidy(net.net)
    name_layers(net.net)
    comments = [f"Imported from {shown(path.name)} (darknet)."]
    text = flat_text(net.net, comments, scope_of(net.net.layers))
    plan = plan_of(text, path)
    variables = variables_of(plan, net.net.layers) if weights is not None else {}
    said = (f"{counted(len(sections) - 1, 'section')}, {counted(len(net.net.layers), 'layer')}",)
    if flat:
        return Imported(text, variables, said)
    if weights is not None and check and not _is_small(net):
        return Imported(
            text, variables, (*said, "written flat, one line a layer: it is too large to compare spec with spec")
        )
    try:
        tree = find_structure(net.net)
        structured = tree_text(net.net, tree, comments)
        other = plan_of(structured, path)
        found = variables_of(other, list(layers_of(tree.layers))) if weights is not None else {}
        _check_same(plan, other, variables if check else {}, found)
    except GraphcError as error:
        return Imported(text, variables, (*said, f"written flat, one line a layer: with structure {error.message}"))
    return Imported(structured, found, said)


def _net(path: Path, sections: list[Section], name: str) -> Darknet:
    """All sections as layers; a SpecError that lists those that are none."""
    refused: list[tuple[Section, str]] = []
    try:
        net = Darknet(name, sections[0])
    except RefusedError as error:
        raise SpecError("G365", f"[net]: {error}", sections[0].place) from None
    for section in sections[1:]:
        try:
            net.add(section)
        except RefusedError as error:
            refused.append((section, str(error)))
        net.end(section)
    if not refused:
        _end(net, sections)
        unread = _unread(net)
        refused = [(section, "nothing reads it") for number, section in enumerate(sections[1:]) if number in unread]
    if refused:
        counts = Counter(section.kind for section, _ in refused)
        most = counts.most_common(MAX_NAMED)
        kinds = ", ".join(f"{kind[:60]} ({count})" if count > 1 else kind[:60] for kind, count in most)
        kinds += ", …" if len(counts) > len(most) else ""
        message = f"{counted(len(refused), 'section')} of {len(sections) - 1} cannot be said as layers: {shown(kinds)}"
        notes = [
            f"line {section.place.line}: [{shown(section.kind[:60])}] {why}" for section, why in refused[:MAX_NAMED]
        ]
        raise SpecError("G362", message, Place(shown(path)), notes)
    return net


def _end(net: Darknet, sections: list[Section]) -> None:
    """The outputs: the maps of detections, of which the last section is one then, or what the last section gives."""
    if net.current == "image" or not net.net.layers:
        raise SpecError("G365", "expected layers behind [net], found none", sections[-1].place)
    last = next(section for section in reversed(sections) if section.kind != "cost")
    if not net.net.outputs:
        net.net.outputs["output"] = net.current
    elif last.kind not in DETECTIONS:
        kinds = " or ".join(f"[{kind}]" for kind in DETECTIONS)
        raise SpecError("G365", f"expected {kinds} at the end too, found [{last.kind}]", last.place)


def _unread(net: Darknet) -> set[int]:
    """The numbers of sections that lead to no output."""
    needed = set(net.net.outputs.values())
    for layer in reversed(net.net.layers):
        if layer.name in needed:
            needed.update(layer.inputs)
    return {number for name, number in net.made.items() if name not in needed}


def _fill(cursor: Cursor, path: Path) -> None:
    """The variables from a .weights file, which has to be as long as they are."""
    needed = cursor.count
    with open_regular(path, WeightsError, "G366") as file:
        size = os.fstat(file.fileno()).st_size
        header = file.read(8)
        if len(header) < 8 or size < 16:
            raise WeightsError("G366", f"{shown(path)}: expected a .weights file, found {size} bytes")
        major, minor = (int(number) for number in np.frombuffer(header, "<i4"))
        if not (0 <= major < TRANSPOSED and 0 <= minor < TRANSPOSED):
            raise WeightsError("G366", f"{shown(path)}: its version {major}.{minor} is none with matrices as here")
        start = 20 if 10 * major + minor >= WITH_LONG_COUNT else 16
        if size - start != 4 * needed:
            found = f"{(size - start) / 4:,.10g}"
            raise WeightsError("G366", f"{shown(path)}: expected {needed:,} numbers for this cfg, found {found}")
        file.seek(0)
        data = read_open(file, path, LARGEST_WEIGHTS, WeightsError, "G366")
    if len(data) != size:
        raise WeightsError("G366", f"{shown(path)}: it changed while it was read")
    numbers = np.frombuffer(data, "<f4", needed, start)
    at = 0
    for layer, name, shape, change in cursor.wanted:
        count = math.prod(shape)
        layer.params[name] = np.ascontiguousarray(change(numbers[at : at + count].reshape(shape)), np.float32)
        at += count


def _is_small(net: Darknet) -> bool:
    """Whether both specs can be run, to be compared, at a cost in proportion to the file's weights: images that are far
    larger than theirs, and windows of poolings, cost what nobody has said."""
    weights = net.cursor.count
    sizes = [math.prod(layer.shape) for layer in net.net.layers]
    largest = max(sizes, default=0) <= max(LARGEST_MAP, weights)
    return largest and sum(sizes) <= max(ALL_MAPS, 10 * weights) and net.products <= max(PRODUCTS, 4_000 * weights)


def _check_same(plan: Plan, other: Plan, variables: Mapping[str, Array], found: Mapping[str, Array]) -> None:
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
