"""Whose network a file of weights is, of those that a spec says of itself (`pretrained:`).

Names and shapes do not tell: networks that pad elsewhere, or round other sizes up, have the same ones and compute
something else. So a file is taken for a network only where nothing that the spec refuses has its names as well; which
one it is, its own name may say (`resnet50-0676ba61.pth`), or whoever gives it (`torchvision:resnet50`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from graphc.errors import WeightsError, clipped, did_you_mean
from graphc.graph import Plan
from graphc.name_rules import NameRule
from graphc.spec.model import read_spec
from graphc.spec.pretrained import Net, Pretrained, PretrainedSource, read_pretrained
from graphc.weights.file import Layout
from graphc.weights.names import module_of, sources
from graphc.weights.selection import Selection

ENOUGH = 0.5
"""Of a network's variables: as many names have to be a source's for it to be meant."""
ORIGIN = "graphc.origin"
"""Of the metadata: whose the weights are, `torchvision:resnet50`, several with a space between."""
SLIM = "tf_slim"
"""The source whose names are ours: that of a TensorFlow checkpoint."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose a file is."""

    rules: Sequence[NameRule] = ()
    nets: tuple[Net, ...] = ()
    """Those that it may be, all of which compute what the spec does; none: nothing is known."""
    layout: Layout | None = None
    """How its arrays lie, where it does not say."""

    @property
    def described(self) -> str:
        return " or ".join(net.title for net in self.nets)


def origin_of(file: Selection, plan: Plan, given: str | None = None) -> Origin:
    """Whose network a file is. `given`: a source, or source:net.

    A WeightsError where it is one that the spec refuses, or may be one, and where it needs other settings.
    """
    known = plan.graph.pretrained
    if given is not None:
        _check_given(given, known, plan)
    source = _source(file, plan, None if given is None else given.partition(":")[0])
    if source is None:
        if not _is_ours(file, plan):
            _check_elsewhere(file, known)
        return Origin((), _recorded(file, known))
    rules = source[0].rules
    nets = [net for each in source for net in each.nets]
    named = [net for net in nets if net.name == net_given(given)]
    nets = named or _named(nets, file.path) or nets
    meant = [net for net in nets if _in_force(net, nets, known)]
    if nets and not meant:
        raise _other_settings(nets, file, plan)
    _check_refused(meant, file)
    return Origin(rules, tuple(meant), source[0].layout)


def net_given(given: str | None) -> str:
    """The net of `timm:resnet50` or `timm:resnet50.a1_in1k`; empty where none is said."""
    return "" if given is None else given.partition(":")[2].partition(".")[0]


def _check_given(given: str, known: Pretrained, plan: Plan) -> None:
    name, colon, net = given.partition(":")
    if name not in known.sources:
        those = f"; it knows {', '.join(known.sources)}" if known.sources else "; it says nothing of any"
        there = did_you_mean(name, known.sources, any_number=True) or those
        raise WeightsError("G363", f"{plan.graph.name} knows no weights from {clipped(name)}{there}")
    nets = [each.name for each in known.sources[name].nets]
    net = net.partition(".")[0]
    if colon and net not in nets:
        raise WeightsError(
            "G363", f"{plan.graph.name} knows no net {clipped(net)} of {name}{did_you_mean(net, nets, any_number=True)}"
        )


def _source(file: Selection, plan: Plan, given: str | None) -> list[PretrainedSource] | None:
    """The sources whose names most of the file's are; None where too few are any's."""
    found: dict[str, int] = {}
    for source in plan.graph.pretrained.sources.values():
        if given in (None, source.name):
            found[source.name] = _matches(file, source, plan)
    best = max(found.values(), default=0)
    if not best or best < ENOUGH * len(plan.variables):
        return None
    return [plan.graph.pretrained.sources[name] for name, count in found.items() if count == best]


def _matches(file: Selection, source: PretrainedSource, plan: Plan) -> int:
    """How many variables the source's rules find in the file."""
    if source.name == SLIM:
        return len(sources(file.names, (), plan).found) if is_checkpoint(file) else 0
    own = len(sources(file.names, (), plan).found)
    return len(sources(file.names, source.rules, plan).found) - own if source.rules else 0


