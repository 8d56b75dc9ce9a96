"""ONNX files that somebody made to break the importer: a sentence each, whatever is in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from graphc.cli import cli
from graphc.errors import GraphcError, MachineError, WeightsError
from graphc.importers import drafts
from graphc.importers.onnx_import import Request, import_onnx
from tests.costs import little
from tests.importers.models import number, numbers, whole, write_model

LOWEST = number(-3e38)
TEXT = np.asarray(["a"], object)
BORDER = whole(0, 0, 1, 1, 0, 0, 1, 1)


def made(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    outputs: Sequence[str] = ("y",),
    shape: Sequence[int] = (1, 3, 8, 8),
    opsets: Sequence[tuple[str, int]] = (("", 17),),
    **arrays: Any,
) -> Path:
    """A file with the input x and these outputs."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*each) for each in opsets], ir_version=8)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


RELU = node("Relu", "x", "y")


@pytest.mark.parametrize(
    ("nodes", "outputs", "told"),
    [
        ([RELU], ("y", "ghost"), "expected a node that gives the output ghost, found none"),
        ([RELU], (), "expected a graph with outputs, found none"),
        ([RELU], ("y", "y"), "expected one output y, found two"),
        ([RELU, node("Abs", "x", "y")], ("y",), "expected one value y, found another node that gives it"),
        ([node("Relu", "x", "x")], ("x",), "expected one value x, found another node that gives it"),
        ([node("Dropout", "x", "a m"), node("Relu", "a", "y")], ("y", "m"), "output m: it is more than the layer"),
        ([node("LayerNormalization", "x k", "y m")], ("y", "m"), "output m: it is more than the layer"),
        ([node("Dropout", "k", "y m")], ("y", "m"), "output m: it is more than the layer"),
        ([node("Constant", "", "c"), RELU], ("y",), "c: expected a constant of one value, found 0"),
        ([node("Constant", "", "c", value_int=1, value_float=2.0), RELU], ("y",), "of one value, found 2"),
    ],
)  # fmt: skip
def test_a_graph_that_is_none_is_refused(tmp_path: Path, nodes: Any, outputs: Any, told: str) -> None:
    with pytest.raises(WeightsError) as raised:
        import_onnx(made(tmp_path, nodes, outputs, k=np.ones(8, "f4")), Request(check=False))
    assert told in str(raised.value)
    assert "model.onnx" in str(raised.value)


@pytest.mark.parametrize("opsets", [(), (("", 0),), (("", 2**62),), (("", 17), ("ai.onnx", 6)), (("", -5),)])
def test_operators_are_of_one_opset_that_is_known(tmp_path: Path, opsets: Any) -> None:
    with pytest.raises(WeightsError, match="expected one opset of ONNX's own operators, from 1 to"):
        import_onnx(made(tmp_path, [RELU], opsets=opsets), Request(check=False))


def test_initializers_of_one_name_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path, [node("Mul", "x k", "y")], k=number(2))
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(number(3), "k"))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="expected one initializer k, found two"):
        import_onnx(path, Request(check=False))


def test_onnx_ends_no_process(tmp_path: Path) -> None:
    """It does by itself where Split has more outputs than it says."""
    nodes = [node("Split", "x", "y a b", axis=1, num_outputs=2)]
    with pytest.raises(WeightsError, match="expected as many outputs as num_outputs=2 says, found 3"):
        import_onnx(made(tmp_path, nodes, opsets=[("", 18)]), Request(check=False))


def test_what_onnx_says_of_a_node_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as raised:
        import_onnx(made(tmp_path, [node("Softmax", "x", "y", axis=9)]), Request(check=False))
    assert "Softmax the node of y: its axis is 9: expected -4 to 3" in str(raised.value)


