"""darknet's networks: a cfg file, whose sections are layers, and a .weights file, whose numbers follow one another.

Where the two darknets differ (Redmon's and Bochkovskiy's), batch norm's epsilon is the latter's 1e-5. A detector's
boxes are made of the maps that its `yolo` sections read: those are the spec's outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphc.dims import is_image
from graphc.files import shown
from graphc.importers.arguments import shape_of
from graphc.importers.darknet_cfg import MAX_SOURCES, Section
from graphc.importers.flat import FlatLayer, FlatNet
from graphc.importers.onnx_graph import RefusedError
from graphc.importers.operators.windows import Pads
from graphc.types import Array

EPSILON = 1e-5
LEAK = 0.1
ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, Any]] | None] = {
    "linear": None,
    "leaky": ("leaky_relu", {"alpha": LEAK}),
    "relu": ("relu", {}),
    "relu6": ("relu6", {}),
    "elu": ("elu", {}),
    "selu": ("selu", {}),
    "gelu": ("gelu", {"approximate": "tanh"}),
    "swish": ("silu", {}),
    "mish": ("mish", {}),
    "logistic": ("sigmoid", {}),
    "tanh": ("tanh", {}),
}
"""darknet's word -> a kind with its arguments, or nothing."""
WITHOUT: Mapping[str, frozenset[str]] = {
    "connected": frozenset({"mish", "relu6", "swish"}),
    "scale_channels": frozenset({"mish", "relu6", "swish"}),
    "shortcut": frozenset({"relu6"}),
}
"""Words of which darknet's code of a section makes 0. relu6 behind a convolution is that of GPUs; the code for
processors has none."""
LARGEST = 2**31 - 1
"""Numbers of a map and of a layer's weights that darknet can count."""
POOLED = 8
"""Products that take as long as a number of a window that is pooled."""

UNREAD = frozenset({"cost", "detection", "region", "softmax", "yolo"})
"""Sections that no other may read: darknet gives on what they make of their map (activated, or without its height and
width), a spec the map."""
DETECTIONS = ("yolo", "region", "detection")
"""Sections whose map is an output."""
READ_BY_THE_NEXT = frozenset({"dropout"})
"""Sections that no other may read by their number: darknet's drop numbers of the section before them in place."""
READ_NOTHING = frozenset({"cost", "route"})
"""Sections that do not read the one before them."""


@dataclass(slots=True)
class Cursor:
    """Where each variable of the .weights file belongs: layers' shapes in the file's order."""

    wanted: list[tuple[FlatLayer, str, tuple[int, ...], Callable[[Array], Array]]] = field(default_factory=list)
    """(layer, variable, shape in the file, how it becomes the variable)."""

    def add(
        self, layer: FlatLayer, name: str, shape: tuple[int, ...], change: Callable[[Array], Array] | None = None
    ) -> None:
        """The next numbers of the file, of this shape, are the layer's variable; `change` gives it any other shape."""
        self.wanted.append((layer, name, shape, change or (lambda array: array)))

    @property
    def count(self) -> int:
        """Numbers of the file."""
        return sum(math.prod(shape) for _, _, shape, _ in self.wanted)


