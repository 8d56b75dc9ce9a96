"""What lies between convolutions in onnxruntime's own layout stays in it: a pass over the nodes of a training step.

`keep_in_blocks` gives every node that can work in blocks a twin that does (RULES), and an output in the ordinary layout
beside it, which goes where nobody reads it. Numbers that are the same over all pixels of a channel are multiplied and
added by convolutions of one pixel, a channel a group: one pass over memory by all threads, which `fused` makes do what
stands around it too: the other addend, and a ReLU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import helper

from graphc.emit.unused import needed_nodes
from graphc.training_graph.blocked import IMAGES, NCHWC
from graphc.types import Array

Shape = tuple[int, ...]


class Graph(Protocol):
    """What the pass asks the graph."""

    block: int
    shapes: dict[str, Shape]
    tensors: dict[str, Array]

    def initializer(self, array: Array) -> str: ...


class _Pass:
    """The nodes so far, and which values there are in blocks."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.lying: dict[str, str] = {}
        """A value in the ordinary layout -> the same in blocks."""
        self.alias: dict[str, str] = {}
        """A value in blocks -> another that is the same."""
        self.masks: set[str] = set()
        """Values that are true or false."""
        self.makers: dict[str, onnx.NodeProto] = {}

    def keep(self, node: onnx.NodeProto) -> None:
        self.nodes.append(node)
        self.makers.update(dict.fromkeys(node.output, node))

    def make(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node for what the present one says, whose output is called this."""
        name = output.replace("/", ".")
        self.keep(helper.make_node(kind, list(inputs), [output], name=f"blocks/{name}", **attributes))
        return output

    def shape(self, name: str) -> Shape | None:
        return self.graph.shapes.get(name, np.shape(self.graph.tensors[name]) if name in self.graph.tensors else None)

    def integers(self, name: str) -> list[int]:
        return [int(value) for value in np.ravel(self.graph.tensors[name])]

    def in_blocks(self, name: str, shape: Shape) -> str | None:
        """A value of this shape in blocks; None where it cannot be had so."""
        if self.shape(name) != shape:
            return None
        if name in self.lying:
            return self.lying[name]
        if name in self.masks:
            return None
        self.lying[name] = self.make("ReorderInput", [name], f"{name}/blocks", domain=NCHWC)
        return self.lying[name]

    def settle(self, node: onnx.NodeProto, value: str, shape: Shape, *, mask: bool = False) -> None:
        """`value` is in blocks what the node gives, of this shape; what gives it in the ordinary layout too."""
        (name,) = node.output
        self.lying[name] = value
        self.graph.shapes[name] = shape
        if mask:
            self.masks.add(name)
            self.keep(node)  # no kernel brings truth values out of blocks
        else:
            self.make("ReorderOutput", [value], name, domain=NCHWC, channels=shape[1])


def keep_in_blocks(nodes: Sequence[onnx.NodeProto], graph: Graph, outputs: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs need, in blocks where they can be."""
    done = _Pass(graph)
    for given in nodes:
        node = given
        if any(name in done.alias for name in node.input):
            node = onnx.NodeProto()
            node.CopyFrom(given)
            for index, name in enumerate(node.input):
                node.input[index] = done.alias.get(name, name)
        rule = RULES.get((node.domain, node.op_type))
        if rule is None or not rule(done, node):
            done.keep(node)
    return fused(needed_nodes(done.nodes, outputs), set(done.lying.values()), outputs, graph)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _image(done: _Pass, node: onnx.NodeProto) -> tuple[str, Shape] | None:
    """The first input that is in blocks already, with its shape."""
    for name in node.input:
        if name in done.lying:
            shape = done.shape(name)
            if shape is not None and len(shape) == IMAGES:
                return name, shape
    return None


def _reorder_input(done: _Pass, node: onnx.NodeProto) -> bool:
    """What is in blocks already needs no node; what was N H W C before goes into blocks at once."""
    (name,), (output,) = node.input, node.output
    if _attributes(node).get("channels_last"):
        return False
    if name in done.lying:
        done.alias[output] = done.lying[name]
        return True
    maker = done.makers.get(name)
    done.lying[name] = output
    if maker is not None and maker.op_type == "Transpose" and _attributes(maker)["perm"] == [0, 3, 1, 2]:
        done.make("ReorderInput", [maker.input[0]], output, domain=NCHWC, channels_last=1)
        return True
    return False


def _reorder_output(done: _Pass, node: onnx.NodeProto) -> bool:
    done.lying[node.output[0]] = node.input[0]
    return False


def _unary(done: _Pass, node: onnx.NodeProto) -> bool:
    found = _image(done, node)
    if found is None:
        return False
    name, shape = found
    value = done.make(node.op_type, [done.lying[name]], f"{node.output[0]}/blocks", **_attributes(node))
    done.settle(node, value, shape)
    return True


def _same_everywhere(done: _Pass, name: str) -> bool:
    return done.shape(name) in ((), (1,))


def _by_channel(done: _Pass, name: str, shape: Shape) -> bool:
    return done.shape(name) == (shape[1], 1, 1)


def _binary(done: _Pass, node: onnx.NodeProto) -> bool:
    found = _image(done, node)
    if found is None:
        return False
    _, shape = found
    if any(_by_channel(done, name, shape) for name in node.input):
        return _pixelwise(done, node, shape)
    inputs = [name if _same_everywhere(done, name) else done.in_blocks(name, shape) for name in node.input]
    if None in inputs:
        return False
    value = done.make(node.op_type, [name for name in inputs if name], f"{node.output[0]}/blocks")
    done.settle(node, value, shape, mask=node.op_type in COMPARISONS)
    return True


def _pixelwise(done: _Pass, node: onnx.NodeProto, shape: Shape) -> bool:
    """A product or a sum of an image with one number a channel."""
    first, second = node.input
    if node.op_type not in ("Add", "Sub", "Mul") or first not in done.lying or not _by_channel(done, second, shape):
        return False
    vector, channels, output = second, shape[1], node.output[0]
    if node.op_type == "Mul":
        weights, biases = done.make("Reshape", [vector, _integers(done, channels, 1, 1, 1)], f"{output}/weights"), []
    else:
        weights = done.graph.initializer(np.ones((channels, 1, 1, 1), np.float32))
        if node.op_type == "Sub":
            vector = done.make("Neg", [second], f"{output}/negative")
        biases = [done.make("Reshape", [vector, _integers(done, channels)], f"{output}/biases")]
    value = done.make(
        "Conv",
        [done.lying[first], weights, *biases],
        f"{output}/blocks",
        domain=NCHWC,
        kernel_shape=[1, 1],
        group=channels,
    )
    done.settle(node, value, shape)
    return True


def _integers(done: _Pass, *values: int) -> str:
    return done.graph.initializer(np.asarray(values, np.int64))


def _sum(done: _Pass, node: onnx.NodeProto) -> bool:
    """A sum over all pixels of each channel, or over these and the examples: a mean, times the number of pixels."""
    found, attributes = _image(done, node), _attributes(node)
    if found is None or attributes.get("keepdims", 1):
        return False
    name, shape = found
    axes = list(attributes["axes"]) if "axes" in attributes else done.integers(node.input[1])
    if axes not in ([2, 3], [0, 2, 3]):
        return False
    (output,), value = node.output, done.lying[name]
    if node.op_type == "ReduceSumSquare":
        value = done.make("Mul", [value, value], f"{output}/squares")
    flat, count = _means(done, value, output, shape)
    if axes[0] == 0:
        flat = done.make("ReduceSum", [flat, _integers(done, 0)], f"{output}/examples", keepdims=0)
    done.make("Mul", [flat, done.graph.initializer(np.asarray(count, np.float32))], output)
    return True


def _means(done: _Pass, value: str, output: str, shape: Shape) -> tuple[str, int]:
    """What times the number that is returned beside it is the sum over all pixels, [N, C], of a value in blocks. Large
    images are added up row by row, since the kernel adds one pixel after the other."""
    batch, channels, height, width = shape
    if height * width <= MANY:
        means = done.make("GlobalAveragePool", [value], f"{output}/means", domain=NCHWC)
        return done.make("Reshape", [means, _integers(done, batch, channels)], f"{output}/flat"), height * width
    block = done.graph.block
    rows = _integers(done, batch * channels // block * height, block, 1, width)
    cut = done.make("Reshape", [value, rows], f"{output}/rows")
    means = done.make("GlobalAveragePool", [cut], f"{output}/means", domain=NCHWC)
    apart = _integers(done, batch, channels // block, height, block)
    lying = done.make("Reshape", [means, apart], f"{output}/apart")
    total = done.make("ReduceSum", [lying, _integers(done, 2)], f"{output}/columns", keepdims=0)
    return done.make("Reshape", [total, _integers(done, batch, channels)], f"{output}/flat"), width


MANY = 4096
"""Up to so many pixels are added one after the other."""


def _pool(done: _Pass, node: onnx.NodeProto) -> bool:
    """A pool over windows, or over the image."""
    found, shape = _image(done, node), done.shape(node.output[0])
    if found is None or len(node.output) > 1 or shape is None:
        return False
    value = done.make(
        node.op_type, [done.lying[found[0]]], f"{node.output[0]}/blocks", domain=NCHWC, **_attributes(node)
    )
    done.settle(node, value, shape)
    return True


def _transpose(done: _Pass, node: onnx.NodeProto) -> bool:
    """N H W C of what is in blocks, at once."""
    found = _image(done, node)
    if found is None or _attributes(node)["perm"] != [0, 2, 3, 1]:
        return False
    name, shape = found
    done.make("ReorderOutput", [done.lying[name]], node.output[0], domain=NCHWC, channels=shape[1], channels_last=1)
    return True


COMPARISONS = frozenset({"Greater", "Less", "Equal"})
Rule = Callable[[_Pass, onnx.NodeProto], bool]
RULES: Mapping[tuple[str, str], Rule] = {
    (NCHWC, "ReorderInput"): _reorder_input,
    (NCHWC, "ReorderOutput"): _reorder_output,
    **{("", kind): _unary for kind in ("Relu", "Cast", "Neg", "Exp", "Log", "Sqrt", "Abs", "Tanh", "Sigmoid", "Erf")},
    **{("", kind): _binary for kind in ("Add", "Sub", "Mul", "Div", *sorted(COMPARISONS))},
    ("", "ReduceSum"): _sum,
    ("", "ReduceSumSquare"): _sum,
    ("", "MaxPool"): _pool,
    ("", "GlobalAveragePool"): _pool,
    ("", "Transpose"): _transpose,
}
"""By domain and kind of a node what it is in blocks; a rule that does not hold for it leaves it as it is."""


# fusion -----------------------------------------------------------------------------------------------------


class _Fusion:
    """The nodes so far, of which some have gone into others."""

    def __init__(self, images: Collection[str], graph: Graph, readers: Mapping[str, int]) -> None:
        self.images, self.graph, self.readers = images, graph, readers
        self.makers: dict[str, onnx.NodeProto] = {}

    def open_convolution(self, name: str) -> onnx.NodeProto | None:
        """The one that gives this, if nobody else reads it and it does not end in an activation."""
        maker = self.makers.get(name)
        if maker is None or (maker.domain, maker.op_type) != (NCHWC, "Conv") or self.readers[name] > 1:
            return None
        return None if any(each.name == "activation" for each in maker.attribute) else maker

    def merged(self, node: onnx.NodeProto) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
        """A convolution that does what the node does as well, and the one that it replaces."""
        kind = node.domain, node.op_type
        if kind == ("", "Relu"):
            maker = self.open_convolution(node.input[0])
            return None if maker is None else (_with(maker, node, activation="Relu"), maker)
        if kind == ("", "Add"):
            for name, other in (tuple(node.input), tuple(reversed(node.input))):
                maker = self.open_convolution(name)
                if maker is not None and len(maker.input) <= ADDEND and name != other and other in self.images:
                    inputs = [*maker.input, *[""] * (ADDEND - len(maker.input)), other]
                    return _with(maker, node, inputs), maker
        if kind == (NCHWC, "Conv") and self._only_adds(node):
            maker = self.open_convolution(node.input[0])
            if maker is not None and len(maker.input) < ADDEND:
                return _with(maker, node, [*maker.input, node.input[2]]), maker
        return None

    def _only_adds(self, node: onnx.NodeProto) -> bool:
        """Whether a convolution of one pixel only adds a number a channel."""
        weights = self.graph.tensors.get(node.input[1])
        return weights is not None and weights.shape[1:] == (1, 1, 1) and bool((weights == 1).all())


def fused(
    nodes: Sequence[onnx.NodeProto], images: Collection[str], outputs: Collection[str], graph: Graph
) -> list[onnx.NodeProto]:
    """The nodes, where convolutions in blocks add what is added to them, and end in the ReLU behind them; `images`:
    the values that are in blocks."""
    readers = Counter(name for node in nodes for name in node.input)
    readers.update(outputs)
    fusion, gone = _Fusion(images, graph, readers), set[int]()
    found: list[onnx.NodeProto] = []
    for given in nodes:
        node, merged = given, fusion.merged(given)
        if merged is not None:
            node, maker = merged
            gone.add(id(maker))
        found.append(node)
        fusion.makers.update(dict.fromkeys(node.output, node))
    return [node for node in found if id(node) not in gone]


ADDEND = 3
"""Which input of a convolution in blocks is added to its result."""


def _with(
    maker: onnx.NodeProto, node: onnx.NodeProto, inputs: Sequence[str] | None = None, **attributes: Any
) -> onnx.NodeProto:
    """The convolution in the place of another node."""
    made = onnx.NodeProto()
    made.CopyFrom(maker)
    made.output[0] = node.output[0]
    if inputs is not None:
        del made.input[:]
        made.input.extend(inputs)
    made.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return made
