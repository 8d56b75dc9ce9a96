"""Which array of a file is which variable: names that are the same, and what rules say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from graphc.errors import WeightsError
from graphc.graph import Plan
from graphc.name_rules import NameRule

WEIGHTS = ("weights", "depthwise_weights", "gamma", "alpha")
LOCAL: Mapping[str, tuple[str, ...]] = {
    "weight": WEIGHTS,
    "kernel": WEIGHTS,
    "depthwise_kernel": ("depthwise_weights",),
    "pointwise_kernel": ("pointwise_weights",),
    "bias": ("biases", "beta"),
    "gamma_or_beta": ("beta", "gamma"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
    **{
        name: (name,)
        for name in ("weights", "biases", "depthwise_weights", "pointwise_weights", "alpha", "gamma", "beta")
    },
    "moving_mean": ("moving_mean",),
    "moving_variance": ("moving_variance",),
}
"""What libraries call a module's arrays -> ours, the first that the layer has."""


MAX_COMPARISONS = 2_000_000
"""Of the names with the rules: PyTorch's largest nets have some thousands of the one and some hundreds of the other."""
MAX_STEPS = 20_000_000
"""Of rules with a part of any text: letters of names at which it could end, with the parts that are tried behind it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Which array of a file each variable is."""

    found: Mapping[str, str]
    """Our full name -> the file's."""
    unused: tuple[str, ...]

    def beside(self, taken: Collection[str]) -> dict[str, str]:
        """Unused arrays of modules of which others are among `taken` (our names), each with the layer that those are
        variables of: the layer has none for it."""
        layers = {module_of(self.found[ours]): module_of(ours) for ours in taken if ours in self.found}
        layers.pop("", None)
        return {name: layers[module_of(name)] for name in self.unused if module_of(name) in layers}


def module_of(name: str) -> str:
    """The module that an array's name begins with, theirs or ours; empty where it begins with none."""
    return parted(name)[0]


def parted(name: str) -> tuple[str, str]:
    """An array's module and its local name, theirs or ours."""
    cut = max(name.rfind("."), name.rfind("/"))
    return name[: max(cut, 0)], name[cut + 1 :]


def sources(names: Collection[str], rules: Sequence[NameRule], plan: Plan) -> Sources:
    """Which of a file's names are which of a plan's variables: those that are the same, and what the rules say.

    A WeightsError where two of them would be one variable, or where names and rules are too many to compare.
    """
    if len(names) * len(rules) > MAX_COMPARISONS:
        most = MAX_COMPARISONS // len(names)
        message = f"expected at most {most:,} rules for {len(names):,} names of arrays, found {len(rules):,}"
        raise WeightsError("G318", message)
    parts = sum(rule.parts_behind_text for rule in rules)
    if parts and parts * sum(map(len, names)) > MAX_STEPS:
        message = (
            f"expected fewer rules with a part of any text for {len(names):,} names of arrays, found {len(rules):,}"
        )
        raise WeightsError("G318", message)
    variables = plan.variables
    found: dict[str, str] = {}
    unused = []
    for name in names:
        ours = name if name in variables else _by_rule(name, rules, variables, plan.graph.scoped)
        if ours is None:
            unused.append(name)
        elif ours in found:
            raise WeightsError("G314", f"{ours}: expected one array of the file, found two: {found[ours]} and {name}")
        else:
            found[ours] = name
    return Sources(found, tuple(unused))


def _by_rule(
    name: str, rules: Sequence[NameRule], variables: Collection[str], scoped: Callable[[str], str]
) -> str | None:
    """The variable that the first fitting rule makes of an array's name: the rule is about its module, or itself."""
    theirs, local = parted(name)
    for rule in rules:
        whole = rule.to_ours(name)
        if whole is not None:
            return _variable(scoped(whole), ("", *WEIGHTS), variables)
        module = rule.to_ours(theirs) if theirs else None
        if module is not None:
            return _variable(scoped(module), LOCAL.get(local, ()), variables)
    return None


def _variable(module: str, locals_: Sequence[str], variables: Collection[str]) -> str | None:
    names = (f"{module}/{local}" if local else module for local in locals_)
    return next((name for name in names if name in variables), None)