class Darknet:
    """The net as far as its sections were read."""

    def __init__(self, name: str, head: Section) -> None:
        size = head.integer("height", least=1), head.integer("width", least=1), head.integer("channels", least=1)
        inputs = head.integer("inputs", math.prod(size))
        if inputs != math.prod(size):
            raise RefusedError(f"inputs expects height·width·channels={math.prod(size)}, found {inputs}")
        self.net = FlatNet(name, {"image": ("N", *size)}, [], {})
        self.cursor = Cursor()
        self.shapes: dict[str, tuple[int, ...]] = {"image": size}
        self.values: list[tuple[str, str]] = []
        """What each section gives, by its number: a layer's name; and the section's kind."""
        self.made: dict[str, int] = {}
        """Layer -> the number of its section."""
        self.current = "image"
        self.left = MAX_SOURCES
        self.products = 0
        """Of all layers, about."""
        self.groups: dict[tuple[str, int, int], str] = {}
        """(layer, groups, group) -> the layer that is this part of it."""

    def add(self, section: Section) -> None:
        """A section as layers; a RefusedError where it is none."""
        handler = SECTIONS.get(section.kind)
        if handler is None:
            raise RefusedError("no layer says what it does")
        section.check_options()
        before = self.values[-1][1] if self.values else ""
        if before in UNREAD and section.kind not in READ_NOTHING:
            raise RefusedError(f"it reads [{before}], whose numbers no layer gives on as darknet does")
        handler(self, section)

    def end(self, section: Section) -> None:
        """What comes next is another section."""
        self.values.append((self.current, section.kind))

    def layer(
        self, kind: str, arguments: Mapping[str, Any], inputs: tuple[str, ...] | None = None, name: str = ""
    ) -> FlatLayer:
        """A new layer on these values, or on the last one."""
        read = inputs or (self.current,)
        given = {key: value for key, value in arguments.items() if value is not None}
        shapes = [self.shapes[each] for each in read]
        plain = {key: _pixels(value) for key, value in given.items()}
        shape = shape_of(kind, plain, shapes)
        if math.prod(shape) > LARGEST:
            raise RefusedError(f"it gives {math.prod(shape):,} numbers: expected at most {LARGEST:,}")
        made = FlatLayer(f"{len(self.net.layers)}:{kind}", kind, given, read, {}, shape, name)
        self.net.layers.append(made)
        self.shapes[made.name] = shape
        self.made[made.name] = len(self.values)
        self.current = made.name
        return made

    def activation(self, section: Section, default: str = "linear") -> None:
        word = section.options.get("activation", default)
        if word not in ACTIVATIONS or word in WITHOUT.get(section.kind, ()):
            raise RefusedError(f"the activation {shown(word[:60])} is no layer")
        found = ACTIVATIONS[word]
        if found is not None:
            self.layer(*found)

    def image(self) -> tuple[int, int, int]:
        shape = self.shapes[self.current]
        if not is_image(shape):
            raise RefusedError("it reads a vector as an image")
        height, width, channels = shape
        return height, width, channels

    def all_earlier(self, section: Section, name: str) -> list[str]:
        """What the sections give whose numbers an option lists."""
        numbers = section.integers(name)
        self.left -= len(numbers)
        if self.left < 0:
            raise RefusedError(f"expected at most {MAX_SOURCES:,} numbers of sections together, found more")
        return [self.earlier(number) for number in numbers]

    def earlier(self, number: int) -> str:
        """What a section gives: counted back from here, or from the first."""
        at = number if number >= 0 else len(self.values) + number
        if not 0 <= at < len(self.values):
            raise RefusedError(f"there is no section {number} before it")
        name, kind = self.values[at]
        if kind in UNREAD | READ_BY_THE_NEXT:
            raise RefusedError(f"it reads section {number}, [{kind}], whose numbers no layer gives on as darknet does")
        return name


def _pixels(value: Any) -> Any:
    return [list(side) for side in value.pixels] if isinstance(value, Pads) else value


