"""Models that somebody else made."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from graphc.emit.read import open_model, self_contained
from graphc.errors import WeightsError
from graphc.runtime import Session
from tests.costs import little


def model_with(tensor: TensorProto) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [tensor],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def external(**entries: str) -> TensorProto:
    tensor = TensorProto(name="w", dims=[2], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../w.data"}, "expected the name of a file beside the model"),
        ({"location": "/etc/passwd"}, "expected the name of a file beside the model"),
        ({"location": ".."}, "expected the name of a file beside the model"),
        ({}, "expected the name of a file beside the model"),
        ({"location": "none.data"}, "there is no such file"),
        ({"location": "symbolic.data"}, "expected a plain file, found a symbolic link"),
        ({"location": "hard.data"}, "expected a plain file, found a file with several names (hard links)"),
        pytest.param({"location": "pipe.data"}, "expected a plain file", marks=pytest.mark.posix),
        ({"location": "folder.data"}, "expected a plain file"),
        ({"location": "w.data", "length": "100000000000000"}, "bytes 0 to 100000000000000 of 8"),
        ({"location": "w.data", "offset": "-4", "length": "8"}, "bytes -4 to 4 of 8"),
        ({"location": "w.data", "offset": "x"}, "are not numbers"),
        ({"location": "w.data", "offset": "1_0"}, "are not numbers"),
        ({"location": "w.data", "offset": "9" * 5000}, "are not numbers"),
        ({"location": "w.data", "length": "4"}, "expected 8 bytes for its shape, found 4"),
        ({"location": "*/_ORT_MEM_ADDR_/*"}, "expected the name of a file beside the model"),
        ({"location": "sub/w.data"}, "expected the name of a file beside the model"),
        ({"location": "w.data", "__class__": "x"}, "unknown keys __class__"),
    ],
)
def test_external_data_lie_in_a_plain_file_beside_the_model(tmp_path, entries, message):
    (tmp_path / "w.data").write_bytes(bytes(8))
    (tmp_path / "linked").write_bytes(bytes(8))
    (tmp_path / "symbolic.data").symlink_to(tmp_path / "w.data")
    os.link(tmp_path / "linked", tmp_path / "hard.data")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.data")
    (tmp_path / "folder.data").mkdir()
    path = tmp_path / "net.onnx"
    path.write_bytes(model_with(external(**entries)))
    for opened in (open_model, Session):
        with pytest.raises(WeightsError) as error:
            opened(path)
        assert message in str(error.value)


def test_shapes_of_external_data_are_looked_at_before_they_are_multiplied(tmp_path):
    """The product of these sizes has millions of digits."""
    (tmp_path / "w.data").write_bytes(bytes(8))
    for entries in ({"location": "w.data"}, {"location": "w.data", "length": "8"}):
        tensor = external(**entries)
        tensor.dims.extend([2**62] * 100_000)
        (tmp_path / "net.onnx").write_bytes(model_with(tensor))
        with little(), pytest.raises(WeightsError, match="expected at most 64 axes, found 100,001"):
            open_model(tmp_path / "net.onnx")


def test_tensors_do_not_read_a_file_a_thousand_times(tmp_path):
    (tmp_path / "w.data").write_bytes(bytes(1_000_000))
    path = tmp_path / "net.onnx"
    for count, fits in ((3, True), (1000, False)):
        model = onnx.ModelProto.FromString(model_with(external(location="w.data")))
        (tensor,) = model.graph.initializer
        tensor.dims[:] = [250_000]
        for number in range(count):
            model.graph.initializer.append(tensor)
            model.graph.initializer[-1].name = f"w{number}"
        path.write_bytes(model.SerializeToString())
        if fits:
            assert len(self_contained(path)) > 4_000_000
            continue
        with (
            little(),
            pytest.raises(WeightsError, match="expected tensors of at most 4 times as many, found 5,000,000"),
        ):
            self_contained(path)


@pytest.mark.parametrize(
    ("kind", "numbers", "said"),
    [
        (TensorProto.FLOAT16, [15360, 70000], "expected 0 to 65535 of FLOAT16, found 70000"),
        (TensorProto.INT8, [-129, 0], "expected -128 to 127 of INT8, found -129"),
        (TensorProto.BOOL, [0, 2], "expected 0 to 1 of BOOL, found 2"),
    ],
)
def test_numbers_that_a_type_has_not_are_refused(tmp_path, kind, numbers, said):
    """Readers keep their last bits, and are another number."""
    (tmp_path / "net.onnx").write_bytes(model_with(TensorProto(name="w", dims=[2], data_type=kind, int32_data=numbers)))
    with pytest.raises(WeightsError, match=said):
        open_model(tmp_path / "net.onnx")


def test_a_part_of_a_tensor_is_none(tmp_path):
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    tensor.segment.begin = 3
    (tmp_path / "net.onnx").write_bytes(model_with(tensor))
    with pytest.raises(WeightsError, match="expected a whole tensor, found a segment of one"):
        open_model(tmp_path / "net.onnx")


def with_functions(*uses: tuple[int, ...]) -> bytes:
    """Functions f0, f1, …, each a chain of the functions of these numbers, or a Relu; the graph is f0."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    functions = []
    for number, used in enumerate(uses):
        values = ["x", *(f"v{at}" for at in range(1, len(used))), "y"]
        ops = [(f"f{each}", "f") for each in used] or [("Relu", "")]
        nodes = [helper.make_node(op, [values[at]], [values[at + 1]], domain=d) for at, (op, d) in enumerate(ops)]
        functions.append(helper.make_function("f", f"f{number}", ["x"], ["y"], nodes, opsets))
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("f0", ["x"], ["y"], domain="f")], "g", ports[:1], ports[1:])
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=8).SerializeToString()


@pytest.mark.parametrize(("field", "what"), [(b"\x0a\x00", "nodes"), (b"\x2a\x00", "initializers")])
def test_a_graph_of_nothing_but_many_parts(tmp_path, field, what):
    parts = 200_001 * field
    size = bytes([len(parts) & 127 | 128, len(parts) >> 7 & 127 | 128, len(parts) >> 14])
    (tmp_path / "net.onnx").write_bytes(b"\x3a" + size + parts)
    with little(), pytest.raises(WeightsError, match=f"expected at most 200,000 {what}, found 200,001"):
        open_model(tmp_path / "net.onnx")


def test_functions_in_place_are_bounded(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(with_functions((1, 1), (2, 2), (3, 2), ()))
    with pytest.raises(WeightsError, match="expected functions that do not use themselves, found f2"):
        open_model(path)
    path.write_bytes(with_functions(*((number + 1,) * 2 for number in range(40)), ()))
    with little(), pytest.raises(WeightsError, match="expected at most 200,000 nodes with all functions in place"):
        open_model(path)
    path.write_bytes(with_functions((1, 1), (2, 2, 2), ()))
    assert Session(path).run({"x": np.ones(2, np.float32)})["y"].tolist() == [1, 1]


def test_data_in_two_places_are_refused(tmp_path):
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    tensor.raw_data = bytes(8)
    (tmp_path / "net.onnx").write_bytes(model_with(tensor))
    with pytest.raises(WeightsError, match="its data are in more than one place"):
        open_model(tmp_path / "net.onnx")
