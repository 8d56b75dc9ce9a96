"""ONNX graphs of the importer's operators, with attributes, ranks, names and constants that no exporter writes.

An input is a row of decisions, a byte each (the first of a table's lines where the row has ended), so that a change in
it changes one attribute, one name or one constant; and every graph is one that ONNX can read.
"""

from __future__ import annotations

import random
import warnings
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper

from graphc.errors import GraphcError
from graphc.importers.freeze import COMPUTED, SLOWLY
from graphc.importers.onnx_import import Request, import_onnx
from graphc.importers.operators import HANDLERS
from tests.fuzz.harness import Harness

T = TypeVar("T")

LONGEST = 1_000
"""Characters of a line of an error."""
BYTES = 160
"""Of a row of decisions to begin with."""
SEEDS = (
    17, 116, 143, 236, 397, 404, 408, 615, 632, 642, 654, 797, 819, 994, 1058, 1223, 1662, 1817, 1855, 1874, 2025, 2026,
    2137, 2232, 2725, 2978, 3285, 3721,
)  # fmt: skip
"""Of random rows that are graphs which are imported: of the first 4,000 those with a kind of layer that none before
them has. An operator more in the importer's table gives rows other meanings: then they are to be found again."""
MORE = (
    "Constant", "Shape", "Size", "CastLike", "NonMaxSuppression", "If", "Loop", "Scan", "NonZero", "Unique", "RoiAlign",
)  # fmt: skip
OPSETS = (17, 17, 18, 13, 20, 21, 11, 9, 6, 1)
INPUTS: tuple[list[int | str | None], ...] = (
    [1, 3, 8, 8], ["N", 3, 8, 8], [1, 8, 8, 3], [1, 4, 8], [1, 8], [2, 3, 6, 6], [1, 3, 4, 4, 4], ["N", 3, None, None],
    [1, 1, 1, 1], [1, 64], [], [0, 3, 8, 8], [1, 3, 2**20, 2**20],
)  # fmt: skip
SHAPES: tuple[list[int], ...] = (
    [], [1], [3], [2], [4], [8], [4, 3, 3, 3], [3, 1, 1], [1, 3, 1, 1], [8, 4], [3, 1, 3, 3], [4, 4], [0], [1, 1],
    [3, 3, 2, 2, 2], [4, 3, 3], [1, 8, 4], [64],
)  # fmt: skip
WHOLE = (1, 0, 2, -1, 3, 4, 8, -2, 64, 192, 7, 2**31, -(2**63))
REAL = (1.0, 0.5, 0.0, -1.0, 6.0, 3.0, 2.0, 1e-5, 1e30, -3e38, float("nan"), float("inf"))
ROWS = ([0], [1], [-1], [2, 3],
        [0, 2, 3, 1], [0, 3, 1, 2], [1, -1], [1, 1, 8, 8], [0, 0, 1, 1, 0, 0, 1, 1], [1, 1, 2, 2],
        [2, 2], [1, 3, 64], [0, -1], [1, 2], [], [1, 1, 1, 1], [0, 1, 2], [3, 1, 1], [2, 1])  # fmt: skip
TYPES = ("f2", "f8", "u1", "i1", "i4", "?")
TEXTS = (
    "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "linear", "nearest", "cubic", "half_pixel", "align_corners",
    "asymmetric", "pytorch_half_pixel", "tf_crop_and_resize", "floor", "ceil", "round_prefer_ceil", "reflect", "edge",
    "wrap", "constant", "DCR", "CRD", "tanh", "none", "forward", "reverse", "bidirectional", "", "x\ny", "ab,bc->ac",
    "abc,cd->abd", "nchw,kc->nkhw", "mul", "max",
)  # fmt: skip
NAMES = ("", "layer1/conv", "x", "y", "a.b.c", "/m/Relu_1", "true", "\x1b[2J", "a\nb", "é", "1", "-", "'", "${x}", "#")
OTHERS = ("Relu", "Tanh", "Sigmoid")


class Decisions:
    """Choices by the bytes of a row."""

    def __init__(self, row: bytes) -> None:
        self.row = iter(row)

    def pick(self, table: Sequence[T]) -> T:
        return table[next(self.row, 0) % len(table)]

    def is_one_in(self, count: int) -> bool:
        return next(self.row, 0) % count == count - 1


def _look_at(error: GraphcError) -> None:
    """An AssertionError where it tells of a mistake of the importer's, or is not fit for a terminal."""
    lines = str(error).split("\n")
    assert error.code != "G364"
    assert "please report" not in lines[0]
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= LONGEST


class ImportGraph(Harness):
    name = "import_graph"
    suffix = ".onnx"
    share_read = 0.5
    mebibytes = 400
    """onnxruntime, in which the file is compared with its spec, has memory of its own."""

    def seeds(self) -> Sequence[bytes]:
        return [random.Random(number).randbytes(BYTES) for number in SEEDS]

    def packed(self, data: bytes) -> bytes:
        """The file that the decisions make."""
        return bytes(model(Decisions(data)).SerializeToString())

    def read(self) -> None:
        chosen = Decisions(zlib.crc32(self.path.read_bytes()).to_bytes(4, "little"))
        check, flat, dequantize, graph = (chosen.is_one_in(count) for count in (2, 4, 8, 2))
        request = Request(flat=flat, check=check, dequantize=dequantize, graph=graph)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                import_onnx(self.path, request)
            except GraphcError as error:
                _look_at(error)
                raise


