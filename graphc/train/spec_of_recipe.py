"""The network that a recipe names, planned."""

from __future__ import annotations

from pathlib import Path

from graphc.compiler import plan_spec
from graphc.graph import Plan
from graphc.spec.documents import read_document
from graphc.spec.zoo import find
from graphc.train.recipe import Model


def plan_of(model: Model, base: Path) -> Plan:
    """The plan of a recipe's model; the spec's path starts at the recipe's folder."""
    return plan_spec(spec_path(model, base), model.set, until=model.until)  # type: ignore[arg-type]


def spec_path(model: Model, base: Path) -> Path | str:
    """The spec's file beside the recipe, or its zoo name."""
    beside = base / model.spec
    return beside if beside.is_file() or "/" in model.spec or "." in model.spec else model.spec


def spec_texts(model: Model, base: Path) -> dict[str, str]:
    """Every file that the spec consists of, by its path from the spec's folder; the spec first."""
    return read_document(find(spec_path(model, base))).texts
