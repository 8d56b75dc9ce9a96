"""Which layers a model shows by name.

Without `end_points` every layer and group that the user named is one, as `scope/layer`: TF-Slim's convention for
its VGG and ResNet nets. With it, names as written: exact, or with `*` and `?`, which do not cross a `/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphc.errors import Errors, Place, SpecError, clipped, did_you_mean
from graphc.patterns import MAX_LENGTH, WILDCARD, too_much, within_groups
from graphc.spec.entry import check_name
from graphc.spec.model import ModelSpec
from graphc.spec.source import SpecMap


def name_end_points(spec: ModelSpec, nodes: Mapping[str, str], named: Sequence[str]) -> dict[str, str]:
    """End point name -> node name; `nodes` says which node each layer or group name stands for."""
    if spec.end_points is None:
        prefix = f"{spec.scope}/" if spec.scope else ""
        return {f"{prefix}{name}": nodes[name] for name in named if name in nodes}
    if said := too_much([each for each in spec.end_points if isinstance(each, str) and WILDCARD.search(each)], named):
        raise SpecError("G128", said, spec.end_points.place)
    found: dict[str, str] = {}
    errors = Errors()
    for written, place in zip(spec.end_points, spec.end_points.places, strict=True):
        with errors.collecting():
            for name, target in _read(written, nodes, named, place):
                if found.setdefault(name, nodes[target]) != nodes[target]:
                    raise SpecError("G124", f"the end point {clipped(name)} is written twice", place)
    errors.raise_if_any()
    return found


def _read(written: Any, nodes: Mapping[str, str], named: Sequence[str], place: Place) -> Iterator[tuple[str, str]]:
    """End points and what they stand for, of one item of the list."""
    if isinstance(written, SpecMap):
        for name, target in written.items():
            for part in name.split("/"):
                check_name(part, written.key_places[name])
            if not isinstance(target, str):
                message = f"end point {name} expects the name of a layer, got {clipped(target)}"
                raise SpecError("G128", message, written.places[name])
            yield name, _known(target, nodes, written.places[name])
    elif isinstance(written, str):
        for name in _matching(written, nodes, named, place):
            yield name, name
    else:
        expected = "a name, a pattern or name: layer"
        raise SpecError("G128", f"an end point expects {expected}, got {clipped(written)}", place)


def _matching(pattern: str, nodes: Mapping[str, str], named: Sequence[str], place: Place) -> list[str]:
    if not WILDCARD.search(pattern):
        return [_known(pattern, nodes, place)]
    if len(pattern) > MAX_LENGTH:
        raise SpecError("G128", f"a pattern has at most {MAX_LENGTH:,} characters, got {len(pattern):,}", place)
    fits = within_groups(pattern).fullmatch
    names = [name for name in named if name in nodes and fits(name)]
    if not names:
        raise SpecError("G128", f"no named layer or group matches {clipped(pattern)}", place)
    return names


def _known(name: str, nodes: Mapping[str, str], place: Place) -> str:
    if name not in nodes:
        raise SpecError("G121", f"no layer or group is named {clipped(name)}{did_you_mean(name, nodes)}", place)
    return name