def model(made: Decisions) -> onnx.ModelProto:
    opset = made.pick(OPSETS)
    inputs = {"x": made.pick(INPUTS)} | ({"z": made.pick(INPUTS)} if made.is_one_in(12) else {})
    graph = onnx.GraphProto(name=made.pick(NAMES))
    values = list(inputs)
    for number in range(made.pick((1, 2, 3, 1, 2, 4, 6, 10))):
        values += _node(made, graph, values, opset, number)
    graph.input.extend(
        helper.make_tensor_value_info(name, made.pick((1, 1, 1, 1, 1, 7, 10, 8)), shape)
        for name, shape in inputs.items()
    )
    wanted = dict.fromkeys([values[-1], *(made.pick(values) for _ in range(made.pick((0, 0, 1, 2))))])
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if made.is_one_in(16):
        found.metadata_props.add(
            key=made.pick(("names", "graphc.spec", "graphc.classes")), value=made.pick((*NAMES, "{0: 'a'}"))
        )
    return found


@cache
def operators(opset: int) -> Mapping[str, defs.OpSchema]:
    """Those of an opset that the importer knows, and some that it does not."""
    found = {}
    for op in (*HANDLERS, *sorted(COMPUTED | SLOWLY), *MORE):
        try:
            found[op] = defs.get_schema(op, opset, "")
        except defs.SchemaError:
            continue
    return found


def _node(made: Decisions, graph: onnx.GraphProto, values: Sequence[str], opset: int, number: int) -> list[str]:
    """A node more, and the names that it gives."""
    known = operators(opset)
    schema = known[_wide(made, tuple(known))]
    most = min(schema.max_input, made.pick((8, 2, 3, 1, 5)))
    names = [_source(made, graph, values, f"k{number}_{index}", index) for index in range(max(schema.min_input, most))]
    while len(names) > schema.min_input and made.is_one_in(3):
        names.pop()
    count = max(schema.min_output, min(schema.max_output, made.pick((1, 1, 1, 2, 3))))
    results = [f"{made.pick(NAMES) if made.is_one_in(20) else ''}v{number}_{index}" for index in range(count)]
    node = onnx.NodeProto(op_type=schema.name, name=made.pick(NAMES), input=names, output=results)
    for name, attribute in sorted(schema.attributes.items()):
        if attribute.required or made.is_one_in(3):
            value = _attribute(made, attribute.type)
            if value is not None:
                node.attribute.append(helper.make_attribute(name, value, attr_type=attribute.type.value))
    graph.node.append(node)
    return results


def _wide(made: Decisions, table: Sequence[T]) -> T:
    """One of more than a byte can count."""
    return table[(256 * made.pick(range(256)) + made.pick(range(256))) % len(table)]


def _source(made: Decisions, graph: onnx.GraphProto, values: Sequence[str], name: str, index: int) -> str:
    """What a node reads: the value before for the most part, a constant, another value, nothing, what is not there."""
    how = made.pick(range(40))
    if how == 39:
        return "nothing gives it"
    if how > 36 and index:
        return ""
    if how > 30:
        return made.pick(values)
    if (how < 24) == (index == 0):
        return values[-1]
    graph.initializer.append(_constant(made, name))
    return name


def _constant(made: Decisions, name: str) -> TensorProto:
    kind, shape = made.pick(range(16)), made.pick(SHAPES)
    if kind < 5:
        rng = np.random.default_rng(made.pick(range(9)))
        return numpy_helper.from_array(rng.uniform(0.1, 1, shape).astype("f4"), name)
    if kind < 9:
        return numpy_helper.from_array(np.asarray(made.pick(ROWS), "i8"), name)
    if kind < 11:
        return numpy_helper.from_array(np.full(shape, made.pick(WHOLE), "i8"), name)
    if kind < 14:
        return numpy_helper.from_array(np.full(shape, made.pick(REAL), "f4"), name)
    if kind < 15:
        return numpy_helper.from_array(np.full(shape, made.pick((1, 0, 3)), made.pick(TYPES)), name)
    return numpy_helper.from_array(np.full(shape, made.pick(TEXTS), object), name)


def _attribute(made: Decisions, kind: defs.OpSchema.AttrType) -> Any:
    """A value of this type; None of graphs and the like."""
    few = range(made.pick((1, 2, 2, 4, 3, 0, 6)))
    values: Mapping[str, Any] = {
        "INT": lambda: made.pick(WHOLE),
        "FLOAT": lambda: made.pick(REAL),
        "STRING": lambda: made.pick(TEXTS),
        "INTS": lambda: made.pick(ROWS) if made.is_one_in(2) else [made.pick(WHOLE[:6]) for _ in few],
        "FLOATS": lambda: [made.pick(REAL) for _ in few],
        "STRINGS": lambda: [made.pick((*OTHERS, *TEXTS)) for _ in few],
        "TENSOR": lambda: _constant(made, "value"),
        "GRAPH": lambda: helper.make_graph(
            [helper.make_node("Identity", ["x"], ["inside"])], "inside", [], [onnx.ValueInfoProto(name="inside")]
        ),
    }
    return values[kind.name]() if kind.name in values else None
