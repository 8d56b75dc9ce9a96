"""What a run's ONNX files say of their inputs and outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphc.data.images import PIXEL_LIMIT
from graphc.dims import is_image
from graphc.graph import Plan
from graphc.signature import CLASSES, InputSignature, OutputSignature, Signature, StoredArray
from graphc.train.heads import Heads, Target
from graphc.train.recipe import Recipe
from graphc.train.run import preprocessing
from graphc.train.run_folder import RunFolder
from graphc.train.targets import classes_in
from graphc.train.trained import planned


def output_signature(head: Target, classes: Mapping[str, tuple[str, ...]]) -> OutputSignature:
    """Of a head, with the classes by target."""
    loss = head.loss
    return OutputSignature(
        says=loss.says, activation=loss.activation_of(head.shape), classes=classes.get(head.target, ())
    )


def signature_of(recipe: Recipe, plan: Plan, facts: Mapping[str, Any], of: Plan, raw: str | None = None) -> Signature:
    """Of the plan `of` compiled with the weights that the recipe gave `plan`; `raw`: the type of what the file itself
    preprocesses, None where it does not."""
    classes = classes_in(facts)
    names = {node: name for name, node in reversed(list(of.graph.outputs.items()))}
    outputs = {
        names[node]: output_signature(head, classes)
        for node, head in Heads(plan, recipe).by_node.items()
        if node in names and of.shapes.get(node) == head.shape
    }
    limit = getattr(recipe.data.train, "max_pixels", PIXEL_LIMIT)
    inputs = {}
    for given in of.graph.inputs:
        settings = preprocessing(recipe.data, given.name)
        if raw is not None and not is_image(given.shape):
            continue
        shape = settings.input_shape(tuple(size if isinstance(size, int) else None for size in given.shape))  # type: ignore[misc]
        inputs[given.name] = InputSignature(
            shape=shape,
            preprocess=settings if raw is None else None,
            arrays={name: StoredArray.of(array) for name, array in settings.arrays.items()} if raw is None else {},
            factor=_factor(recipe, given.name, facts) if raw == "float32" else 1.0,
            max_pixels=limit,
            resize=recipe.data.resize,
        )
    return Signature(inputs=inputs, outputs=outputs)


def _factor(recipe: Recipe, name: str, facts: Mapping[str, Any]) -> float:
    """Of bytes, for a file whose preprocessing takes floats as the run was trained on."""
    settings = preprocessing(recipe.data, name)
    came_as_bytes = name in facts.get("bytes", [name])
    return 1.0 if came_as_bytes or settings.steps or settings.scale is not None else 1 / 255


def metadata_of(
    recipe: Recipe, plan: Plan, facts: Mapping[str, Any], of: Plan, raw: str | None = None
) -> dict[str, str]:
    """Classes and signature, for a file's metadata."""
    signature = signature_of(recipe, plan, facts, of, raw)
    return {CLASSES: json.dumps(facts["classes"]), **signature.metadata()}


def metadata_of_run(run: Path | str, raw: str, of: Plan) -> dict[str, str]:
    """The same of a run's folder, for a file that preprocesses."""
    folder = RunFolder(run)
    facts = folder.read_facts()
    recipe, plan, _ = planned(folder, facts)
    return metadata_of(recipe, plan, facts, of, raw)