@pytest.mark.parametrize(
    ("body", "arrays"),
    [
        ("s = Size(x) f = Cast<to=1>(s) y = Mul(x, f)", {}),
        ("c = Constant<value_strings=[\"a\", \"b\"]>() y = Relu(x)", {}),
        ("c = CastLike(t, k) y = Relu(x)", {"t": TEXT, "k": numbers(1)}),
        ("c = CastLike(t, k) y = Relu(x)", {"t": numbers(np.nan, 1e30), "k": whole(1)}),
        ("y = Div(x, t)", {"t": TEXT}),
        ("d = DequantizeLinear(q, s) y = Mul(x, d)", {"q": np.asarray(3, "i1"), "s": numbers(1, 2)}),
        ("y = NonMaxSuppression(x, x)", {}),
        ("b = Relu(x) y = NonMaxSuppression(b, x, m, t, t)", {"m": whole(1, 2), "t": numbers(1, 2)}),
        ("p = Pad(x, b, v) y = MaxPool<kernel_shape=[2,2]>(p)", {"b": BORDER, "v": np.zeros(0, "f4")}),
        ("p = Pad(x, b, v) y = MaxPool<kernel_shape=[2,2]>(p)", {"b": np.asarray(3), "v": LOWEST}),
        ("p = Pad(x, b, v) y = MaxPool<kernel_shape=[2,2]>(p)", {"b": BORDER, "v": TEXT}),
        ("p = Pad(x, b, v) y = MaxPool<kernel_shape=[2,2], pads=[1,1]>(p)", {"b": BORDER, "v": LOWEST}),
        ("e = Slice(x, z, z, o) r = Reshape<allowzero=1>(e, s) t = Transpose<perm=[0,3,4,1,5,2]>(r)"
         " y = Reshape<allowzero=1>(t, w)",
         {"z": whole(0), "o": whole(1), "s": whole(1, 0, 0, 2, 2, 2), "w": whole(1, 0, 8, 6)}),
        ("e = Slice(x, z, z, o) r = Reshape<allowzero=1>(e, s) i = InstanceNormalization(r, n, n)"
         " y = Reshape<allowzero=1>(i, w)",
         {"z": whole(0), "o": whole(1), "s": whole(1, 0, 9), "w": whole(1, 0, 8, 6), "n": np.zeros(0, "f4")}),
        ("y = Reshape(x, s)", {"s": whole(1, 2, 2, 2, 2, 3, 2, 2)}),
        ("q = QuantizeLinear(x, s, a) y = DequantizeLinear(q, s, b)",
         {"s": numbers(1), "a": np.zeros(2, "u1"), "b": np.zeros(3, "u1")}),
    ],
)  # fmt: skip
def test_no_graph_ends_in_a_mistake(tmp_path: Path, body: str, arrays: dict[str, Any]) -> None:
    path = write_model(tmp_path, body, "1,4,8,6", **arrays)
    for dequantize in (False, True):
        with suppress(GraphcError):
            assert import_onnx(path, Request(check=False, dequantize=dequantize)).text


def test_a_constant_that_is_dropped_at_random_is_none(tmp_path: Path) -> None:
    body = "d = Dropout(k, r, t) y = Mul(x, d)"
    with pytest.raises(WeightsError, match="cannot be said as layers"):
        import_onnx(
            write_model(tmp_path, body, k=[1, 4, 1, 1], r=number(0.5), t=np.asarray(True)), Request(check=False)
        )


def test_a_tensor_that_is_its_own_zero_point(tmp_path: Path) -> None:
    """(q - q) * s is 0."""
    body = "d = DequantizeLinear(q, s, q) a = Add(x, d) y = Relu(a)"
    import_onnx(write_model(tmp_path, body, q=np.asarray(3, "i1"), s=number(0.5)))


def test_names_of_classes_whose_numbers_nobody_has(tmp_path: Path) -> None:
    path = made(tmp_path, [RELU])
    model = onnx.load(path)
    model.metadata_props.add(key="names", value=json.dumps({"1" * 5000: "a"}))
    path.write_bytes(model.SerializeToString())
    assert "classes" not in import_onnx(path, Request(check=False)).text


GUESSES = (
    "b = Relu(x) "
    + "".join(f"s{n} = NonMaxSuppression(b, x, m, t, t) c{n} = Concat<axis=2>(x, x) " for n in range(60))
    + "y = Relu(c1)"
)
DIAMOND = (
    "c0 = Concat<axis=1>(x, x) "
    + "".join(f"c{n + 1} = Concat<axis=1>(c{n}, c{n}) " for n in range(24))
    + "m = Mul(c24, k) s = Add(m, k) y = Concat<axis=2>(s, s)"
)
"""Paths that double from layer to layer."""
DEEP = (
    "c0 = Softmax(x) "
    + "".join(f"c{n + 1} = Softmax(c{n}) " for n in range(1200))
    + "m = Mul(c1200, k) s = Add(m, k) y = Concat<axis=2>(s, s)"
)


