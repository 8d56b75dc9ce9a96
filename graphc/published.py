"""What is known of published weights besides their numbers: how images were prepared for them, what outputs mean.

The facts are the libraries' own, `pretrained/preprocessing.json` of the zoo: by source, net and set of weights
`[size, shorter side before the middle is cut out, interpolation, normalization, labels, name of the file]`; a negative
side is of both, the aspect giving way, one below 1 the share of both that is cut out and stretched. ImageNet's thousand
names are torchvision's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from graphc import weights
from graphc.data.preprocess import FittedPreprocess, Preprocess
from graphc.data.resizing import AnyResizing, CenterCrop, Stretch
from graphc.data.sample import Interpolation
from graphc.dims import is_image
from graphc.emit.front import ELEMENTS, Front
from graphc.errors import SpecError, WeightsError
from graphc.graph import Plan
from graphc.probabilities import Activation
from graphc.signature import CLASSES, InputSignature, OutputSignature, Signature
from graphc.spec.pretrained import Net
from graphc.spec.zoo import zoo_folder
from graphc.weights.options import DEFAULT, LoadOptions
from graphc.weights.origin import ORIGIN

BYTE = 1 / 255
NORMALIZATIONS: Mapping[str, Preprocess] = {
    "imagenet": Preprocess(scale=BYTE, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "half": Preprocess(scale=BYTE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    "clip": Preprocess(scale=BYTE, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)),
    "unit": Preprocess(scale=BYTE),
    "bytes": Preprocess(scale=1.0, mean=(123.68, 116.78, 103.94)),
}
"""What is done to bytes: (x*scale - mean) / std."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """How images were prepared, and what the outputs are."""

    size: int
    side: float
    """The shorter side before the middle is cut out; below 1 the share of both sides that is cut out and stretched,
    negative: both sides, the aspect giving way."""
    interpolation: Interpolation
    normalization: str
    labels: str

    @property
    def preprocess(self) -> Preprocess:
        return NORMALIZATIONS[self.normalization]

    def resizing(self, size: int) -> AnyResizing:
        """How a picture gets this size, with the same share of it cut off as at the weights' own."""
        if self.side < 1:
            return Stretch(interpolation=self.interpolation, share=self.side if self.side > 0 else 1.0)
        side = int(self.side if size == self.size else max(size * self.side // self.size, size))
        return CenterCrop(shorter_side=side, interpolation=self.interpolation)


@dataclass(frozen=True, slots=True)
class WeightSet:
    """One of a net's sets of weights."""

    net: Net
    name: str
    file: str
    preparation: Preparation

    @property
    def title(self) -> str:
        return f"{self.net.source}:{self.net.name}.{self.name}"


def sets_of(nets: Sequence[Net]) -> list[WeightSet]:
    """Every set of weights of these nets that is known."""
    found = []
    for net in nets:
        for name, facts in _table().get(net.source, {}).get(net.name, {}).items():
            size, side, interpolation, normalization, labels, file = facts
            preparation = Preparation(size, side, interpolation, normalization, labels)
            found.append(WeightSet(net, name, file, preparation))
    return found


def sets_in(path: str | Path, plan: Plan, load: LoadOptions = DEFAULT) -> list[WeightSet]:
    """The sets of weights that a file may be, by its names, its own name, and what is said of it."""
    given = load.source
    with weights.open_weights(path) as file:
        selection = weights.Selection(file, ema=load.ema)
        found = sets_of(() if load.rules else weights.origin_of(selection, plan, given).nets)
        recorded = selection.metadata.get(ORIGIN, "").split(" ")
    name, folder = PurePath(path).name.lower(), PurePath(path).parent.name.lower()
    told = [
        [each for each in found if given is not None and given.partition(":")[2] == f"{each.net.name}.{each.name}"],
        [each for each in found if each.title in recorded],
        [each for each in found if each.file and name.startswith(each.file.lower())],
        [each for each in found if f"{each.net.name}.{each.name}".lower() in (folder, name.rpartition(".")[0])],
    ]
    return next((some for some in told if some), found)


def preparation_of(path: str | Path, plan: Plan, load: LoadOptions = DEFAULT) -> Preparation | None:
    """How images were prepared for a file's weights; None where that is not known, or not sure."""
    if not plan.graph.pretrained.sources:
        return None
    found = {each.preparation for each in sets_in(path, plan, load)}
    return found.pop() if len(found) == 1 else None


def required(path: str | Path, plan: Plan, load: LoadOptions = DEFAULT) -> Preparation:
    """The same; a WeightsError where it is not known, or not sure."""
    found = sets_in(path, plan, load)
    if not found:
        raise WeightsError("G367", f"{path}: how images were prepared for these weights is not known")
    if len({each.preparation for each in found}) > 1:
        notes = [f"--from {each.title}" for each in found[:10]]
        raise WeightsError(
            "G367", f"{path}: images were prepared otherwise for other weights of its names", notes=notes
        )
    return found[0].preparation


def metadata(path: str | Path, load: LoadOptions, front: bool, plan: Plan) -> dict[str, str]:
    """Signature and classes for an ONNX file with these weights; empty where nothing is known. `front`: the file
    prepares its images itself."""
    known = required(path, plan, load) if front else preparation_of(path, plan, load)
    if known is None:
        return {}
    labels = labels_of(known.labels)
    said = signature(known, plan, front=front).metadata()
    return {CLASSES: json.dumps(labels), **said} if labels else said


def signature(known: Preparation, plan: Plan, *, front: bool = False) -> Signature:
    """What a plan with weights whose images were prepared so takes and gives; `front`: images before preprocessing."""
    return Signature(inputs=_inputs(known, front, plan), outputs=_outputs(labels_of(known.labels), plan))


def fronts(path: str | Path, load: LoadOptions, raw: str | None, plan: Plan) -> dict[str, Front]:
    """What an ONNX file does to bytes, or to floats from 0 to 255, before the network."""
    known = required(path, plan, load)
    if raw not in (None, "uint8", "float32"):
        raise SpecError("G322", f"--raw {raw} cannot stand for the images of these weights, which are bytes")
    fitted = FittedPreprocess(known.preprocess)
    images = [each for each in plan.graph.inputs if is_image(each.shape)]
    return {
        each.name: Front(each.shape, tuple(fitted.operations((), BYTE)), ELEMENTS[raw or "uint8"]) for each in images
    }


def labels_of(name: str) -> tuple[str, ...]:
    """The names of a label set; none of an unknown one."""
    if name not in ("imagenet_1000", "imagenet_1001"):
        return ()
    text = (zoo_folder() / "pretrained" / "imagenet_1000.txt").read_text(encoding="utf-8")
    names = tuple(text.splitlines())
    return ("background", *names) if name == "imagenet_1001" else names


def _inputs(known: Preparation, front: bool, plan: Plan) -> dict[str, InputSignature]:
    found = {}
    for each in plan.graph.inputs:
        if not is_image(each.shape) or each.shape[-1] != 3:
            continue
        height, width, _ = each.shape
        fixed = height == width and isinstance(height, int)
        shape = tuple(size if isinstance(size, int) else None for size in each.shape)
        resize = known.resizing(height) if fixed and isinstance(height, int) else Stretch()
        preprocess = None if front else known.preprocess
        found[each.name] = InputSignature(shape=shape, preprocess=preprocess, resize=resize)
    return found


def _outputs(labels: tuple[str, ...], plan: Plan) -> dict[str, OutputSignature]:
    found: dict[str, OutputSignature] = {}
    kinds = {each.node.name: each.node.layer.kind for each in plan.nodes}
    for name, node in plan.graph.outputs.items():
        if labels and plan.shapes[node] == (len(labels),):
            activation: Activation = "none" if kinds.get(node) == "softmax" else "softmax"
            found[name] = OutputSignature(says="probability", activation=activation, classes=labels)
    return found


@cache
def _table() -> Mapping[str, Mapping[str, Mapping[str, tuple[int, float, Interpolation, str, str, str]]]]:
    text = (zoo_folder() / "pretrained" / "preprocessing.json").read_text(encoding="utf-8")
    table: Mapping[str, Mapping[str, Mapping[str, tuple[int, float, Interpolation, str, str, str]]]] = json.loads(text)
    return table
