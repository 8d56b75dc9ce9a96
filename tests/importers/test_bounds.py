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
from tests.costs import SMALL, little
from tests.importers.models import number, whole

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
