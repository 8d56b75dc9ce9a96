"""An ONNX file with every size fixed and every constant computed, in one pass over its nodes.

Exporters write shapes as computations (Shape, Gather, Concat, Reshape); with fixed sizes they are constants. Nothing
is computed before its size is known and within bounds.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from graphc.emit.external import BITS, MOST_AXES, read_external
from graphc.errors import GraphcError, WeightsError
from graphc.files import brief, shown
from graphc.importers.canonical import canonical
from graphc.importers.onnx_graph import OnnxGraph, OnnxInput, OnnxNode
from graphc.importers.operators import HANDLERS
from graphc.importers.quantized import BACK, dequantized
from graphc.types import Array

MAX_NODES = 20_000
"""Of a file, also where its functions are put in place."""
MAX_LEFT = 10_000
"""Of those, behind the computing of constants."""
MAX_EDGES = 30_000
"""That those read."""
MAX_INPUTS = 1_000
"""That are no initializers."""
MAX_EVALUATED = 5_000
"""Nodes that are computed."""
MAX_READ = 2**24
"""Numbers of constants that all nodes together read, each as often as it is read, and AGAIN times those in the file."""
AGAIN = 64
MAX_SIZE = 2**31 - 1
"""Of an input along an axis, as in specs."""
MAX_COMPUTED = 2**25
"""Bytes of all computed constants, and MORE times those that stand in the file."""
MORE = 8
SMALL = 2**16
"""Numbers of a constant that shape inference may look at."""
OPEN_SIZE = 224
"""Pixels of a height or width that the file leaves open."""
COMPUTED = frozenset(
    {"Abs", "Add", "And", "Cast", "Ceil", "Clip", "Concat", "ConstantOfShape", "Cos", "CumSum", "DequantizeLinear",
     "Div", "Dropout", "Equal", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather", "Greater", "GreaterOrEqual",
     "Identity", "IsInf", "IsNaN", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "Not",
     "OneHot", "Or", "Pad", "Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
     "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu",
     "Reshape", "Round", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax", "Split", "Sqrt", "Squeeze",
     "Sub", "Sum", "Tanh", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor"}
)  # fmt: skip
"""Operators that are computed on constants, in a time that goes with the sizes of what they read and give."""
IDLE = frozenset({"Identity", "Dropout"})
"""Of those, what gives its input back."""
SLOWLY = frozenset({"Erf", "GatherND", "Gemm", "MatMul", "Resize", "ScatterElements", "ScatterND",
                    "TopK", "Upsample"})  # fmt: skip
"""Operators that take longer, number by number or with products; together they read and give MAX_SLOW numbers."""
EQUATION = re.compile(r"[A-Za-z, ]+->[A-Za-z ]*")
"""Of an Einsum."""
BEHIND = frozenset({"Flatten", "OneHot"})
"""Operators whose axis may be behind the last one."""
ANY_AXIS = frozenset({"QuantizeLinear", "DequantizeLinear", "BatchNormalization"})
"""Operators that often need none of their axis."""
MAX_SLOW = 2**16
INFERRED = COMPUTED | SLOWLY | HANDLERS.keys() | {"Shape", "Size", "Constant", "CastLike", "NonMaxSuppression"}
"""Operators of which ONNX is asked what they give: of others nobody asks, and it has ended processes."""
NUMPY_RULE = 7
"""The opset from which on shapes are spread as NumPy does it."""


def freeze(model: onnx.ModelProto, path: Path, sizes: Mapping[str, tuple[int, ...]]) -> OnnxGraph:
    """The graph of a checked file; `sizes` are those of inputs (height and width, or all but the batch), by name."""
    graph = model.graph
    if len(graph.node) > MAX_NODES:
        raise WeightsError("G360", f"{shown(path)}: expected at most {MAX_NODES:,} nodes, found {len(graph.node):,}")
    return _Freezing(model, path, sizes).run()


class _Freezing:
    """Types, shapes and constants of the values so far."""

    def __init__(self, model: onnx.ModelProto, path: Path, sizes: Mapping[str, tuple[int, ...]]) -> None:
        self.model, self.path = model, path
        self.opsets = {each.domain: each.version for each in model.opset_import}
        self.opset = self.opsets.get("", self.opsets.get("ai.onnx", 1))
        self.imports = [helper.make_opsetid("", self.opset)]
        self.context = onnx.checker.C.CheckerContext()
        self.context.ir_version, self.context.opset_imports = onnx.IR_VERSION, {"": self.opset}
        self.constants: dict[str, Array] = {}
        self.types: dict[str, onnx.TypeProto] = {}
        self.wrong: dict[str, str] = {}
        self.computed = 0
        self.slow = 0
        self.evaluated = 0
        self.read = 0
        for tensor in model.graph.initializer:
            self.keep(tensor.name, to_array(tensor, path))
        self.limit = MAX_COMPUTED + MORE * sum(array.nbytes for array in self.constants.values())
        self.most_read = MAX_READ + AGAIN * sum(array.size for array in self.constants.values())
        if len(model.graph.input) > MAX_INPUTS + len(model.graph.initializer):
            message = f"expected at most {MAX_INPUTS:,} inputs, found {len(model.graph.input):,}"
            raise WeightsError("G360", f"{shown(path)}: {message}")
        real = [each for each in model.graph.input if each.name not in self.constants]
        self.inputs = tuple(self.read_input(each, sizes) for each in real)

    def keep(self, name: str, array: Array) -> None:
        array = array.astype(object) if array.dtype.kind in "SU" else array
        self.constants[name] = array
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.types[name] = helper.make_tensor_type_proto(kind, array.shape)

    def read_input(self, info: onnx.ValueInfoProto, sizes: Mapping[str, tuple[int, ...]]) -> OnnxInput:
        kind = info.type.tensor_type
        dims = kind.shape.dim if info.type.HasField("tensor_type") else ()
        if len(dims) > MOST_AXES:
            message = f"expected at most {MOST_AXES} axes, found {len(dims):,}"
            raise WeightsError("G361", f"{shown(self.path)}: input {brief(info.name)}: {message}")
        written = tuple(
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else dim.dim_param or None for dim in dims
        )
        shape = self.fixed(info.name, written, sizes.get(info.name, sizes.get("", ())))
        self.types[info.name] = helper.make_tensor_type_proto(kind.elem_type, shape)
        return OnnxInput(info.name, shape, written, kind.elem_type == TensorProto.FLOAT)

    def fixed(self, name: str, written: tuple[int | str | None, ...], given: tuple[int, ...]) -> tuple[int, ...]:
        """Every size of an input as a number."""
        sizes = [size if isinstance(size, int) else 0 for size in written]
        if len(sizes) == 4:  # the small one of the second and the last is the channels
            first = 2 if not sizes[3] or sizes[3] > 4 or 0 < sizes[1] <= 4 else 1
            if len(given) == 2:
                sizes[first : first + 2] = given
            sizes[first : first + 2] = [size or OPEN_SIZE for size in sizes[first : first + 2]]
        if given and len(given) == len(sizes) - 1:
            sizes[1:] = given
        elif given and not (len(sizes) == 4 and len(given) == 2):
            expected = "its height and width, or all sizes but the batch"
            raise WeightsError("G361", f"--input {brief(name)}: expected {expected}, got {'x'.join(map(str, given))}")
        sizes[:1] = [sizes[0] or 1] if sizes else []
        for axis, size in enumerate(sizes):
            if not size:
                advice = f"give them: --input {brief(name)}=3x224x224"
                raise WeightsError(
                    "G361", f"{shown(self.path)}: input {brief(name)}: axis {axis} has no size: {advice}"
                )
            if size > MAX_SIZE:
                expected = f"expected a size of at most {MAX_SIZE:,}"
                raise WeightsError("G361", f"{shown(self.path)}: input {brief(name)}: {expected}, found {size:,}")
        return tuple(sizes)

    def run(self) -> OnnxGraph:
        graph = self.model.graph
        nodes = []
        for proto in graph.node:
            self.check(proto)
            node = read_node(proto, self.path)
            self.count_read(node)
            if not self.fold(proto, node):
                nodes.append(canonical(node, self.constants, self.opset))
        shapes = {name: shape for name in self.types if (shape := self.shape(name)) is not None}
        frozen = OnnxGraph(
            graph.name,
            self.model.producer_name,
            tuple(nodes),
            self.constants,
            self.inputs,
            tuple(each.name for each in graph.output),
            shapes,
            self.opset,
            self.wrong,
        )
        frozen = frozen.with_nodes(nodes)
        if len(frozen.nodes) > MAX_LEFT:
            message = f"expected at most {MAX_LEFT:,} nodes behind constants, found {len(frozen.nodes):,}"
            raise WeightsError("G360", f"{shown(self.path)}: {message}")
        if (edges := sum(len(node.inputs) for node in frozen.nodes)) > MAX_EDGES:
            message = f"expected nodes that read at most {MAX_EDGES:,} values together, found {edges:,}"
            raise WeightsError("G360", f"{shown(self.path)}: {message}")
        return frozen

    def count_read(self, node: OnnxNode) -> None:
        """A WeightsError where nodes read the same constants over and over: each takes a time that goes with them."""
        self.read += sum(self.constants[name].size for name in node.inputs if name in self.constants)
        if self.read > self.most_read:
            message = f"expected nodes that read at most {self.most_read:,} numbers of constants, found more"
            raise WeightsError("G360", f"{shown(self.path)}: {brief(node.label)}: {message}")

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The value's shape, where every size is known."""
        kind = self.types.get(name)
        if kind is None or not kind.tensor_type.HasField("shape"):
            return None
        dims = kind.tensor_type.shape.dim
        return tuple(dim.dim_value for dim in dims) if all(dim.HasField("dim_value") for dim in dims) else None

    def check(self, proto: onnx.NodeProto) -> None:
        """A WeightsError where the node's attributes or numbers of inputs are not as ONNX says, or where it spreads
        its second input along an axis, as was said before NumPy's rule."""
        if proto.domain not in ("", "ai.onnx"):
            return
        spread = self.opset < NUMPY_RULE and proto.op_type in ("Add", "Sub", "Mul", "Div", "Pow", "PRelu")
        if spread and any(each.name == "axis" for each in proto.attribute):
            message = f"{proto.op_type} with an axis, as before opset {NUMPY_RULE}, is not supported"
            raise WeightsError("G360", f"{shown(self.path)}: {message}: onnx.version_converter makes it newer")
        try:
            onnx.checker.check_node(proto, self.context)
        except onnx.checker.ValidationError as error:
            what = brief(proto.name or proto.op_type)
            raise WeightsError("G360", f"{shown(self.path)}: {what}: {shown(str(error).splitlines()[0])}") from None

    def fold(self, proto: onnx.NodeProto, node: OnnxNode) -> bool:
        """Whether the node is gone: its outputs are constants now. Else their types are known, where they can be."""
        if node.op == "Constant":
            self.keep(node.outputs[0], _constant_of(proto, self.path))
            return True
        if node.op in ("Shape", "Size") and (found := self.shape(node.inputs[0])) is not None:
            if math.prod(found) > np.iinfo(np.int64).max:
                return False
            part = found[slice(node.get("start", 0), node.get("end"))]
            self.keep(node.outputs[0], np.asarray(part if node.op == "Shape" else math.prod(found), np.int64))
            return True
        self.infer(proto, node)
        if node.op == "CastLike" and node.inputs[0] in self.constants and node.outputs[0] in self.types:
            kind = helper.tensor_dtype_to_np_dtype(self.types[node.outputs[0]].tensor_type.elem_type)
            with np.errstate(all="ignore"), suppress(ValueError, TypeError):  # of texts that are no numbers
                self.keep(node.outputs[0], self.constants[node.inputs[0]].astype(kind))
                return True
            return False
        known = all(name in self.constants for name in node.inputs if name)
        if not known or node.op not in COMPUTED | SLOWLY or not self.is_bounded(node):
            return False
        return self.evaluate(proto, node)

    def infer(self, proto: onnx.NodeProto, node: OnnxNode) -> None:
        """The types of a node's outputs, where ONNX can tell."""
        given = [name for name in node.inputs if name]
        if node.op not in INFERRED or any(name not in self.types for name in given):
            return
        if odd := self.odd_way(node):
            self.wrong.update({name: odd for name in node.outputs if name})
            return
        data = {name: self.constants[name] for name in given if name in self.constants}
        try:
            small = {name: numpy_helper.from_array(array) for name, array in data.items() if array.size <= SMALL}
            schema = defs.get_schema(proto.op_type, self.opset, "")
            types = {name: self.types[name] for name in given}
            found = shape_inference.infer_node_outputs(schema, proto, types, small, opset_imports=self.imports)
        except shape_inference.InferenceError as error:
            said = str(error).splitlines()[0].removeprefix("[ShapeInferenceError] ")
            self.wrong.update({name: f"ONNX says: {said}" for name in proto.output if name})
            return
        except Exception:  # onnx raises many kinds; a value without a type is refused where somebody asks for it
            return
        if any(len(each.tensor_type.shape.dim) > MOST_AXES for each in found.values()):
            message = f"expected outputs of at most {MOST_AXES} axes"
            raise WeightsError("G360", f"{shown(self.path)}: {brief(node.label)}: {message}")
        self.types.update(found)

    def odd_way(self, node: OnnxNode) -> str:
        """What is said of a node's axis that is none of its first input's, and of an equation that is none: of these
        onnx has ended processes, or not ended."""
        if node.op == "Einsum" and EQUATION.fullmatch(node.get("equation", "")) is None:
            return f"its equation is {node.get('equation')}: expected letters with commas, ->, and letters"
        axis, shape = node.get("axis"), self.shape(node.inputs[0]) if node.inputs and node.inputs[0] else None
        if not isinstance(axis, int):
            return ""
        rank = len(shape) + (node.op in BEHIND) if shape is not None and node.op not in ANY_AXIS else MOST_AXES
        return "" if -rank <= axis < max(rank, 1) else f"its axis is {axis}: expected {-rank} to {max(rank, 1) - 1}"

    def is_bounded(self, node: OnnxNode) -> bool:
        """Whether computing the node's outputs takes no more than its bounds; texts are not computed with."""
        texts = any(self.constants[name].dtype.kind == "O" for name in node.inputs if name)
        if texts and node.op not in IDLE:
            return False
        sizes, count = 0, sum(self.constants[name].size for name in node.inputs if name)
        for name in filter(None, node.outputs):
            shape = self.shape(name)
            if shape is None or min(shape, default=0) < 0:
                return False
            count += math.prod(shape)
            kind = self.types[name].tensor_type.elem_type
            if kind == TensorProto.STRING and not texts:
                return False
            sizes += math.prod(shape) * BITS.get(TensorProto.DataType.Name(kind), 64) // 8
        if self.evaluated >= MAX_EVALUATED:
            return False
        if self.computed + sizes > self.limit or (node.op in SLOWLY and self.slow + count > MAX_SLOW):
            return False
        self.computed += sizes
        self.evaluated += 1
        self.slow += count if node.op in SLOWLY else 0
        return True

    def alone(self, proto: onnx.NodeProto, feeds: Mapping[str, Array]) -> onnx.ModelProto:
        """A model of one node: of a node alone, the reference takes the newest form, whatever the opset."""
        inputs = [onnx.ValueInfoProto(name=name, type=self.types[name]) for name in feeds]
        outputs = [onnx.ValueInfoProto(name=name, type=self.types.get(name)) for name in proto.output if name]
        graph = helper.make_graph([proto], "node", inputs, outputs)
        return helper.make_model(graph, opset_imports=self.imports, ir_version=8)

    def evaluate(self, proto: onnx.NodeProto, node: OnnxNode) -> bool:
        training = node.op == "Dropout" and len(node.inputs) > 2 and node.inputs[2]
        if training and self.constants[node.inputs[2]].any():
            return False
        if node.op in IDLE:
            self.keep(node.outputs[0], self.constants[node.inputs[0]])
            return True
        feeds = {name: self.constants[name] for name in node.inputs if name}
        if node.op == BACK:  # of which the reference lacks the older forms
            found = dequantized(node, [self.constants[name] for name in node.inputs if name])
            if found is not None:
                self.keep(node.outputs[0], found)
            return found is not None
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = ReferenceEvaluator(self.alone(proto, feeds)).run(None, feeds)
        except Exception:  # what the reference cannot compute stays a node, which is then said
            return False
        for name, result in zip(filter(None, node.outputs), results, strict=True):
            self.keep(name, np.asarray(result))
        return True