def convolutional(net: Darknet, section: Section) -> None:
    height, width, channels = net.image()
    kernel, stride, filters, groups = (section.integer(name, 1, 1) for name in ("size", "stride", "filters", "groups"))
    if channels % groups or filters % groups:
        raise RefusedError(f"groups={groups} does not fit {channels} channels and filters={filters}")
    dilation = section.integer("dilation", 1, 1)
    if kernel == 1:
        dilation = 1
    padding = section.integer("padding", 0, 0)
    pad = kernel // 2 if section.flag("pad") else padding
    if kernel == 1 and pad:
        raise RefusedError(f"size=1 expects no padding, found {pad}: darknet leaves it out, and counts the map with it")
    if dilation > 1 and 2 * pad != kernel - 1:
        raise RefusedError(f"dilation={dilation} expects pad=1 and an odd size: darknet counts the map without it")
    sides = (pad * dilation, pad * dilation)
    pads = Pads((kernel, kernel), (stride, stride), (dilation, dilation), (height, width), (sides, sides))
    normal = section.flag("batch_normalize")
    arguments = {"filters": filters, "kernel": kernel, "stride": stride, "padding": pads, "bias": not normal}
    arguments |= {"groups": groups if groups > 1 else None, "dilation": dilation if dilation > 1 else None}
    made = net.layer("conv2d", arguments, name=f"conv_{len(net.values)}")
    _normalized(net, made, filters, normal)
    shape = (filters, channels // groups, kernel, kernel)
    _weights(net, made, shape, lambda array: array.transpose(2, 3, 1, 0))
    net.activation(section, "logistic")


def _weights(net: Darknet, made: FlatLayer, shape: tuple[int, ...], change: Callable[[Array], Array]) -> None:
    if math.prod(shape) > LARGEST:
        raise RefusedError(f"it has {math.prod(shape):,} weights: expected at most {LARGEST:,}")
    net.products += math.prod(made.shape[:-1]) * math.prod(shape)
    net.cursor.add(made, "weights", shape, change)


def _normalized(net: Darknet, made: FlatLayer, count: int, normal: bool) -> None:
    """Biases, which with batch norm are its beta, and what else comes before the weights in the file."""
    if not normal:
        net.cursor.add(made, "biases", (count,))
        return
    batch_norm = net.layer("batch_norm", {"epsilon": EPSILON, "scale": True})
    for name in ("beta", "gamma", "moving_mean", "moving_variance"):
        net.cursor.add(batch_norm, name, (count,))


def connected(net: Darknet, section: Section) -> None:
    shape = net.shapes[net.current]
    if is_image(shape):
        net.layer("flatten", {}, name=f"flatten_{len(net.values)}")
    units, count = section.integer("output", 1, 1), net.shapes[net.current][0]
    made = net.layer("fully_connected", {"units": units, "bias": True}, name=f"connected_{len(net.values)}")

    def turned(array: Array) -> Array:
        """[units, C*H*W] as [H*W*C, units]."""
        if not is_image(shape):
            return array.T
        height, width, channels = shape
        return array.reshape(units, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, units)

    net.cursor.add(made, "biases", (units,))
    _weights(net, made, (units, count), turned)
    net.activation(section, "logistic")


def maxpool(net: Darknet, section: Section) -> None:
    height, width, _ = net.image()
    stride = section.integer("stride", 1, 1)
    kernel = section.integer("size", stride, 1)
    total = section.integer("padding", kernel - 1, 0)
    if min(height, width) + total < kernel:
        raise RefusedError(f"size={kernel} is larger than the map of {height}×{width} with padding={total}")
    sides = []
    for size in (height, width):
        outputs = (size + total - kernel) // stride + 1
        before = total // 2
        sides.append((before, max((outputs - 1) * stride + kernel - size - before, 0)))
    pads = Pads((kernel, kernel), (stride, stride), (1, 1), (height, width), (sides[0], sides[1]))
    arguments = {"kernel": kernel, "stride": stride, "padding": pads}
    made = net.layer("max_pool2d", arguments, name=f"maxpool_{len(net.values)}")
    net.products += POOLED * math.prod(made.shape) * kernel**2


def avgpool(net: Darknet, section: Section) -> None:
    net.image()
    net.layer("global_avg_pool2d", {"keep_dims": True}, name=f"avgpool_{len(net.values)}")


def softmax(net: Darknet, section: Section) -> None:
    shape = net.shapes[net.current]
    if is_image(shape):
        if shape[:2] != (1, 1) and shape[2] != 1:
            raise RefusedError(f"softmax over all {math.prod(shape)} numbers of a map of channels is no layer")
        net.layer("flatten", {}, name=f"flatten_{len(net.values)}")
    net.layer("softmax", {}, name=f"softmax_{len(net.values)}")


def dropout(net: Darknet, section: Section) -> None:
    text = section.options.get("probability", "")
    if not (text.isascii() and text.replace(".", "", 1).isdecimal() and len(text) < 20):
        raise RefusedError(f"probability expects a number, found {shown(text[:60]) or 'none'}")
    if not net.values:
        raise RefusedError("it reads the image")
    net.layer("dropout", {"rate": float(text)}, name=f"dropout_{len(net.values)}")


def upsample(net: Darknet, section: Section) -> None:
    net.image()
    net.layer("resize", {"scale": section.integer("stride", 2, 1)}, name=f"upsample_{len(net.values)}")


def route(net: Darknet, section: Section) -> None:
    sources = net.all_earlier(section, "layers")
    groups, chosen = section.integer("groups", 1, 1), section.integer("group_id", 0)
    if not 0 <= chosen < groups:
        raise RefusedError(f"group_id expects a number below groups={groups}, found {chosen}")
    if groups > 1:
        sources = [_group(net, source, groups, chosen) for source in sources]
    if len(sources) == 1:
        net.current = sources[0]
    else:
        net.layer("concat", {}, tuple(sources), name=f"route_{len(net.values)}")


def _group(net: Darknet, source: str, groups: int, chosen: int) -> str:
    """One of equal parts of the channels; the same layer wherever it is read."""
    key = source, groups, chosen
    if key not in net.groups:
        channels = net.shapes[source][-1]
        if channels % groups:
            raise RefusedError(f"groups={groups} does not fit {channels} channels")
        each = channels // groups
        stop = (chosen + 1) * each if chosen + 1 < groups else None
        part = {"start": chosen * each or None, "stop": stop}
        net.groups[key] = net.layer("slice", part, (source,), name=f"route_{len(net.values)}").name
    return net.groups[key]


def shortcut(net: Darknet, section: Section) -> None:
    others = net.all_earlier(section, "from")
    if any(net.shapes[other] != net.shapes[net.current] for other in others):
        raise RefusedError("what it adds has other shapes: that the first channels are added is no layer")
    net.layer("add", {}, (net.current, *others), name=f"shortcut_{len(net.values)}")
    net.activation(section)


def scale_channels(net: Darknet, section: Section) -> None:
    others, factors = net.all_earlier(section, "from"), net.image()
    fits = len(others) == 1 and is_image(net.shapes[others[0]]) and net.shapes[others[0]][-1] == factors[2]
    if not fits or factors[:2] != (1, 1):
        raise RefusedError("it expects a number for each channel of one other section")
    net.layer("multiply", {}, (net.current, *others), name=f"scale_{len(net.values)}")
    net.activation(section)


def cost(net: Darknet, section: Section) -> None:
    """Training alone needs it."""


def yolo(net: Darknet, section: Section) -> None:
    mask = section.options.get("mask")
    count = section.integer("num", 1, 1) if mask is None else len(section.integers("mask"))
    _output(net, section, net.image()[-1], count * (section.integer("classes", 20, 0) + 5))


def region(net: Darknet, section: Section) -> None:
    each = section.integer("classes", 20, 0) + section.integer("coords", 4, 0) + 1
    _output(net, section, net.image()[-1], section.integer("num", 1, 1) * each)


def detection(net: Darknet, section: Section) -> None:
    boxes = section.integer("num", 1, 1) * (section.integer("coords", 1, 0) + 1) + section.integer("classes", 1, 0)
    _output(net, section, math.prod(net.shapes[net.current]), section.integer("side", 7, 1) ** 2 * boxes)


def _output(net: Darknet, section: Section, found: int, expected: int) -> None:
    """The map before it is an output."""
    if net.current == "image":
        raise RefusedError("it reads the image")
    if found != expected:
        raise RefusedError(f"its options are those of {expected} channels or numbers, found {found}")
    net.net.outputs[f"{section.kind}_{len(net.net.outputs) + 1}"] = net.current


SECTIONS: Mapping[str, Callable[[Darknet, Section], None]] = {
    "avgpool": avgpool,
    "connected": connected,
    "convolutional": convolutional,
    "cost": cost,
    "detection": detection,
    "dropout": dropout,
    "maxpool": maxpool,
    "region": region,
    "route": route,
    "scale_channels": scale_channels,
    "shortcut": shortcut,
    "softmax": softmax,
    "upsample": upsample,
    "yolo": yolo,
}
"""What each section is as layers."""
