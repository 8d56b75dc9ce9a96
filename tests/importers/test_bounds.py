"""Small ONNX files that would take long: of each kind of work one that is done over and over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphc.errors import GraphcError, WeightsError
from graphc.importers.onnx_import import Request, import_onnx
from graphc.runtime import Session
from tests.costs import SMALL, little
from tests.importers.models import number, whole, write_model

MOST_LETTERS = 1_000


def written(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    outputs: Sequence[str] = ("y",),
    shape: Sequence[int | None] = (1, 3, 8, 8),
    inputs: Sequence[str] = ("x",),
    functions: Sequence[onnx.FunctionProto] = (),
    **arrays: Any,
) -> Path:
    """A small file; `d` is a domain of its own."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert path.stat().st_size <= SMALL
    return path


def row(steps: Sequence[tuple[str, str, dict[str, Any]]], name: str = "") -> list[onnx.NodeProto]:
    """Nodes of (operator, further inputs, attributes), each on the one before, from x to y."""
    found, value = [], "x"
    for number_, (op, more, attributes) in enumerate(steps):
        result = "y" if number_ == len(steps) - 1 else f"v{number_}"
        label = f"{name}{number_}" if name else ""
        found.append(helper.make_node(op, [value, *more.split()], [result], label, **attributes))
        value = result
    return found


def many(op: str, inputs: str, count: int, **attributes: Any) -> list[onnx.NodeProto]:
    """Nodes that read the same, and one that reads all of them."""
    nodes = [helper.make_node(op, inputs.split(), [f"o{number_}"], **attributes) for number_ in range(count)]
    return [*nodes, helper.make_node("Sum", [f"o{number_}" for number_ in range(count)], ["y"])]


