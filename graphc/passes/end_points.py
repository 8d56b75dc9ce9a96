"""Which layers a model shows by name.

Without `end_points` every layer and group that the user named is one, as `scope/layer`: TF-Slim's convention for
its VGG and ResNet nets. With it, names as written: exact, or with `*` and `?`, which do not cross a `/`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from graphc.errors import Place, SpecError, did_you_mean
from graphc.spec.model import ModelSpec
from graphc.spec.source import SpecMap, clipped


def name_end_points(spec: ModelSpec, nodes: Mapping[str, str], named: Sequence[str]) -> dict[str, str]:
    """End point name -> node name; `nodes` says which node each layer or group name stands for."""
    if spec.end_points is None:
        prefix = f"{spec.scope}/" if spec.scope else ""
        return {f"{prefix}{name}": nodes[name] for name in named if name in nodes}
    found: dict[str, str] = {}
    for written, place in zip(spec.end_points, spec.end_points.places, strict=True):
        if isinstance(written, SpecMap):
            for name, target in written.items():
                found[name] = nodes[_known(str(target), nodes, written.places[name])]
        elif isinstance(written, str):
            found.update({name: nodes[name] for name in _matching(written, nodes, named, place)})
        else:
            raise SpecError(
                "G128", f"an end point expects a name, a pattern or name: layer, got {clipped(written)}", place
            )
    return found


def _matching(pattern: str, nodes: Mapping[str, str], named: Sequence[str], place: Place) -> list[str]:
    if not re.search(r"[*?]", pattern):
        return [_known(pattern, nodes, place)]
    wildcards = {"*": "[^/]*", "?": "[^/]"}
    parts = (wildcards.get(part, re.escape(part)) for part in re.split(r"([*?])", pattern))
    expression = re.compile("".join(parts))
    names = [name for name in named if name in nodes and expression.fullmatch(name)]
    if not names:
        raise SpecError("G128", f"no named layer or group matches {clipped(pattern)}", place)
    return names


def _known(name: str, nodes: Mapping[str, str], place: Place) -> str:
    if name not in nodes:
        raise SpecError("G121", f"no layer or group is named {clipped(name)}{did_you_mean(name, nodes)}", place)
    return name
