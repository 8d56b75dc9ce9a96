"""A text -> its errors and warnings, those of `graphc check`, and all that is known of what it says.

The errors are those of the strict reading, which stops where `check` stops. What is known is the plan; of a text with
errors the plan of the layers that have none, and that read none that has (`passes/partial.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from graphc.compiler import plan_graph
from graphc.errors import Errors, GraphcError, Place, SpecError, SpecErrors, Warn, once
from graphc.files import read_limited
from graphc.graph import Plan
from graphc.lsp.outline import Outline, read_outline
from graphc.lsp.text import Text
from graphc.passes.expand import unfold
from graphc.passes.lints import lints
from graphc.passes.partial import known_of, known_part
from graphc.spec.documents import KEYS
from graphc.spec.file_forms.include import Include
from graphc.spec.forms.block import read_blocks
from graphc.spec.model import ModelSpec, read_spec_text, read_what_is_right
from graphc.spec.source import LIMITS, SpecMap
from graphc.spec.zoo import find

if TYPE_CHECKING:
    from graphc.train.recipe import Recipe

Kind: TypeAlias = Literal["spec", "fragment", "recipe", "other"]
"""What a file is: a fragment is included by specs, `other` is none of ours."""
MARK = re.compile(r"""^[ \t{-]*["']?(graphc|recipe)["']?[ \t]*:""", re.MULTILINE)
KEYS_OF: Mapping[Kind, frozenset[str]] = {
    "spec": frozenset(KEYS) - {"name"},
    "fragment": frozenset(Include.taken),
    "recipe": frozenset({"model", "data", "loss", "heads", "optimizer", "learning_rate"}),
}
"""What else tells that a file is of a kind."""
Unsaved: TypeAlias = Mapping[str, str]
"""Texts that an editor has open, by absolute path."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is known of a text."""

    kind: Kind
    outline: Outline
    errors: Sequence[GraphcError] = ()
    """Those that `graphc check` reports, in its order."""
    warnings: Sequence[tuple[Warn, int]] = ()
    """Each with the number of layers of its line that it holds for."""
    model: ModelSpec | None = None
    plan: Plan | None = None
    complete: bool = False
    """Whether the plan is of the whole spec, which has no error."""
    recipe: Recipe | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """The texts of the files that it consists of, by their path from its folder."""


def kind_of(outline: Outline, was: Kind = "other") -> Kind:
    """What a file is, as its keys say. What `was` a spec or a recipe stays one while the line that says so is edited:
    as long as it has another key of one, or cannot be read."""
    found = _said(outline)
    if found != "other" or was == "other" or (outline.tree is not None and not outline.tree.keys() & KEYS_OF[was]):
        return found
    return was


def _said(outline: Outline) -> Kind:
    if outline.tree is None:
        found = MARK.search(outline.text.content)
        return "other" if found is None else "recipe" if found[1] == "recipe" else "spec"
    keys = outline.tree.keys()
    if "recipe" in keys:
        return "recipe"
    shared = keys & set(Include.taken)
    if "graphc" in keys or {"inputs", "layers"} <= keys:
        return "fragment" if shared and not keys & {"layers", "extends", "inputs"} else "spec"
    return "fragment" if shared and keys <= {*Include.taken, "include", "name"} else "other"


def analyze(content: str, path: Path, unsaved: Unsaved | None = None, was: Kind = "other") -> Analysis:
    """The analysis of a text that stands, or would stand, at an absolute path; what it `was` before an edit."""
    outline = read_outline(Text(content), str(path))
    kind = kind_of(outline, was)
    if kind == "other":
        return Analysis(kind, outline)
    if kind == "recipe":
        return _recipe(content, path, outline, unsaved or {})
    return _spec(content, path, outline, kind, unsaved or {})


def errors_of(error: GraphcError) -> list[GraphcError]:
    return list(error.errors) if isinstance(error, SpecErrors) else [error]


def _spec(content: str, path: Path, outline: Outline, kind: Kind, unsaved: Unsaved) -> Analysis:
    if kind == "fragment":
        return _fragment(content, path, outline, unsaved)
    model = expanded = None
    try:
        model = read_spec_text(content, path, unsaved=unsaved)
        expanded = unfold(model)
        plan = plan_graph(model, expanded.wired())
    except GraphcError as error:
        if expanded is not None:
            known = known_of(expanded)
        else:
            model, known = _known(content, path, outline, unsaved, model)
        return Analysis(kind, outline, errors_of(error), (), model, known, files=model.texts if model else {})
    warnings = once([*plan.warnings, *lints(plan)])
    return Analysis(kind, outline, (), warnings, model, plan, complete=True, files=model.texts)


def _known(
    content: str, path: Path, outline: Outline, unsaved: Unsaved, model: ModelSpec | None
) -> tuple[ModelSpec | None, Plan | None]:
    """What can be read of a spec with errors, and the plan of what is known."""
    try:
        model = model or read_what_is_right(outline.repaired or content, path, unsaved)
        return model, known_part(model)
    except GraphcError:
        return model, None


def _fragment(content: str, path: Path, outline: Outline, unsaved: Unsaved) -> Analysis:
    """A file that specs include: that it can be read, and its blocks; what is in them shows where they are used."""
    errors = Errors()
    try:
        model = read_what_is_right(content, path, unsaved)
    except GraphcError as error:
        return Analysis("fragment", outline, errors_of(error))

    def attempt(part: Any, instead: Any) -> Any:
        try:
            return part()
        except SpecError as error:
            errors.add(error)
            return instead

    blocks = outline.mapping("blocks")
    if isinstance(blocks, SpecMap):
        read_blocks(blocks, attempt)
    found = errors_of(errors.collected()) if errors else []
    return Analysis("fragment", outline, found, (), model, files=model.texts)


def _recipe(content: str, path: Path, outline: Outline, unsaved: Unsaved) -> Analysis:
    from graphc.train.recipe import read_recipe_text  # noqa: PLC0415  (loads NumPy)
    from graphc.train.task import Task, placing_variables, spec_path  # noqa: PLC0415

    recipe = None
    try:
        recipe = read_recipe_text(content, str(path))
        spec = find(spec_path(recipe.model, path.parent))
        text = unsaved.get(str(spec.absolute()))
        said = read_limited(spec, LIMITS.file_bytes) if text is None else text
        with placing_variables(recipe):
            model = read_spec_text(said, spec, recipe.model.set, unsaved=unsaved)
        task = Task.of(recipe, model)
    except GraphcError as error:
        return Analysis("recipe", outline, [_placed(each, path) for each in errors_of(error)], recipe=recipe)
    warnings = once([*task.plan.warnings, *lints(task.plan)])
    return Analysis("recipe", outline, (), warnings, model, task.plan, complete=True, recipe=recipe)


def _placed(error: GraphcError, path: Path) -> GraphcError:
    """The error, at the beginning of the file where it says no place."""
    if error.place is None:
        error.place = Place(str(path), 1, 1)
    return error
