"""darknet's networks: a cfg file, whose sections are layers, and a .weights file, whose numbers follow one another.

Where the two darknets differ (Redmon's and Bochkovskiy's), batch norm's epsilon is the latter's 1e-5. A detector's
boxes are made of the maps that its `yolo` sections read: those are the spec's outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphc.dims import is_image
from graphc.errors import Place
from graphc.files import shown
from graphc.importers.arguments import shape_of
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
IGNORED = frozenset({"cost"})
"""Sections that training alone needs."""
MAX_SOURCES = 10_000
"""Values that all sections of a file read by `layers` and `from`."""
OF_TRAINING = frozenset(
    {"stopbackward", "onlyforward", "train_only_bn", "dont_update", "burnin_update", "learning_rate", "clip"}
    | {"dynamic_minibatch", "stream", "wait_stream", "angle", "grad_centr", "cbn", "noloss"}
    | {"probability", "dropblock", "dropblock_size_rel", "dropblock_size_abs"}
)
"""Options that change nothing of what a layer computes."""
OF_SECTIONS: Mapping[str, frozenset[str]] = {
    kind: frozenset(options.split())
    for kind, options in {
        "avgpool": "",
        "connected": "output activation batch_normalize",
        "convolutional": "filters size stride pad padding groups dilation activation batch_normalize",
        "dropout": "",
        "maxpool": "size stride padding",
        "route": "layers groups group_id",
        "scale_channels": "from activation",
        "shortcut": "from activation weights_type",
        "softmax": "groups temperature",
        "upsample": "stride scale reverse",
    }.items()
}
"""The options that are read. Those of detections are about the boxes that are made of their maps."""
NONE = ("", "0", "none")
"""Values with which an option that is not read changes nothing."""
ALWAYS = frozenset({"share_index", "alpha", "beta"})
"""But for those of which 0 is a value as any other."""


@dataclass(frozen=True, slots=True)
class Section:
    """`[convolutional]` and the lines below it."""

    kind: str
    options: Mapping[str, str]
    place: Place

    def integer(self, name: str, default: int | None = None) -> int:
        text = self.options.get(name)
        if text is None:
            if default is None:
                raise RefusedError(f"it needs {name}")
            return default
        return _whole(name, text)

    def integers(self, name: str) -> list[int]:
        text = self.options.get(name)
        if not text:
            raise RefusedError(f"it needs {name}")
        if text.count(",") >= MAX_SOURCES:
            raise RefusedError(f"{name} expects at most {MAX_SOURCES:,} numbers, found {text.count(',') + 1:,}")
        return [_whole(name, part.strip()) for part in text.split(",")]

    def check_options(self) -> None:
        """A RefusedError where one is there that changes what the layer computes, and is not read."""
        known = OF_SECTIONS.get(KINDS.get(self.kind, self.kind))
        if known is None:
            return
        others = self.options.keys() - known - OF_TRAINING
        odd = [name for name in self.options if name in others and (name in ALWAYS or self.options[name] not in NONE)]
        if odd:
            raise RefusedError(f"{shown(', '.join(odd)[:100])} is no argument of a layer")


def _whole(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise RefusedError(f"{name} expects a whole number, found {shown(text[:60])}")
    return int(text)


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


class Darknet:
    """The net as far as its sections were read."""

    def __init__(self, name: str, head: Section) -> None:
        size = head.integer("height"), head.integer("width"), head.integer("channels", 3)
        if min(size) < 1:
            raise RefusedError(f"height, width and channels expect at least 1, found {size}")
        self.net = FlatNet(name, {"image": ("N", *size)}, [], {})
        self.cursor = Cursor()
        self.shapes: dict[str, tuple[int, ...]] = {"image": size}
        self.values: list[str] = []
        """What each section gives, by its number: a layer's name."""
        self.current = "image"
        self.left = MAX_SOURCES

    def layer(
        self, kind: str, arguments: Mapping[str, Any], inputs: tuple[str, ...] | None = None, name: str = ""
    ) -> FlatLayer:
        """A new layer on these values, or on the last one."""
        read = inputs or (self.current,)
        given = {key: value for key, value in arguments.items() if value is not None}
        shapes = [self.shapes[each] for each in read]
        plain = {key: _pixels(value) for key, value in given.items()}
        shape = shape_of(kind, plain, shapes)
        made = FlatLayer(f"{len(self.net.layers)}:{kind}", kind, given, read, {}, shape, name)
        self.net.layers.append(made)
        self.shapes[made.name] = shape
        self.current = made.name
        return made

    def activation(self, section: Section, default: str = "linear") -> None:
        word = section.options.get("activation", default)
        if word not in ACTIVATIONS:
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
        return self.values[at]


