"""Which module of a file is which layer, by order and shape alone, where no rules between names are known.

A .pth keeps the order in which modules were made; parallel branches may have been made in another order than a spec
writes them in. So the network is cut into sections that take a fixed number of modules each, and in each of them every
order of its branches is tried. Where one fits it is the map; where several do, shapes do not tell, which is an error.
Shapes say nothing of padding, strides and epsilons: what is found is to be read and kept (`graphc weights map`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from graphc.dims import format_shape
from graphc.errors import WeightsError, counted
from graphc.graph import Node, Plan
from graphc.name_rules import NameRule
from graphc.weights.file import Layout
from graphc.weights.layouts import Wanted, form_of, wanted
from graphc.weights.names import LOCAL, parted
from graphc.weights.selection import Selection

MAX_BRANCHES = 7
"""Of a section, whose orders are tried."""
ENOUGH = 2
"""Orders that fit: more are not looked for."""
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Module:
    """A layer's variables here, or those of a module of theirs, by their local names."""

    name: str
    shapes: Mapping[str, tuple[int, ...]]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(f'{local} {format_shape(shape)}' for local, shape in self.shapes.items())})"


@dataclass(frozen=True, slots=True)
class Section:
    """What takes modules one after the other (`branches` empty: the layer `module`), or in any order of branches."""

    module: Module | None = None
    branches: tuple[tuple[Section, ...], ...] = ()

    @property
    def size(self) -> int:
        """Modules that it takes."""
        return 1 if self.module is not None else sum(map(size_of, self.branches))

    @property
    def first(self) -> str:
        """The name of its first layer."""
        return self.module.name if self.module is not None else self.branches[0][0].first


def size_of(sections: Sequence[Section]) -> int:
    return sum(each.size for each in sections)


def matched(file: Selection, plan: Plan, rules: Sequence[NameRule], layout: Layout | None) -> list[tuple[str, str]]:
    """(their module, our module) of all modules, in the file's order; `rules`: what is known of some of them.

    A WeightsError where the file does not keep the order, where nothing fits, or where several orders do.
    """
    if not file.in_order:
        message = "expected a file that keeps the order of layers (.pth), found one whose names are sorted"
        raise WeightsError(
            "G368", f"{file.path}: {message}", notes=["write rules between names, and give them as --map"]
        )
    want = wanted(plan)
    lies = file.layout or layout or "HWIO"
    search = _Search(want, plan, lies, rules)
    found: list[tuple[str, str]] = []
    for ours, theirs in zip(_ours(plan), _theirs(file), strict=True):
        sections = _sections(plan, ours)
        if size_of(sections) != len(theirs):
            raise _counts(file, ours, theirs, plan)
        found += search.pairs(sections, theirs, file.path)
    return found


def _counts(file: Selection, ours: Mapping[str, Module], theirs: Sequence[Module], plan: Plan) -> WeightsError:
    notes = [f"{plan.graph.name} begins with {', '.join(map(str, islice(ours.values(), SHOWN)))}"]
    notes.append(f"the file begins with {', '.join(map(str, theirs[:SHOWN]))}")
    message = f"expected {counted(len(ours), 'module')} with variables, found {len(theirs)}"
    return WeightsError("G368", f"{file.path}: {message}", notes=notes)


# modules ------------------------------------------------------------------------------------------------------------


def _ours(plan: Plan) -> tuple[dict[str, Module], dict[str, Module]]:
    """Layers with variables by node: those whose arrays are a module's, and those of a single array that modules have
    beside their own modules (layer_scale)."""
    modules: dict[str, Module] = {}
    single: dict[str, Module] = {}
    for planned in plan.nodes:
        if planned.params:
            shapes = {local: spec.shape for local, spec in planned.params.items()}
            module = Module(planned.node.variables, shapes)
            (single if set(shapes) == {"gamma"} else modules)[planned.node.name] = module
    return modules, single


def _theirs(file: Selection) -> tuple[list[Module], list[Module]]:
    """The file's, in its order, likewise: an array whose local name is no usual one is a module of its own."""
    modules: dict[str, dict[str, tuple[int, ...]]] = {}
    single: list[Module] = []
    for name in file.names:
        (module, local), shape = parted(name), file.entry(name).shape
        if local in LOCAL:
            modules.setdefault(module, {})[local] = shape
        else:
            single.append(Module(name, {"gamma": shape}))
    alone = dict.fromkeys(name for name, shapes in modules.items() if set(shapes) == {"gamma"})
    single += [Module(f"{name}.gamma", modules[name]) for name in alone]
    return [Module(name, shapes) for name, shapes in modules.items() if name not in alone], single


# sections -----------------------------------------------------------------------------------------------------------


def _sections(plan: Plan, modules: Mapping[str, Module]) -> tuple[Section, ...]:
    nodes = [planned.node for planned in plan.nodes]
    inputs = {given.name for given in plan.graph.inputs}
    return _series(nodes, inputs, modules)


def _series(nodes: Sequence[Node], start: set[str], modules: Mapping[str, Module]) -> tuple[Section, ...]:
    """Nodes that read `start`, and each other, cut wherever no value passes by."""
    found: list[Section] = []
    position = {node.name: place for place, node in enumerate(nodes)}
    last_read = dict.fromkeys((-1, *range(len(nodes))), -1)
    for place, node in enumerate(nodes):
        for name in node.inputs:
            source = position.get(name, -1 if name in start else None)
            if source is not None:
                last_read[source] = place
    latest, first, before = last_read[-1], 0, start
    for place, node in enumerate(nodes):
        if latest <= place:
            found += _between(nodes[first:place], before, modules, whole=False)
            found += _leaf(node, modules)
            before, first, latest = {node.name}, place + 1, last_read[place]
        else:
            latest = max(latest, last_read[place])
    return (*found, *_between(nodes[first:], before, modules, whole=first == 0))


