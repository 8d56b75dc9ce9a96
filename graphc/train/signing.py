"""What a run's ONNX files say of their inputs and outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphc.data.sides import PIXEL_LIMIT
from graphc.dims import is_image
from graphc.graph import Plan
from graphc.signature import CLASSES, InputSignature, OutputSignature, Signature, StoredArray
from graphc.train.fitted import raw_values
from graphc.train.image_values import FLOATS, from_facts, read_as
from graphc.train.loss_term import LossTerm
from graphc.train.run_folder import CATEGORY_IDS, RunFolder
from graphc.train.targets import classes_in
from graphc.train.task import Task
from graphc.train.trained import task_of_run


def output_signature(head: LossTerm, facts: Mapping[str, Any]) -> OutputSignature:
    """Of a head, with the classes that the run's facts name."""
    loss, classes = head.loss, classes_in(facts)
    return OutputSignature(
        says=loss.says,
        activation=loss.activation_of(head.shape),
        classes=classes.get(head.class_target, ()),
        category_ids=tuple(facts.get(CATEGORY_IDS, ())) if loss.says == "boxes" else (),
        codes=loss.codes,
    )


def signature_of(
    task: Task, facts: Mapping[str, Any], of: Plan, raw: str | None = None, front: bool = False
) -> Signature:
    """Of the plan `of` compiled with the weights that the task gave its own; `front`: whether the file preprocesses
    images itself, and `raw` the type of these."""
    data = task.recipe.data
    names = {node: name for name, node in reversed(list(of.graph.outputs.items()))}
    outputs = {
        names[node]: output_signature(head, facts)
        for node, head in task.heads.by_node.items()
        if node in names and of.shapes.get(node) == head.shape
    }
    if front and any(task.preprocessing.of(given.name).settings.moves for given in of.graph.inputs):
        # boxes are of what the network reads, and nothing outside of the file knows how that was cut
        outputs = {name: each for name, each in outputs.items() if each.says != "boxes"}
    limit = getattr(data.train, "max_pixels", PIXEL_LIMIT)
    values, inputs = from_facts(facts, task.plan), {}
    for given in of.graph.inputs:
        done = task.preprocessing.of(given.name)
        if front and not is_image(given.shape):
            continue
        trained = values.get(given.name, FLOATS)
        shape = done.input_shape(tuple(size if isinstance(size, int) else None for size in given.shape))  # type: ignore[misc]
        inputs[given.name] = InputSignature(
            shape=shape,
            preprocess=None if front else done.settings,
            arrays={} if front else {name: StoredArray.of(array) for name, array in done.arrays.items()},
            read=read_as(data.train, trained),
            values=trained,
            raw=raw_values(trained, raw) if front else trained,
            max_pixels=limit,
            resize=data.resize,
        )
    return Signature(inputs=inputs, outputs=outputs)


def metadata_of(
    task: Task, facts: Mapping[str, Any], of: Plan, raw: str | None = None, front: bool = False
) -> dict[str, str]:
    """Classes and signature, for a file's metadata."""
    signature = signature_of(task, facts, of, raw, front)
    return {CLASSES: json.dumps(facts["classes"]), **signature.metadata()}


def metadata_of_run(run: Path | str, raw: str | None, of: Plan) -> dict[str, str]:
    """The same of a run's folder, for a file that preprocesses."""
    folder = RunFolder(run)
    facts = folder.read_facts()
    task, _ = task_of_run(folder, facts)
    return metadata_of(task, facts, of, raw, front=True)
