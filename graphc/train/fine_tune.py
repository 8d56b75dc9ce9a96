"""The recipe that `graphc new SPEC --weights FILE --data FOLDER` writes: somebody's weights, trained on for the classes
of a folder, with images prepared as they were for the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphc import weights
from graphc.compiler import plan_model
from graphc.data.resizing import AnyResizing
from graphc.dims import is_image, is_static
from graphc.documented import flow
from graphc.errors import SpecError
from graphc.files import shown
from graphc.graph import Plan
from graphc.layers.base import static
from graphc.published import Preparation, required, sets_in
from graphc.spec.model import ModelSpec, read_spec
from graphc.train.starter import image_folder, path_from

TEMPLATE = """\
# {title}, trained on for {classes} classes. Try
#   graphc data preview {name} -o preview.png
#   graphc train {name} -o runs/net     # a new folder: log, checkpoints, best weights, ONNX
#   graphc predict runs/net photo.jpg
#   graphc compile runs/net -o net.onnx # a file that takes pictures as they are, and says its classes

recipe: 1                               # version of this format
model: {{spec: {spec}, set: {{{settings}}}}}

# Paths start at the folder of this file.
data:
{sources}
{prepared}
  augment: [flip_horizontal]            # leave it out where left and right mean something
init_from: {start}
{head}loss: softmax_cross_entropy             # one class an image; sigmoid_cross_entropy: any number of them
optimizer: adam                         # `graphc explain adam` lists its settings
learning_rate: 0.0002                   # the highest, for what has learned already
schedule: cosine                        # from there down to 0 at the end of the last epoch
batch: 16                               # images a step
epochs: 5                               # how often all training images are seen
metrics: [accuracy]                     # logged each epoch; the first one says which weights are the best
seed: 0                                 # of the first weights, the order of the images
"""
KNOWN = """\
  # As images were prepared for these weights.
  resize: {resize}
  preprocess: {preprocess}"""
UNKNOWN = """\
  # How images were prepared for these weights is not known: each channel to mean 0 and deviation 1.
  resize: center_crop
  preprocess: {mean: fit, std: fit}"""
NEW_HEAD = """\
multipliers: {patterns}                 # of the learning rate: these have to learn from the beginning
# freeze: "*/{first}/*"                 # what stays as it is, the fewer seconds a step
"""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights to begin with."""

    path: str
    load: weights.LoadOptions
    map_file: str | None = None
    """The file with the rules that `load` has."""


def fine_tuning(spec: str, start: Pretrained, data: Path, recipe: Path) -> str:
    """The text of the recipe; an error where the spec has no variable `classes`, or the file is of another network."""
    base = recipe.parent
    model = read_spec(spec)
    if "classes" not in model.vars:
        raise SpecError("G616", f"{spec}: expected a variable `classes` for the images' classes, found none")
    folder = image_folder(data)
    changed = {"classes": len(folder.classes)} if model.vars["classes"] != len(folder.classes) else {}
    plan = plan_model(read_spec(spec, changed))
    heads = new_heads(plan, start)
    known = required(start.path, plan, start.load) if sets_in(start.path, plan, start.load) else None
    taken = image_of(plan)
    if taken is None:
        raise SpecError("G616", f"{spec}: expected one input, an image of fixed size, found others")
    height, width, channels = taken
    patterns = [f"*/{head}/*" for head in heads]
    return TEMPLATE.format(
        title=f"Weights of {shown(Path(start.path).name)}",
        classes=len(folder.classes),
        name=shown(recipe.name),
        spec=flow(_named(spec, model, base)),
        settings=", ".join(f"{key}: {value}" for key, value in changed.items()),
        sources=folder.sources(base, (height, width), channels),
        prepared=_prepared(known, height),
        start=flow(_init_from(start, base, patterns)),
        head=NEW_HEAD.format(patterns=flow(dict.fromkeys(patterns, 10)), first=_first(plan)) if heads else "",
    )


def new_heads(plan: Plan, start: Pretrained) -> list[str]:
    """The layers whose variables the file has for other classes; a WeightsError where it lacks others."""
    _, report = weights.load_variables(start.path, plan, start.load)
    if report.missing or report.beside:
        report.raise_if_incomplete()
    found = [name.removeprefix(plan.graph.scoped("")).rpartition("/")[0] for name in report.mis_shaped]
    if len(found) > len(plan.variables) // 2:
        report.raise_if_incomplete()
    return list(dict.fromkeys(found))


def image_of(plan: Plan) -> tuple[int, int, int] | None:
    """Height, width and channels of the only input; None where that is no image of fixed size."""
    shapes = [given.shape for given in plan.graph.inputs]
    if len(shapes) != 1 or not is_image(shapes[0]) or not is_static(shapes[0]):
        return None
    height, width, channels = static(shapes[0], plan.graph.name)
    return height, width, channels


def image_taken(spec: str) -> tuple[int, int] | None:
    """(side, channels) of the image that a spec reads; None where it is no square, or any by the variable `size`."""
    model = read_spec(spec)
    taken = None if "size" in model.vars else image_of(plan_model(model))
    return (taken[0], taken[2]) if taken is not None and taken[0] == taken[1] else None


def _prepared(known: Preparation | None, size: int) -> str:
    if known is None:
        return UNKNOWN
    return KNOWN.format(
        resize=flow(_resize(known.resizing(size))),
        preprocess=flow(known.preprocess.model_dump(exclude_defaults=True)),
    )


def _resize(resizing: AnyResizing) -> dict[str, object]:
    return {resizing.kind: resizing.model_dump(exclude_none=True)}


def _init_from(start: Pretrained, base: Path, heads: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {"path": path_from(Path(start.path), base)}
    if heads:
        found["exclude"] = list(heads)
    if start.load.source is not None:
        found["source"] = start.load.source
    if start.map_file is not None:
        found["map"] = path_from(Path(start.map_file), base)
    if start.load.ema:
        found["ema"] = True
    return found


def _named(spec: str, model: ModelSpec, base: Path) -> str:
    """What stands for the spec in the recipe: its name in the zoo, or its path."""
    return path_from(Path(spec), base) if Path(spec).is_file() else model.name


def _first(plan: Plan) -> str:
    """The part of the names with which the first layer's begins."""
    return plan.nodes[0].node.name.partition("/")[0]
