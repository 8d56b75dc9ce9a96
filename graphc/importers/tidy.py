"""Layers as a person would write them: biases in the weights' layer, padding by its word, normalizers and activations
on the layer before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from graphc.importers.attention import join_attention
from graphc.importers.flat import FlatLayer, FlatNet
from graphc.importers.operators.windows import Pads

WORDS = ("same", "same_fixed", "valid")
NOT_SAME = frozenset({"ceil_mode", "count_include_pad"})
"""Arguments that do not go with padding `same`."""


def tidy(net: FlatNet) -> None:
    """Every step, in order."""
    for step in STEPS:
        step(net)


def _alone(net: FlatNet) -> Callable[[str], bool]:
    """Whether a value is read once, and is no output."""
    counts = {name: len(readers) for name, readers in net.readers().items()}
    kept = set(net.outputs.values())
    return lambda name: counts.get(name) == 1 and name not in kept


def move_biases(net: FlatNet) -> None:
    """Biases that are added behind weights without any."""
    alone, by_name = _alone(net), {layer.name: layer for layer in net.layers}
    gone: dict[str, str] = {}
    for layer in net.layers:
        if layer.params.keys() != {"biases"} or len(layer.inputs) != 1:
            continue
        source = by_name.get(gone.get(layer.inputs[0], layer.inputs[0]))
        if source is not None and source.arguments.get("bias") is False and alone(layer.inputs[0]):
            source.arguments["bias"] = True
            source.params["biases"] = layer.params["biases"]
            gone[layer.name] = source.name
    net.without(gone)


def join_pools(net: FlatNet) -> None:
    """A pooling of the whole image, and the layer that makes a vector of its pixel, or a pixel of its vector, are
    one."""
    alone, by_name = _alone(net), {layer.name: layer for layer in net.layers}
    gone: dict[str, str] = {}
    for layer in net.layers:
        source = by_name.get(gone.get(layer.inputs[0], layer.inputs[0]))
        if source is None or layer.params or layer.layer_class.family != "shape" or not alone(layer.inputs[0]):
            continue
        kept = source.arguments.get("keep_dims", False)
        if "keep_dims" not in source.layer_class.model_fields or source.layer_class.family != "pooling":
            continue
        before = source.shape if kept else layer.shape
        if before[:-1] != (1,) * source.layer_class.rank or (layer.shape if kept else source.shape) != before[-1:]:  # type: ignore[attr-defined]
            continue
        source.arguments = {} if kept else {"keep_dims": True}
        source.shape = layer.shape
        gone[layer.name] = source.name
    net.without(gone)


def move_borders(net: FlatNet) -> None:
    """Zeros around an image that one convolution alone reads are its padding."""
    alone, by_name = _alone(net), {layer.name: layer for layer in net.layers}
    gone: dict[str, str] = {}
    for layer in net.layers:
        source, pads = by_name.get(layer.inputs[0]), layer.arguments.get("padding")
        if source is None or source.arguments.keys() != {"padding"} or "bias" not in layer.arguments:
            continue
        border = source.arguments["padding"]
        if (
            isinstance(pads, Pads)
            and not isinstance(pads.pixels, str)
            and alone(source.name)
            and len(border) == len(pads.kernel)
        ):
            layer.arguments["padding"] = pads.inside(border)
            gone[source.name] = source.inputs[0]
    net.without(gone)


def choose_padding(net: FlatNet) -> None:
    """One word for the padding of all windows, where it is right: TensorFlow's `same` where a window has the odd pixel
    behind, PyTorch's `same_fixed` where windows with strides have pixels on both sides; else pixels."""
    windows = [layer for layer in net.layers if isinstance(layer.arguments.get("padding"), Pads)]
    all_pads: list[Pads] = [layer.arguments["padding"] for layer in windows]
    told = [pads for pads in all_pads if pads.has_pixels() and max(pads.stride) > 1]
    votes = {word: sum(pads.is_said_by(word) for pads in told) for word in WORDS}
    stated = any(pads.pixels == "same" for pads in all_pads)
    first = "same" if stated or not told or votes["same"] > votes["same_fixed"] else "same_fixed"
    order = [first, *(word for word in WORDS if word != first)]
    for layer, pads in zip(windows, all_pads, strict=True):
        words = [word for word in order if word != "same" or NOT_SAME.isdisjoint(layer.arguments)]
        layer.arguments["padding"] = _written(pads, words)
    _settle_free(windows, all_pads)


def _written(pads: Pads, order: list[str]) -> Any:
    """The first word that is right; `valid` before others where there is no padding at all and windows move."""
    if not pads.has_pixels() and max(pads.kernel) > 1:
        return "valid"
    return next((word for word in order if pads.is_said_by(word)), None) or pads.explicit()


def _settle_free(windows: list[FlatLayer], all_pads: list[Pads]) -> None:
    """Windows of one pixel, for which every word is right, take the commonest of their kind."""
    for kind in {layer.kind for layer in windows}:
        ours = [(layer, pads) for layer, pads in zip(windows, all_pads, strict=True) if layer.kind == kind]
        words = Counter(
            layer.arguments["padding"]
            for layer, pads in ours
            if not pads.is_free() and isinstance(layer.arguments["padding"], str)
        )
        common = words.most_common(1)[0][0] if words else "same"
        for layer, pads in ours:
            if pads.is_free():
                layer.arguments["padding"] = common


def drop_unit_scales(net: FlatNet) -> None:
    """Batch norms whose gamma is 1 everywhere, in the whole net, have none."""
    normal = [layer for layer in net.layers if "moving_mean" in layer.params]
    if normal and all((layer.params["gamma"] == 1).all() for layer in normal):
        for layer in normal:
            layer.arguments["scale"] = False
            del layer.params["gamma"]


def attach(net: FlatNet) -> None:
    """Normalizers and activations that alone read a layer are written on it."""
    alone = _alone(net)
    gone: dict[str, str] = {}
    by_name = {layer.name: layer for layer in net.layers}
    for layer in net.layers:
        family, source = layer.layer_class.family, gone.get(layer.inputs[0], layer.inputs[0])
        before = by_name.get(source)
        if before is None or len(layer.inputs) != 1 or not alone(layer.inputs[0]):
            continue
        accepts = before.layer_class.accepts
        free = before.normalizer is before.activation is None and before.arguments.get("bias") is False
        if family == "normalization" and "normalizer" in accepts and free:
            before.normalizer = layer
        elif family == "activation" and "activation" in accepts and before.activation is None:
            before.activation = layer
        else:
            continue
        before.shape = layer.shape
        gone[layer.name] = source
    net.without(gone)


STEPS: tuple[Callable[[FlatNet], None], ...] = (
    move_biases, join_attention, join_pools, move_borders, choose_padding, drop_unit_scales, attach
)  # fmt: skip
