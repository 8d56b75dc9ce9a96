"""A detection loss on the network: it reads the maps that go into the decoding, metrics judge what the suppression
keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar

from graphc.data.examples import BOX_LABEL, NO_CLASS, Examples, of_crowds
from graphc.data.sample import BOXES, BOXES_THERE
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import Want
from graphc.dims import is_image
from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.kernels.box_coding import BoxCoder
from graphc.layers.protocols import DecodesBoxes, SuppressesBoxes
from graphc.lazy import np
from graphc.train.loss_term import LossTerm, TargetForm, Values
from graphc.train.losses import Mean
from graphc.train.losses.detection import PlacedDetection
from graphc.train.metrics import Head
from graphc.train.target_checks import check_boxes
from graphc.training_graph.tensor import Tensor, concat
from graphc.types import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionTerm(LossTerm):
    """A detection loss on the output of a suppression of boxes."""

    judged_in_training: ClassVar[bool] = False

    maps: tuple[str, ...]
    """Nodes of the maps that the decoding reads."""
    shapes: tuple[tuple[int, ...], ...]
    """Of an example's maps."""
    decoder: DecodesBoxes
    placed: PlacedDetection = field(repr=False)
    """The loss on what the decoding's numbers mean."""
    size: tuple[int, int]
    """(height, width) of the network's input."""
    relative: bool
    """Whether targets are shares of height and width, not pixels."""

    @property
    def sources(self) -> tuple[str, ...]:
        return self.maps

    @property
    def reads(self) -> tuple[str, ...]:
        return (BOXES, BOXES_THERE, BOX_LABEL) if self.decoder.num_classes > 1 else (BOXES, BOXES_THERE)

    @property
    def class_target(self) -> str:
        return BOX_LABEL

    @property
    def form(self) -> Head:
        return Head(self.shape, self.loss, box_classes=self.decoder.num_classes)

    def wants(self) -> Iterator[tuple[str, Want]]:
        yield BOXES, Want(self.loss.target_kinds)
        if self.decoder.num_classes > 1:
            yield BOX_LABEL, Want(frozenset({TargetKind.CLASS}), (self.decoder.num_classes,))

    def prediction(self, run: Values) -> Array:
        return self.decoder.rows(*(run.value(node) for node in self.maps))

    def nothing(self, examples: int, dtype: str) -> Array:
        return self.decoder.rows(*(np.zeros((examples, *shape), dtype) for shape in self.shapes))

    def target_of(self, targets: Mapping[str, Array]) -> Array:
        """Left, top, right, bottom in pixels of the network's input, class (-1: no box), and with crowds whether it is
        one, [N, M, 5 or 6]."""
        count = len(targets[BOXES])
        boxes = targets[BOXES].reshape(count, -1, 4).astype(np.float64)
        there = targets[BOXES_THERE].reshape(count, -1) > 0
        there &= (boxes[..., 2:] > boxes[..., :2]).all(axis=-1)
        if self.relative:
            boxes *= np.array([*self.size[::-1]] * 2)
        labels = targets[BOX_LABEL].reshape(count, -1) if self.decoder.num_classes > 1 else np.zeros(there.shape)
        crowds = there & (labels < NO_CLASS)
        columns = [np.where(there, np.where(crowds, of_crowds(labels), labels), NO_CLASS)]
        if crowds.any():
            columns.append(crowds)
        return np.concatenate([np.where(there[..., None], boxes, 0), np.stack(columns, axis=-1)], axis=-1)

    def mean(self, prediction: Array, target: Array, weights: Array | None) -> Mean:
        return self.placed.mean(prediction, target, weights)

    def gradients(self, gradient: Array) -> dict[str, Array]:
        shapes = [(len(gradient), *shape) for shape in self.shapes]
        return dict(zip(self.maps, self.decoder.maps(gradient, *shapes), strict=True))

    def count(self, target: Array, weights: Array | None, dtype: str) -> int:
        return len(target) if weights is None else int(np.count_nonzero(weights))

    def label_form(self, forms: Mapping[str, TargetForm]) -> TargetForm:
        return TargetForm((math.prod(forms[BOXES].shape) // 4, 5), whole=False)

    def label_of(self, targets: Mapping[str, Array], weights: Array | None) -> Array:
        """Left, top, right, bottom in pixels of the network's input, and the class, -1 of what nothing learns: no box,
        or a crowd; [N, M, 5]."""
        found = self.target_of(targets)
        crowds = found[..., 5:].any(axis=-1)
        return np.concatenate([found[..., :4], np.where(crowds, NO_CLASS, found[..., 4])[..., None]], axis=-1)

    def emit_prediction(self, values: Mapping[str, Tensor]) -> Tensor:
        return concat(self.decoder.emit_rows(*(values[node] for node in self.maps)), axis=2)

    def emit(self, prediction: Tensor, label: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.placed.emit(prediction, label, weights)

    def emit_gradients(self, gradient: Tensor, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        width = self.placed.coder.width
        parts = gradient.split([width, gradient.shape[2] - width], 2)
        maps = self.decoder.emit_maps(*parts, *(values[node] for node in self.maps))
        return dict(zip(self.maps, maps, strict=True))

    def kind_of_target(self, target: Array, examples: Examples, binary: bool, size: tuple[int, ...]) -> TargetKind:
        check_boxes(examples, self.decoder.num_classes)
        return TargetKind.BOXES


def detection_term(plan: Plan, term: LossTerm, relative: bool) -> DetectionTerm:
    """The term with what it reads: the decoding before the suppression that it is on, and the maps before that."""
    if term.target != BOXES:
        raise SpecError("G606", f"detection expects the target {BOXES!r}, found {term.target!r}")
    suppression = plan.by_name[term.node].node
    decoding = plan.by_name.get(suppression.inputs[0])
    if not isinstance(suppression.layer, SuppressesBoxes):
        found = f"{term.name} is {suppression.layer.kind}"
        raise SpecError("G606", f"detection expects the output of non_max_suppression, found that {found}")
    decoder: object = None if decoding is None else decoding.node.layer
    if decoding is None or not isinstance(decoder, DecodesBoxes):
        found = suppression.inputs[0] if decoding is None else f"{decoding.node.layer.kind} ({suppression.inputs[0]})"
        message = f"detection expects decode_distances or decode_deltas before {suppression.name}, found {found}"
        raise SpecError("G606", message)
    images = [each.shape for each in plan.graph.inputs if is_image(each.shape)]
    if len(images) != 1:
        raise SpecError("G606", f"detection expects one input with images, found {len(images)}")
    maps = decoding.node.inputs
    shapes = tuple(tuple(int(size) for size in plan.shapes[node]) for node in maps)  # type: ignore[arg-type]
    coder: BoxCoder = decoder.coder([(shape[0], shape[1]) for shape in shapes])
    height, width = (int(size) for size in images[0][:2])  # type: ignore[arg-type]
    for number, (shape, stride) in enumerate(zip(shapes, decoder.steps, strict=True), start=1):
        _check_stride(decoding.node.name, number, shape, stride, (height, width))
    known = {each.name: getattr(term, each.name) for each in fields(LossTerm)}
    return DetectionTerm(
        **known,
        maps=maps,
        shapes=shapes,
        decoder=decoder,
        placed=term.loss.on(coder, decoder.has_background),  # type: ignore[attr-defined]
        size=(height, width),
        relative=relative,
    )


def _check_stride(name: str, number: int, shape: tuple[int, ...], stride: int, size: tuple[int, int]) -> None:
    """An error where a map [h, w, …] has not a pixel for each stride of the network's input."""
    expected = [(side // stride, -(-side // stride)) for side in size]
    if not all(found in sides for found, sides in zip(shape, expected, strict=False)):
        input_size, found = "×".join(map(str, size)), "×".join(map(str, shape[:2]))
        wanted = "×".join(str(most) for _, most in expected)
        message = (
            f"{name}: map {number} has {found} pixels, at a stride of {stride} an input of {input_size} has {wanted}"
        )
        raise SpecError("G606", f"{message}: expected the stride of the map")