def _named(nets: Sequence[Net], path: str) -> list[Net]:
    """The nets that the file, or else its folder, is called after: those of the longest name."""
    for stem in (PurePath(path).name.lower(), PurePath(path).parent.name.lower()):
        found = [net for net in nets if re.match(rf"{re.escape(net.name.lower())}(?![a-z0-9])(?!_[0-9])", stem)]
        if found:
            break
    longest = max((len(net.name) for net in found), default=0)
    return [net for net in found if len(net.name) == longest]


def _check_refused(nets: Sequence[Net], file: Selection) -> None:
    refused = [net for net in nets if net.refused is not None]
    if not refused:
        return
    fits = [net for net in nets if net.refused is None]
    notes = [f"{net.title}: {net.refused}{f'; {net.use} is the spec that fits' if net.use else ''}" for net in refused]
    if fits:
        ask = " or ".join(f"--from {net.source}:{net.name}" for net in fits[:3])
        message = f"{file.path}: its names are those of networks that fit, and of others that only seem to: say {ask}"
        raise WeightsError("G361", message, notes=notes)
    raise WeightsError("G360", f"{file.path}: has names and shapes that fit, and computes something else", notes=notes)


def _recorded(file: Selection, known: Pretrained) -> tuple[Net, ...]:
    """The networks that a file which was converted says it was."""
    titles = file.metadata.get(ORIGIN, "").split(" ")
    nets = (net for source in known.sources.values() for net in source.nets)
    return tuple(net for net in nets if f"{net.source}:{net.name}" in {title.partition(".")[0] for title in titles})


def _is_ours(file: Selection, plan: Plan) -> bool:
    """Whether a file has the network's own names, and is none of TensorFlow's."""
    return not is_checkpoint(file) and len(sources(file.names, (), plan).found) >= ENOUGH * len(plan.variables)


def _check_elsewhere(file: Selection, known: Pretrained) -> None:
    """A WeightsError where the file has the names of a network that the spec refuses, and that another spec is."""
    for source in known.sources.values():
        for net in source.nets:
            if net.use is not None and _is_of(file, source.name, net.use):
                _check_refused([net], file)


def _is_of(file: Selection, source: str, spec: str) -> bool:
    """Whether most of a file's names are those of a spec of the zoo, as the source calls them."""
    model = read_spec(spec)
    if source == SLIM:
        ours = [name for name in file.names if name.startswith(f"{model.scope}/")]
        return is_checkpoint(file) and len(ours) >= ENOUGH * len(file.names) > 0
    rules = read_pretrained(model).sources[source].rules
    modules = set(map(module_of, file.names))
    named = [module for module in modules if any(rule.to_ours(module) is not None for rule in rules)]
    return len(named) >= ENOUGH * len(modules) > 0


def is_checkpoint(file: Selection) -> bool:
    return str(file.format).startswith("TensorFlow checkpoint")


def _in_force(net: Net, nets: Sequence[Net], known: Pretrained) -> bool:
    """Whether the spec is this network with the settings that it has."""
    return all(known.variables.get(name) == value for name, value in _settings(net, nets, known).items())


def _settings(net: Net, nets: Sequence[Net], known: Pretrained) -> Mapping[str, Any]:
    """Every variable that tells these nets apart, as this one has it; how many classes there are tells none."""
    told = {name: known.defaults[name] for each in nets for name in each.settings}
    return {name: value for name, value in {**told, **net.settings}.items() if name != "classes"}


def _other_settings(nets: Sequence[Net], file: Selection, plan: Plan) -> WeightsError:
    known = plan.graph.pretrained
    notes = []
    for net in nets:
        settings = _settings(net, nets, known).items()
        changed = [f"--set {name}={_shown(value)}" for name, value in settings if known.variables.get(name) != value]
        notes.append(f"{net.title}: {' '.join(changed)}")
    message = f"{file.path}: {plan.graph.name} has other settings than the network whose weights these are"
    return WeightsError("G362", message, notes=notes[:10])


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