def _pixels(value: Any) -> Any:
    return [list(side) for side in value.pixels] if isinstance(value, Pads) else value


def convolutional(net: Darknet, section: Section) -> None:
    height, width, channels = net.image()
    kernel, stride = section.integer("size", 1), section.integer("stride", 1)
    filters, groups, dilation = (section.integer(name, 1) for name in ("filters", "groups", "dilation"))
    if groups < 1 or channels % groups:
        raise RefusedError(f"groups={groups} does not fit {channels} channels")
    pad = kernel // 2 if section.integer("pad", 0) else section.integer("padding", 0)
    sides = (pad * dilation, pad * dilation)
    pads = Pads((kernel, kernel), (stride, stride), (dilation, dilation), (height, width), (sides, sides))
    normal = bool(section.integer("batch_normalize", 0))
    arguments = {"filters": filters, "kernel": kernel, "stride": stride, "padding": pads, "bias": not normal}
    arguments |= {"groups": groups if groups > 1 else None, "dilation": dilation if dilation > 1 else None}
    made = net.layer("conv2d", arguments, name=f"conv_{len(net.values)}")
    _normalized(net, made, filters, normal)
    shape = (filters, channels // groups, kernel, kernel)
    net.cursor.add(made, "weights", shape, lambda array: array.transpose(2, 3, 1, 0))
    net.activation(section, "logistic")


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
    if section.integer("batch_normalize", 0):
        raise RefusedError("connected with batch_normalize is not read")
    if is_image(shape):
        net.layer("flatten", {}, name=f"flatten_{len(net.values)}")
    units, count = section.integer("output", 1), net.shapes[net.current][0]
    made = net.layer("fully_connected", {"units": units, "bias": True}, name=f"connected_{len(net.values)}")

    def turned(array: Array) -> Array:
        """[units, C*H*W] as [H*W*C, units]."""
        if not is_image(shape):
            return array.T
        height, width, channels = shape
        return array.reshape(units, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, units)

    net.cursor.add(made, "biases", (units,))
    net.cursor.add(made, "weights", (units, count), turned)
    net.activation(section, "logistic")


def maxpool(net: Darknet, section: Section) -> None:
    height, width, _ = net.image()
    stride = section.integer("stride", 1)
    kernel = section.integer("size", stride)
    total = section.integer("padding", kernel - 1)
    if min(stride, kernel) < 1 or total < 0:
        raise RefusedError(f"size={kernel} and stride={stride} expect at least 1, padding={total} at least 0")
    sides = []
    for size in (height, width):
        outputs = (size + total - kernel) // stride + 1
        before = total // 2
        sides.append((before, max((outputs - 1) * stride + kernel - size - before, 0)))
    pads = Pads((kernel, kernel), (stride, stride), (1, 1), (height, width), (sides[0], sides[1]))
    arguments = {"kernel": kernel, "stride": stride, "padding": pads}
    net.layer("max_pool2d", arguments, name=f"maxpool_{len(net.values)}")


def avgpool(net: Darknet, section: Section) -> None:
    net.layer("global_avg_pool2d", {"keep_dims": True}, name=f"avgpool_{len(net.values)}")


def softmax(net: Darknet, section: Section) -> None:
    if section.integer("groups", 1) != 1 or section.options.get("temperature", "1") not in ("1", "1.0"):
        raise RefusedError("softmax in groups or with a temperature is no layer")
    if is_image(net.shapes[net.current]):
        net.layer("flatten", {}, name=f"flatten_{len(net.values)}")
    net.layer("softmax", {}, name=f"softmax_{len(net.values)}")


def dropout(net: Darknet, section: Section) -> None:
    text = section.options.get("probability", "0.5")
    try:
        rate = float(text)
    except ValueError:
        raise RefusedError(f"probability expects a number, found {shown(text[:60])}") from None
    net.layer("dropout", {"rate": rate}, name=f"dropout_{len(net.values)}")


def upsample(net: Darknet, section: Section) -> None:
    if section.options.get("scale", "1") not in ("1", "1.0") or section.integer("reverse", 0):
        raise RefusedError("upsample with a scale, or in reverse, is no layer")
    net.layer("resize", {"scale": section.integer("stride", 2)}, name=f"upsample_{len(net.values)}")


def route(net: Darknet, section: Section) -> None:
    sources = net.all_earlier(section, "layers")
    groups, chosen = section.integer("groups", 1), section.integer("group_id", 0)
    if groups > 1:
        sources = [_group(net, source, groups, chosen) for source in sources]
    if len(sources) == 1:
        net.current = sources[0]
    else:
        net.layer("concat", {}, tuple(sources), name=f"route_{len(net.values)}")


def _group(net: Darknet, source: str, groups: int, chosen: int) -> str:
    """One of equal parts of the channels."""
    channels = net.shapes[source][-1]
    if channels % groups or not 0 <= chosen < groups:
        raise RefusedError(f"groups={groups} and group_id={chosen} do not fit {channels} channels")
    each = channels // groups
    stop = (chosen + 1) * each if chosen + 1 < groups else None
    part = {"start": chosen * each or None, "stop": stop}
    return net.layer("slice", part, (source,), name=f"route_{len(net.values)}").name


def shortcut(net: Darknet, section: Section) -> None:
    if section.options.get("weights_type", "none") != "none":
        raise RefusedError("weighted shortcuts are no layer")
    others = net.all_earlier(section, "from")
    if any(net.shapes[other] != net.shapes[net.current] for other in others):
        raise RefusedError("what it adds has other shapes: that the first channels are added is no layer")
    net.layer("add", {}, (net.current, *others), name=f"shortcut_{len(net.values)}")
    net.activation(section)


def scale_channels(net: Darknet, section: Section) -> None:
    others, factors = net.all_earlier(section, "from"), net.image()
    if len(others) != 1 or factors[:2] != (1, 1) or net.shapes[others[0]][-1] != factors[2]:
        raise RefusedError("it expects a number for each channel of one other section")
    net.layer("multiply", {}, (net.current, *others), name=f"scale_{len(net.values)}")
    net.activation(section)


def detection(net: Darknet, section: Section) -> None:
    """The map before it is an output."""
    if net.current == "image":
        raise RefusedError("it reads the image")
    net.net.outputs[f"{section.kind.lower()}_{len(net.net.outputs) + 1}"] = net.current


KINDS = {"conv": "convolutional", "max": "maxpool"}
"""Short words."""
SECTIONS: Mapping[str, Callable[[Darknet, Section], None]] = {
    "avgpool": avgpool,
    "connected": connected,
    "conv": convolutional,
    "convolutional": convolutional,
    "detection": detection,
    "dropout": dropout,
    "max": maxpool,
    "maxpool": maxpool,
    "region": detection,
    "route": route,
    "scale_channels": scale_channels,
    "shortcut": shortcut,
    "softmax": softmax,
    "upsample": upsample,
    "yolo": detection,
}
"""What each section is as layers."""