def deep(count: int) -> list[onnx.FunctionProto]:
    """Functions, each of which uses the next."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    bodies = [
        [
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node(f"f{number_ + 1}", ["b"], ["c"], domain="d")
            if number_ + 1 < count
            else helper.make_node("Relu", ["b"], ["c"]),
        ]
        for number_ in range(count)
    ]
    return [helper.make_function("d", f"f{n}", ["a"], ["c"], body, opsets) for n, body in enumerate(bodies)]


RELU = ("Relu", "", {})
CALL = helper.make_node("f0", ["x"], ["y"], domain="d")
LEAKY = [(op, "", {"alpha": 0.5 + step / 999}) for step in range(250) for op in ("LeakyRelu", "Elu")]
RESHAPES = [("Reshape", "s", {})] * 999
CUTS = [
    node
    for step in range(999)
    for node in (
        helper.make_node("Mul", ["y", "k"], [f"m{step}"]),
        helper.make_node("Add", [f"m{step}", "k"], [f"a{step}"]),
        helper.make_node("Concat", [f"a{step}", f"a{step}"], [f"o{step}"], axis=2),
    )
]
FILES: dict[str, Callable[[Path], Path]] = {
    "many nodes": lambda folder: written(folder, row([RELU] * 20_000)),
    "many constants": lambda folder: written(folder, many("Add", "k k", 6_000), k=number(1)),
    "a large constant, read often": lambda folder: written(
        folder, row([("Mul", "k", {})] * 9_000), shape=(1, 65_536), k=np.ones(65_536, "f4")
    ),
    "a large constant, summed often": lambda folder: written(
        folder, [helper.make_node("Sum", ["k"] * 99_999, ["y"])], k=np.ones(99_999, "f4")
    ),
    "a value, joined often": lambda folder: written(
        folder, [helper.make_node("Concat", ["x"] * 99_999, ["y"], axis=1)]
    ),
    "many outputs": lambda folder: written(
        folder, row([("Identity", "", {})] * 9_999), [*(f"v{number_}" for number_ in range(9_998)), "y"]
    ),
    "boxes that many nodes may be": lambda folder: written(folder, many("Concat", "x x", 900, axis=2)),
    "boxes behind a long row": lambda folder: written(
        folder,
        [*row(RESHAPES), *CUTS],
        [f"o{number_}" for number_ in range(999)],
        s=whole(1, 3, 8, 8),
        k=np.ones((1, 3, 8, 8), "f4"),
    ),
    "a row of two billions": lambda folder: written(
        folder,
        row([("Reshape", "s", {}), ("Gather", "i", {})]),
        shape=(1, 2**31 - 1),
        s=whole(-1),
        i=whole(0, 1),
    ),
    "many axes": lambda folder: written(folder, row([("Reshape", "s", {}), *[RELU] * 999]), s=np.ones(20_000, "i8")),
    "an input of many axes": lambda folder: written(folder, row([RELU] * 999), shape=(1,) * 20_000),
    "many inputs": lambda folder: written(
        folder,
        [helper.make_node("Sum", [f"x{n}" for n in range(9_999)], ["y"])],
        inputs=[f"x{n}" for n in range(9_999)],
    ),
    "rows with other numbers each": lambda folder: written(folder, row(LEAKY)),
    "names that begin alike": lambda folder: written(folder, row(LEAKY, "model.a.b.c.d.")),
    "deep functions": lambda folder: written(folder, [CALL], functions=deep(2_000)),
}


@pytest.mark.parametrize("file", FILES)
def test_a_small_file_costs_little(tmp_path: Path, file: str) -> None:
    path = FILES[file](tmp_path)
    told = "model.onnx"
    with little():
        try:
            import_onnx(path, Request(check=False))
        except GraphcError as error:
            told = error.message
    assert "model.onnx" in told
    assert len(told) < MOST_LETTERS


def test_functions_are_none_of_onnx_s_own_operators(tmp_path: Path) -> None:
    negated = helper.make_function(
        "", "Relu", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    with pytest.raises(WeightsError, match="domains of their own, found Relu among ONNX's own"):
        import_onnx(written(tmp_path, row([RELU]), functions=[negated]), Request(check=False))


def test_kinds_of_nodes_are_counted_behind_the_first(tmp_path: Path) -> None:
    nodes = [helper.make_node(f"Odd{number_}", ["x"], [f"o{number_}"], domain="d") for number_ in range(500)]
    path = written(tmp_path, nodes, [f"o{number_}" for number_ in range(500)])
    with pytest.raises(WeightsError, match=r"d\.Odd0, .*, d\.Odd9, and 490 others") as raised:
        import_onnx(path, Request(check=False))
    assert len(raised.value.message) < MOST_LETTERS


@pytest.mark.parametrize("shape", [(1, 3, None), (1, 2**40), (1,) * 99])
def test_endless_names_are_shortened(tmp_path: Path, shape: Sequence[int | None]) -> None:
    name = f"x\n{'a' * 9_999}"
    path = written(tmp_path, [helper.make_node("Relu", [name], ["y"])], shape=shape, inputs=[name])
    with pytest.raises(WeightsError, match=r"input x\\x0aaaa.*…aaa") as raised:
        import_onnx(path, Request(check=False))
    assert len(raised.value.message) < MOST_LETTERS


SPREAD = {
    "a number to a row": ("Add", (1, 2**31 - 1), {"k": np.ones(1, "f4")}, "spread to 2,147,483,647 numbers"),
    "a slope to channels": ("PRelu", (1, 2**31 - 1), {"k": np.ones(1, "f4")}, "spread to 2,147,483,647 numbers"),
    "a column to an image": ("Add", (1, 3, 8_000, 8_000), {"k": np.ones((1, 1, 8_000), "f4")}, "spread to 192,000,000"),
    "two of two billions": ("Gather", (1, 2**31 - 1, 8, 8), {"k": whole(1, 0)}, "neither a range nor a shuffle"),
    "one that is not there": ("Gather", (1, 8, 8, 8), {"k": whole(8, 9)}, "it picks 9 of 8: expected -8 to 7"),
}


@pytest.mark.parametrize("case", SPREAD)
def test_few_numbers_become_no_billions(tmp_path: Path, case: str) -> None:
    op, shape, arrays, told = SPREAD[case]
    axis = {"axis": 1} if op == "Gather" else {}
    path = written(tmp_path, [helper.make_node(op, ["x", "k"], ["y"], **axis)], shape=shape, **arrays)
    with little(), pytest.raises(WeightsError) as raised:
        import_onnx(path, Request(check=False))
    assert told in str(raised.value)


def test_a_value_that_would_be_compared_is_bounded(tmp_path: Path) -> None:
    node = helper.make_node("Resize", ["x", "", "s"], ["a"], mode="nearest")
    mean = helper.make_node("GlobalAveragePool", ["a"], ["y"])
    path = written(tmp_path, [node, mean], shape=(1, 3, 64, 64), s=np.asarray([1, 1, 200, 200], "f4"))
    with little(), pytest.raises(WeightsError, match="at most 134,217,728 numbers to compare, found 491,520,000"):
        import_onnx(path)


@pytest.mark.parametrize(
    ("op", "attributes", "arrays", "told"),
    [
        ("ReduceMean", {"axes": [1, -3]}, {}, "name one twice"),
        ("Clip", {}, {"low": number(float("nan"))}, "it clips to what is no number"),
        ("Div", {}, {"k": number(1e-45)}, "it divides by zero, or by next to nothing"),
    ],
)
def test_what_is_read_in_different_ways_is_refused(
    tmp_path: Path, op: str, attributes: Any, arrays: Any, told: str
) -> None:
    path = written(tmp_path, [helper.make_node(op, ["x", *arrays], ["y"], **attributes)], **arrays)
    with pytest.raises(WeightsError) as raised:
        import_onnx(path, Request(check=False))
    assert told in str(raised.value)


def test_means_of_nothing_warn_of_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    nodes = [helper.make_node("ReduceMean", ["k"], ["c"], axes=[0]), helper.make_node("Add", ["x", "c"], ["y"])]
    path = written(tmp_path, nodes, k=np.zeros((0, 8), "f4"))
    try:
        import_onnx(path, Request(check=False))
    except GraphcError as error:
        assert error.code == "G362"  # noqa: PT017
    assert not recwarn.list


@pytest.mark.parametrize("axis", [4, -5, 2**31, -(2**63)])
@pytest.mark.parametrize("op", ["LayerNormalization", "Softmax", "Concat", "Split"])
def test_an_axis_that_is_none_ends_no_process(tmp_path: Path, op: str, axis: int) -> None:
    inputs = ["x", "k"] if op == "LayerNormalization" else ["x", "x"] if op == "Concat" else ["x"]
    path = written(tmp_path, [helper.make_node(op, inputs, ["y"], axis=axis)], k=np.ones(8, "f4"))
    with pytest.raises(WeightsError, match="cannot be said as layers") as raised:
        import_onnx(path, Request(check=False))
    assert f"its axis is {axis}: expected -4 to 3" in str(raised.value)


@pytest.mark.parametrize("equation", ["x\ny", "", "ab,bc", "...a->a", "a->", "->", "ab,bc->ac->a"])
def test_equations_that_are_none_come_to_an_end(tmp_path: Path, equation: str) -> None:
    nodes = [helper.make_node("Einsum", ["x", "x", "x"], ["y"], equation=equation)]
    with little(), pytest.raises(WeightsError, match="Einsum"):
        import_onnx(written(tmp_path, nodes), Request(check=False))


def test_batches_that_are_none_end_no_process(tmp_path: Path) -> None:
    nodes = [helper.make_node("GatherND", ["x", "k"], ["y"], batch_dims=-2)]
    with pytest.raises(WeightsError, match="expected batch_dims of 0 or more, found -2"):
        import_onnx(written(tmp_path, nodes, k=whole(0)), Request(check=False))


def test_texts_are_not_computed_with(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["k"], ["t"], to=TensorProto.STRING),
        helper.make_node("ConstantOfShape", ["s"], ["u"], value=numpy_helper.from_array(np.asarray(["a"], object))),
        helper.make_node("Concat", ["t", "u"], ["v"], axis=0),
        helper.make_node("Cast", ["v"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "w"], ["y"]),
    ]
    path = written(tmp_path, nodes, k=np.ones(3, "f4"), s=whole(5))
    with pytest.raises(WeightsError, match="cannot be said as layers: Cast"):
        import_onnx(path, Request(check=False))


EMPTY = {
    "attributes": (1, b"\x2a\x00"),
    "inputs": (0, b"\x5a\x00"),
    "values": (0, b"\x6a\x00"),
    "tensors": (1, b"\x52\x00"),
}
"""Parts of a graph (0) or of a node in it (1) that take two bytes, and in memory hundreds."""


@pytest.mark.parametrize("parts", EMPTY)
def test_empty_parts_are_counted(tmp_path: Path, parts: str) -> None:
    depth, part = EMPTY[parts]
    graph = part * 400_000
    for field in (0x0A,) * depth:
        graph = bytes([field]) + sized(graph)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x08\x3a" + sized(graph))
    with (
        little(),
        pytest.raises(WeightsError, match=r"expected at most 166,\d* parts in a file of that size"),
    ):
        import_onnx(path, Request(check=False))


def sized(data: bytes) -> bytes:
    """Bytes behind their number, as protobuf writes it."""
    count, head = len(data), bytearray()
    while count >= 0x80:
        head.append(count & 0x7F | 0x80)
        count >>= 7
    return bytes([*head, count]) + data


def test_tensors_in_other_files_are_counted(tmp_path: Path) -> None:
    model = onnx.load(written(tmp_path, row([RELU])))
    for number_ in range(10_001):
        tensor = model.graph.initializer.add(name=f"w{number_}", data_type=1, dims=[0], data_location=1)
        tensor.external_data.add(key="location", value="data")
    (tmp_path / "data").write_bytes(b"0000")
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with little(), pytest.raises(WeightsError, match="at most 10,000 tensors in files beside the model"):
        import_onnx(path, Request(check=False))


@pytest.mark.parametrize("place", ["graph", "branch", "function"])
@pytest.mark.parametrize(
    ("node", "told"),
    [
        (helper.make_node("Split", ["x"], ["y", "z"], num_outputs=1), "as many outputs as num_outputs=1 says, found 2"),
        (helper.make_node("GatherND", ["x", "x"], ["y"], batch_dims=-2), "expected batch_dims of 0 or more, found -2"),
        (helper.make_node("Einsum", ["x"], ["y"], equation="x\ny"), "expected an equation of letters, found 'x"),
    ],
)
def test_no_runtime_is_given_what_ends_it(tmp_path: Path, node: onnx.NodeProto, told: str, place: str) -> None:
    nodes, functions = [node], []
    if place == "branch":
        inner = helper.make_graph(nodes, "inner", [], [onnx.ValueInfoProto(name="y")])
        nodes = [helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)]
    if place == "function":
        opsets = [helper.make_opsetid("", 17)]
        functions, nodes = [helper.make_function("d", "f0", ["x"], ["y"], nodes, opsets)], [CALL]
    path = written(tmp_path, nodes, functions=functions)
    with pytest.raises(WeightsError) as raised:
        Session(path)
    assert told in raised.value.message


def test_axes_do_not_count_from_the_end_in_old_files(tmp_path: Path) -> None:
    path = write_model(tmp_path, "a = Unsqueeze<axes=[-1]>(x) y = Elu(a)", "1,8", opset=6)
    with pytest.raises(WeightsError, match="cannot be said as layers: Unsqueeze"):
        import_onnx(path, Request(check=False))


def test_a_scale_of_no_numbers_scales_nothing(tmp_path: Path) -> None:
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["d"]), helper.make_node("Add", ["x", "d"], ["y"])]
    path = written(tmp_path, nodes, q=np.zeros((), "u1"), s=np.zeros(0, "f4"))
    with pytest.raises(WeightsError, match="cannot be said as layers"):
        import_onnx(path, Request(check=False))
