"""`pretrained:` of a spec: whose weights fit it, by what names, with what settings; and whose only seem to.

    pretrained:
      torchvision:
        rules:
          - conv1: features/conv1
          - within: {"layer{s}.{i}": "features/stage{s}/unit_{i+1}"}
            rules: {conv1: conv1, bn1: conv1/BatchNorm}
        nets:
          resnet50: {}
          resnet101: {set: {units3: 23}}
      timm:
        nets:
          resnetaa50: {refused: "it smooths before it strides, by layers without weights", use: none}

Rules go from their names of modules to ours (`graphc.name_rules`), without the network's own name in front; a spec's
own come before those that it includes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

from graphc.errors import Errors, Place, SpecError, clipped
from graphc.name_rules import NameRule, RuleError
from graphc.spec.documents import check_keys
from graphc.spec.model import ModelSpec
from graphc.spec.source import SpecList, SpecMap

SOURCE_KEYS = ("rules", "nets", "ranks", "layout", "preprocess", "labels")
NET_KEYS = ("set", "refused", "use", "preprocess", "labels")
GROUP_KEYS = ("within", "rules")
MAX_RULES = 10_000
MAX_LETTERS = 2_000_000
MAX_RANK = 5
Layout: TypeAlias = Literal["HWIO", "OIHW"]
LAYOUTS: Mapping[str, Layout] = {"torchvision": "OIHW", "timm": "OIHW", "keras": "HWIO", "tf_slim": "HWIO"}
"""How arrays of known sources lie: a convolution's weights by axes."""


@dataclass(frozen=True)
class Net:
    """A network of theirs that has these names."""

    source: str
    name: str
    settings: Mapping[str, Any]
    """Variables of the spec and the values with which it is that network."""
    refused: str | None
    """Why it computes something else; None: it does not."""
    use: str | None
    """The spec that it fits, where there is one."""
    preprocess: SpecMap | None
    labels: str | None

    @property
    def title(self) -> str:
        return f"{self.source}'s {self.name}"


@dataclass(frozen=True)
class PretrainedSource:
    """Who publishes weights: a library, and how it calls what the spec has."""

    name: str
    written: tuple[tuple[str, str, Place], ...]
    """Rules as they are written: theirs, ours."""
    nets: tuple[Net, ...]
    layout: Layout | None
    """How its arrays lie; None: as each file says."""
    ranks: Mapping[str, int]
    """Our modules, by pattern, whose array has other axes there than the kind of layer has: 2 of a convolution that is
    a dense layer's matrix, 3 of numbers for each channel that are C×1×1."""

    @cached_property
    def rules(self) -> tuple[NameRule, ...]:
        """A SpecError at its place where a rule cannot be right."""
        found, errors = [], Errors()
        for theirs, ours, place in self.written:
            try:
                found.append(NameRule.of(theirs, ours))
            except RuleError as error:
                errors.add(SpecError("G191", f"pretrained.{self.name}: {error}", place))
        errors.raise_if_any()
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Pretrained:
    """All that a spec says of other people's weights."""

    sources: Mapping[str, PretrainedSource] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    """The spec's, as they are."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The same without `--set`."""


def read_pretrained(spec: ModelSpec) -> Pretrained:
    """Every source by its name; none where a spec says nothing."""
    found = {name: _source(name, spec.pretrained) for name in spec.pretrained}
    for source in found.values():
        for net in source.nets:
            unknown = [name for name in net.settings if name not in spec.vars]
            if unknown:
                place = spec.pretrained[source.name]["nets"].places[net.name]
                message = f"{net.title}: set expects variables of the spec, found {', '.join(unknown)}"
                raise SpecError("G190", message, place)
    return Pretrained(found, spec.vars, spec.defaults)