@pytest.mark.posix
@pytest.mark.parametrize(
    ("body", "shape", "arrays"),
    [
        ("k = ConstantOfShape(s) r = Resize<mode=\"linear\">(k, , f) y = Relu(x)", "1,4",
         {"s": whole(1, 1, 16, 16), "f": numbers(1, 1, 128, 128)}),
        ("k = ConstantOfShape(s) e = Einsum<equation=\"ab,cd,ef,gh->\">(k, k, k, k) y = Relu(x)", "1,4",
         {"s": whole(64, 64)}),
        ("k = ConstantOfShape(s) l = MaxPool<kernel_shape=[3,3]>(k) y = Relu(x)", "1,4",
         {"s": whole(1, 1, 3000, 3000)}),
        ("".join(f"k{n} = ConstantOfShape(s) " for n in range(8)) + "y = Relu(x)", "1,4", {"s": whole(2**26)}),
        (GUESSES, "1,8,4", {"m": whole(5), "t": numbers(0.5)}),
        (DIAMOND, "1,2,1", {"k": np.ones((1, 1, 4), np.float32)}),
        (DEEP, "1,2,4", {"k": np.ones((1, 1, 4), np.float32)}),
    ],
)  # fmt: skip
def test_nothing_is_computed_that_costs_much(tmp_path: Path, body: str, shape: str, arrays: dict[str, Any]) -> None:
    path = write_model(tmp_path, body, shape, **arrays)
    with little(), suppress(WeightsError):
        import_onnx(path, Request(check=False, flat=True))


def chain(length: int, name: str = "", op: str = "Relu") -> list[onnx.NodeProto]:
    """Layers one after the other, the last gives v{length}."""
    return [node(op, "x" if at == 0 else f"v{at}", f"v{at + 1}", name=name and f"{name}{at}") for at in range(length)]


def nested(levels: int) -> list[onnx.NodeProto]:
    """Residuals within each other; the last gives b{levels - 1}."""
    nodes, before = chain(levels, "n"), f"v{levels}"
    for at in range(levels - 1):
        nodes += [
            node("Sigmoid", before, f"s{at}"),
            node("Add", f"s{at} v{levels - 1 - at}", f"b{at}"),
        ]
        before = f"b{at}"
    return nodes


@pytest.mark.posix
@pytest.mark.parametrize(
    ("nodes", "output"),
    [
        (chain(1500), "v1500"),
        ([*chain(1, "a/" * 100_000 + "b/Relu"), node("Abs", "v1", "y", name="a/" * 100_000 + "c/Abs")], "y"),
        ([*chain(600, "n"), node("Add", "x v600", "z"), node("Relu", "z", "y")], "y"),
        (nested(200), "b198"),
    ],
)
def test_structure_is_found_in_little_time(tmp_path: Path, nodes: Any, output: str) -> None:
    """Of nodes without names, with long ones, around one residual, and in two hundred within each other."""
    path = made(tmp_path, nodes, [output])
    with little():
        found = import_onnx(path, Request(check=False))
    assert found.said[0].startswith(f"{len(nodes):,} nodes")


SPEC = "graphc: 1\nname: net\ninputs: {x: [N, 12000, 12000, 3]}\nlayers:\n  - relu: {name: y}\noutputs: {y: y}\n"