def read_node(proto: onnx.NodeProto, path: Path) -> OnnxNode:
    own = proto.domain in ("", "ai.onnx")
    attributes = {each.name: _attribute(each, path) for each in proto.attribute}
    op = proto.op_type if own else f"{proto.domain}.{proto.op_type}"
    return OnnxNode(op, proto.name, tuple(proto.input), tuple(proto.output), attributes)


def _attribute(attribute: onnx.AttributeProto, path: Path) -> Any:
    """An attribute as numbers, lists, texts or an array; None for a graph."""
    if attribute.type in (attribute.GRAPH, attribute.GRAPHS):
        return None
    if attribute.type == attribute.TENSOR:
        return to_array(attribute.t, path)
    value = helper.get_attribute_value(attribute)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _constant_of(proto: onnx.NodeProto, path: Path) -> Array:
    if len(proto.attribute) != 1:
        name = brief(proto.output[0])
        raise WeightsError(
            "G360", f"{shown(path)}: {name}: expected a constant of one value, found {len(proto.attribute)}"
        )
    (attribute,) = proto.attribute
    if attribute.name == "sparse_value":
        raise WeightsError("G360", f"{shown(path)}: {brief(proto.output[0])}: sparse constants are not supported")
    value = _attribute(attribute, path)
    kinds = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    return value if attribute.name == "value" else np.asarray(value, kinds.get(attribute.name))


def to_array(tensor: TensorProto, path: Path) -> Array:
    """A tensor's numbers, in any shape; a WeightsError where they are not what its shape says."""
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            own = TensorProto(dims=tensor.dims, data_type=tensor.data_type, raw_data=read_external(tensor, path))
            return np.asarray(numpy_helper.to_array(own))
        return np.asarray(numpy_helper.to_array(tensor))
    except GraphcError:
        raise
    except Exception:  # onnx raises many kinds, by what is wrong
        name = brief(tensor.name)
        raise WeightsError("G311", f"{shown(path)}: {name}: its numbers do not fit its shape and type") from None