def _source(name: str, written: SpecMap) -> PretrainedSource:
    source = _mapping(written, name, "pretrained")
    where = f"pretrained.{name}"
    check_keys(source, SOURCE_KEYS, where)
    rules = tuple(_counted_rules(source, where)) if "rules" in source else ()
    nets = _mapping(source, "nets", where) if source.get("nets") is not None else SpecMap.empty(source.place)
    layout = source.get("layout", LAYOUTS.get(name))
    if layout not in (None, "HWIO", "OIHW"):
        raise SpecError("G190", f"{where}: layout expects HWIO or OIHW, found {clipped(layout)}", source.place)
    ranks = _mapping(source, "ranks", where) if source.get("ranks") is not None else SpecMap.empty(source.place)
    for pattern, rank in ranks.items():
        if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= MAX_RANK:
            message = f"{where}: ranks expects a number of axes from 1 to {MAX_RANK}, found {clipped(rank)}"
            raise SpecError("G190", message, ranks.places[pattern])
    return PretrainedSource(name, rules, tuple(_net(name, each, nets, source) for each in nets), layout, ranks)


def _counted_rules(tree: SpecMap, where: str) -> list[tuple[str, str, Place]]:
    """Those of a source, or of a group, as many as there may be."""
    found: list[tuple[str, str, Place]] = []
    letters = 0
    for theirs, ours, place in _rules(tree, "rules", where):
        found.append((theirs, ours, place))
        letters += len(theirs) + len(ours)
        if len(found) > MAX_RULES or letters > MAX_LETTERS:
            most = f"{MAX_RULES:,} rules, or of {MAX_LETTERS:,} letters"
            raise SpecError("G190", f"{where}: more than {most}", tree.places["rules"])
    return found


def _rules(tree: SpecMap, key: str, where: str) -> Iterator[tuple[str, str, Place]]:
    """One after the other, those of a group for everything that it is within."""
    written = tree[key]
    if isinstance(written, SpecMap):
        entries = [(written, tree.places[key])]
    elif isinstance(written, SpecList):
        entries = list(zip(written, written.places, strict=True))
    else:
        raise SpecError("G190", f"{where}: rules expects theirs: ours, or a list, found {clipped(written)}", tree.place)
    for entry, place in entries:
        if not isinstance(entry, SpecMap):
            raise SpecError("G190", f"{where}: a rule is theirs: ours, found {clipped(entry)}", place)
        if set(entry) == set(GROUP_KEYS):
            inner = _counted_rules(entry, where)
            for theirs, ours, _ in _pairs(_mapping(entry, "within", where), where):
                yield from ((_joined(theirs, t, "."), _joined(ours, o, "/"), place) for t, o, place in inner)
        else:
            yield from _pairs(entry, where)


def _pairs(entry: SpecMap, where: str) -> Iterator[tuple[str, str, Place]]:
    for theirs, ours in entry.items():
        if not isinstance(ours, str):
            message = f"{where}: expected our name for {clipped(theirs)}, found {clipped(ours)}"
            raise SpecError("G190", message, entry.places[theirs])
        yield theirs, ours, entry.key_places[theirs]


def _joined(outer: str, inner: str, sign: str) -> str:
    """One behind the other; an outer name that ends in _ or / is continued as it is."""
    sign = "" if outer.endswith(("_", "/")) else sign
    return f"{outer}{sign}{inner}" if outer and inner else outer or inner


def _net(source: str, name: str, nets: SpecMap, inherited: SpecMap) -> Net:
    where = f"pretrained.{source}.nets.{name}"
    written = _mapping(nets, name, f"pretrained.{source}.nets")
    check_keys(written, NET_KEYS, where)
    for key in ("refused", "use", "labels"):
        if written.get(key) is not None and not isinstance(written[key], str):
            raise SpecError("G190", f"{where}: {key} expects text, found {clipped(written[key])}", written.places[key])
    if written.get("use") is not None and written.get("refused") is None:
        raise SpecError("G190", f"{where}: use says which spec fits what is refused", written.places["use"])
    settings = _mapping(written, "set", where) if "set" in written else {}
    preprocess, labels = (written.get(key, inherited.get(key)) for key in ("preprocess", "labels"))
    if preprocess is not None and not isinstance(preprocess, SpecMap):
        message = f"{where}: preprocess expects a mapping, found {clipped(preprocess)}"
        raise SpecError("G190", message, (written if "preprocess" in written else inherited).places["preprocess"])
    return Net(source, name, settings, written.get("refused"), written.get("use"), preprocess, labels)


def _mapping(tree: SpecMap, key: str, where: str) -> SpecMap:
    value = tree[key]
    if not isinstance(value, SpecMap):
        raise SpecError("G190", f"{where}: {key} expects a mapping, found {clipped(value)}", tree.places[key])
    return value