def _leaf(node: Node, modules: Mapping[str, Module]) -> list[Section]:
    return [Section(modules[node.name])] if node.name in modules else []


def _between(
    nodes: Sequence[Node], start: set[str], modules: Mapping[str, Module], *, whole: bool
) -> Iterator[Section]:
    """What stands between two cuts: branches; `whole`: these nodes have no cut, and are as they are written where they
    hang together."""
    groups = _connected(nodes)
    if whole and len(groups) == 1:
        yield from (each for node in nodes for each in _leaf(node, modules))
        return
    branches = [_series(group, start, modules) for group in groups]
    filled = tuple(branch for branch in branches if branch)
    if len(filled) == 1:
        yield from filled[0]
    elif filled:
        yield Section(branches=filled)


def _connected(nodes: Sequence[Node]) -> list[list[Node]]:
    """The nodes in groups that read nothing of each other, each in order."""
    parent = {node.name: node.name for node in nodes}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for node in nodes:
        for name in node.inputs:
            if name in parent:
                parent[root(node.name)] = root(name)
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(root(node.name), []).append(node)
    return list(groups.values())


# the search ---------------------------------------------------------------------------------------------------------


@dataclass
class _Search:
    """Orders of branches in which modules fit."""

    want: Mapping[str, Wanted]
    plan: Plan
    layout: Layout
    rules: Sequence[NameRule]
    _known: dict[tuple[str, str], bool] = field(default_factory=dict)

    def pairs(self, sections: Sequence[Section], theirs: Sequence[Module], path: str) -> list[tuple[str, str]]:
        """Of sections one after the other; a WeightsError at the first that does not fit, or that names all that do
        in more than one way."""
        at, found, notes = 0, [], []
        for section in sections:
            taken = theirs[at : at + section.size]
            at += section.size
            orders = list(islice(self._orders(section, taken), ENOUGH))
            if not orders:
                raise self._no_fit(section, taken, path)
            if len(orders) > 1:
                other = next(pair for pair in orders[1] if pair not in orders[0])
                ours = next(ours for theirs, ours in orders[0] if theirs == other[0])
                notes.append(f"{other[0]} could be {ours}, or {other[1]}")
            found += orders[0]
        if notes:
            message = "expected one order of branches to fit everywhere, found several in "
            message += f"{counted(len(notes), 'section')}: lines of --map say which they are"
            raise WeightsError("G369", f"{path}: {message}", notes=notes[: 4 * SHOWN])
        return found

    def _orders(self, section: Section, theirs: Sequence[Module]) -> Iterator[list[tuple[str, str]]]:
        """Every way in which a section takes these modules."""
        if section.module is not None:
            if self._fits(section.module, theirs[0]):
                yield [(theirs[0].name, section.module.name)]
            return
        yield from self._permuted(section.branches[:MAX_BRANCHES], section.branches[MAX_BRANCHES:], theirs)

    def _permuted(
        self, left: tuple[tuple[Section, ...], ...], then: tuple[tuple[Section, ...], ...], theirs: Sequence[Module]
    ) -> Iterator[list[tuple[str, str]]]:
        if not left:
            yield from self._in_turn(tuple(each for branch in then for each in branch), theirs)
            return
        for place, branch in enumerate(left):
            size = size_of(branch)
            for first in self._in_turn(branch, theirs[:size]):
                for rest in self._permuted((*left[:place], *left[place + 1 :]), then, theirs[size:]):
                    yield first + rest

    def _in_turn(self, sections: Sequence[Section], theirs: Sequence[Module]) -> Iterator[list[tuple[str, str]]]:
        if not sections:
            yield []
            return
        size = sections[0].size
        for first in islice(self._orders(sections[0], theirs[:size]), ENOUGH):
            for rest in islice(self._in_turn(sections[1:], theirs[size:]), ENOUGH):
                yield first + rest

    def _fits(self, ours: Module, theirs: Module) -> bool:
        known = self._known.get((ours.name, theirs.name))
        if known is None:
            said = next((found for rule in self.rules if (found := rule.to_ours(theirs.name)) is not None), None)
            known = said in (None, ours.name) and self._same_arrays(ours, theirs)
            self._known[ours.name, theirs.name] = known
        return known

    def _same_arrays(self, ours: Module, theirs: Module) -> bool:
        """Whether their arrays are ours, all of them, each in a shape that it can have."""
        left = set(ours.shapes)
        for local, shape in theirs.shapes.items():
            mine = next((each for each in LOCAL[local] if each in left), None)
            name = self.plan.graph.scoped(f"{ours.name}/{mine}")
            if mine is None or form_of(self.want[name], self.layout, shape) is None:
                return False
            left.remove(mine)
        return not left

    def _no_fit(self, section: Section, theirs: Sequence[Module], path: str) -> WeightsError:
        if section.module is not None:
            return WeightsError("G368", f"{path}: expected what fits {section.module}, found {theirs[0]}")
        notes = [f"found {', '.join(map(str, theirs[:SHOWN]))}{' …' if len(theirs) > SHOWN else ''}"]
        message = f"no order of the branches that begin with {section.first} fits"
        return WeightsError("G368", f"{path}: {message}", notes=notes)
