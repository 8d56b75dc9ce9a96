"""The way back: what a library calls each variable of a network, and how it holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from graphc.errors import WeightsError
from graphc.graph import Plan
from graphc.spec.pretrained import Net, PretrainedSource
from graphc.types import Array
from graphc.weights.layouts import Form, Wanted, forms, wanted

TORCH: Mapping[str, str] = {
    **dict.fromkeys(("weights", "depthwise_weights", "gamma", "alpha"), "weight"),
    **dict.fromkeys(("biases", "beta"), "bias"),
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
KERAS: Mapping[str, str] = {
    "weights": "kernel",
    "biases": "bias",
    "depthwise_weights": "depthwise_kernel",
    "pointwise_weights": "pointwise_kernel",
}
LOCAL: Mapping[str, tuple[Mapping[str, str], str]] = {
    "torchvision": (TORCH, "."),
    "timm": (TORCH, "."),
    "keras": (KERAS, "/"),
    "tf_slim": ({}, "/"),
}
"""What a library calls a module's arrays (else as here), and what stands between module and array."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """A variable as a library has it."""

    name: str
    form: Form


def theirs(plan: Plan, source: PretrainedSource) -> dict[str, Theirs]:
    """Each variable of a plan, by our full name, as the source has it; a WeightsError that names those that it has no
    name for."""
    found: dict[str, Theirs] = {}
    unnamed = []
    for name, want in wanted(plan).items():
        short = name.removeprefix(plan.graph.scoped(""))
        called = _name(short, name, source)
        if called is None:
            unnamed.append(short)
        else:
            found[name] = Theirs(called, _form(want, short.rpartition("/")[0], source))
    if unnamed:
        some = ", ".join(unnamed[:5])
        more = f" and {len(unnamed) - 5} more" if len(unnamed) > 5 else ""
        raise WeightsError("G364", f"{source.name} has no name for {some}{more} of {plan.graph.name}")
    return found


def exported(plan: Plan, source: PretrainedSource, params: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a network, float32, of any shape, by the source's names and in its layout."""
    return {each.name: each.form.to_theirs(params[ours]) for ours, each in theirs(plan, source).items()}


def net_of(plan: Plan, source: PretrainedSource) -> Net:
    """The source's network that this one is, with the settings that it has; a WeightsError where it is none."""
    known = plan.graph.pretrained
    fits = [net for net in source.nets if net.refused is None]
    for net in fits:
        told = {name: known.defaults[name] for each in source.nets for name in each.settings} | dict(net.settings)
        told.pop("classes", None)
        if all(known.variables.get(name) == value for name, value in told.items()):
            return net
    there = ", ".join(net.name for net in fits) or "none"
    raise WeightsError(
        "G365", f"{plan.graph.name} with these settings is no network of {source.name}'s: {there} would be"
    )


def _name(short: str, full: str, source: PretrainedSource) -> str | None:
    """What the source calls a variable: a rule is about it, or about its module."""
    local, sign = LOCAL.get(source.name, (TORCH, "."))
    if not source.rules:
        return full if source.name == "tf_slim" else None
    whole = next((found for rule in source.rules if (found := rule.to_theirs(short)) is not None), None)
    if whole is not None:
        return whole
    module, _, leaf = short.rpartition("/")
    called = next((found for rule in source.rules if (found := rule.to_theirs(module)) is not None), None)
    return None if called is None else f"{called}{sign}{local.get(leaf, leaf)}"


def _form(want: Wanted, module: str, source: PretrainedSource) -> Form:
    """How the source holds a variable: as usual, or as it says of the module."""
    possible = list(forms(want, source.layout or "OIHW"))
    rank = next((rank for pattern, rank in source.ranks.items() if fnmatchcase(module, pattern)), None)
    shape = want.spec.shape
    if rank is not None and not want.spec.axes and len(shape) == 1:
        return Form((*shape, *[1] * (rank - 1)), shape, (0,))
    return next((form for form in possible if rank in (None, len(form.shape))), possible[0])
