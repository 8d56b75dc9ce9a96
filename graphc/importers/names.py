"""Names of layers, from those that exporters gave to nodes.

TorchScript calls a node by the path of its module (`/layer1/layer1.0/conv1/Conv`), TensorFlow by its scopes
(`model/conv1/Conv2D`), graphc by the layer (`block1/unit_1/conv1`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from graphc.importers.flat import FlatNet

ODD = re.compile(r"[^\w.\-]+", re.ASCII)
OPERATOR = re.compile(r"[A-Z][A-Za-z0-9]*(?:_\d+)?")
WORDS = frozenset({"null", "true", "false", "none"})
LONGEST = 80


def clean(text: str) -> str:
    """Letters, digits, dots, dashes and underscores, beginning with a letter; may be empty."""
    found = ODD.sub("_", text)[:LONGEST].strip("._-")
    if found.lower() in WORDS or (found and not found[0].isalpha()):
        found = f"layer_{found}"
    return found


def module_of(node: str) -> str:
    """The path of what made a node, in dots: `layer1.0.conv1`."""
    parts = [part for part in node.split("/") if part]
    if len(parts) > 1 and OPERATOR.fullmatch(parts[-1]):
        parts.pop()
    elif node.startswith("/") and parts:
        parts = parts[:-1] if OPERATOR.fullmatch(parts[-1]) else parts
    longest = [part for part, after in zip(parts, [*parts[1:], ""], strict=False) if not after.startswith(f"{part}.")]
    return ".".join(longest)


def name_layers(net: FlatNet) -> None:
    """Give every layer a name of its own; one that stands for a module has the module's."""
    modules = _without_common([module_of(layer.node) for layer in net.layers])
    containers = {module.rpartition(".")[0] for module in modules if module}
    uses = Counter(modules)
    taken = set(net.inputs)
    names: dict[str, str] = {}
    for layer, module in zip(net.layers, modules, strict=True):
        own = bool(module) and module not in containers and (uses[module] == 1 or bool(layer.params))
        wanted = module if own else f"{module}.{layer.kind}" if module else layer.kind
        name = unique(clean(wanted) or layer.kind, taken)
        names[layer.name] = name
    for layer in net.layers:
        layer.name = names[layer.name]
        layer.inputs = tuple(names.get(source, source) for source in layer.inputs)
    net.outputs = {name: names.get(source, source) for name, source in net.outputs.items()}


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken; it is taken then. Numbers are tried by halves, as thousands of nodes
    may have one name."""
    if name in taken:
        free = 2
        while f"{name}_{free}" in taken:
            free *= 2
        used = free // 2
        while free - used > 1:
            middle = (used + free) // 2
            used, free = (middle, free) if f"{name}_{middle}" in taken else (used, middle)
        name = f"{name}_{free}"
    taken.add(name)
    return name


def _without_common(modules: list[str]) -> list[str]:
    """The paths without what all of them begin with."""
    parts = [module.split(".") for module in modules]
    longer = [each for each, module in zip(parts, modules, strict=True) if module]
    if len(longer) < 2:
        return modules
    first, last = min(longer), max(longer)
    same = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return [
        ".".join(each[min(same, min(map(len, longer)) - 1) :]) if module else ""
        for each, module in zip(parts, modules, strict=True)
    ]


def clean_ports(names: Iterable[str], taken: set[str]) -> dict[str, str]:
    """Names of inputs or outputs -> what a spec may call them."""
    return {name: unique(clean(name) or "port", taken) for name in names}