@pytest.mark.posix
@pytest.mark.parametrize("shape", [(1, 3, 12000, 12000), (100_000_000, 4), (1, 12000, 12000, 3)])
def test_inputs_to_compare_on_are_bounded(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = made(tmp_path, [RELU], shape=shape)
    model = onnx.load(path)
    if shape[-1] == 3:
        for key, value in (("graphc.spec", SPEC), ("graphc.fold", "false")):
            model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    with little(), pytest.raises(WeightsError, match=r"model.onnx: expected inputs of at most 67,108,864 numbers"):
        import_onnx(path)  # where the file holds a spec, that is compared too
    assert import_onnx(path, Request(check=False)).text


def test_a_spec_in_a_file_is_of_all_of_its_outputs(tmp_path: Path) -> None:
    path = made(tmp_path, [RELU, node("Sigmoid", "x", "z")], ["y", "z"], shape=(2, 8, 8, 3))
    model = onnx.load(path)
    facts = {"graphc.spec": SPEC.replace("12000", "8"), "graphc.fold": "false", "graphc.output_layout": "nhwc"}
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    found = import_onnx(path)
    assert "the file holds its spec, but not its outputs" in found.said[0]
    assert "sigmoid" in found.text
    del model.graph.output[1], model.graph.node[1]
    path.write_bytes(model.SerializeToString())
    assert import_onnx(path).said == ("the spec that the file was compiled from, with its variables",)


def test_sizes_that_no_spec_has(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"model.onnx: input x: expected a size of at most 2,147,483,647, found"):
        import_onnx(made(tmp_path, [RELU], shape=(1, 2**40)), Request(check=False))


def test_an_error_of_the_spec_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a line of a text that nobody has."""
    monkeypatch.setattr(drafts, "flat_text", lambda *_: "graphc: 1\nname: net\n")
    with pytest.raises(WeightsError, match=r"error\[G\d+\]: \S+model.onnx: its spec cannot be: a spec needs"):
        import_onnx(made(tmp_path, [RELU]))


@pytest.mark.posix
def test_a_wide_product_is_followed_in_little_memory(tmp_path: Path) -> None:
    """Weights of a few kilobytes make 5,000 numbers of each of 5,000 positions."""
    length = 5000
    nodes = [node("MatMul", f"x w{part}", part) for part in "qkv"]
    nodes += [node("Unsqueeze", f"{part} one", f"{part}u") for part in "qkv"]
    nodes += [
        node("Transpose", "ku", "kt", perm=[0, 1, 3, 2]),
        node("MatMul", "qu kt", "scores"),
        node("Softmax", "scores", "shares", axis=-1),
        node("MatMul", "shares vu", "o"),
        node("Squeeze", "o one", "os"),
        node("MatMul", "os wo", "y"),
    ]
    weights = {f"w{part}": np.ones((1, length), np.float32) for part in "qkv"}
    path = made(tmp_path, nodes, shape=(1, length, 1), wo=np.ones((length, 1), np.float32), one=whole(1), **weights)
    with little():
        assert "matmul" in import_onnx(path, Request(check=False, flat=True)).text


def test_variables_that_no_layer_has_are_refused_where_they_stand(tmp_path: Path) -> None:
    body = "y = InstanceNormalization(x, g, b)"
    path = write_model(tmp_path, body, g=numbers(1, 1, 1, 1), b=np.ones((2, 2), np.float32))
    with pytest.raises(WeightsError) as raised:
        import_onnx(path, Request(check=False))
    assert "InstanceNormalization the node of y: its beta would have the shape [2, 2]: expected [4]" in str(
        raised.value
    )


@pytest.mark.parametrize("places", [("o.yaml", "none/w.npz"), ("none/o.yaml", "w.npz")])
def test_spec_and_weights_are_both_written_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: tuple[str, str]
) -> None:
    path = made(tmp_path, [node("Mul", "x k", "y")], k=np.ones((1, 3, 1, 1), np.float32) * 2)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MachineError, match="cannot write none"):
        CliRunner().invoke(cli, ["import", path.name, "-o", places[0], "--weights", places[1]], catch_exceptions=False)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("r = ReduceMax<noop_with_empty_axes=3>(x) y = Relu(r)", "its noop_with_empty_axes is 3: expected 0 or 1"),
        ("y = MaxPool<kernel_shape=[2,2], ceil_mode=2>(x)", "its ceil_mode is 2: expected 0 or 1"),
        ("r = ReduceSum(x, a) y = Relu(r)", "its axes [2, 2] name one twice"),
    ],
)
def test_what_runtimes_read_in_different_ways_is_refused(tmp_path: Path, body: str, told: str) -> None:
    with pytest.raises(WeightsError) as raised:
        import_onnx(write_model(tmp_path, body, opset=18, a=whole(2, 2)), Request(check=False))
    assert told in str(raised.value)
