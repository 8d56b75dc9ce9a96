"""A model that is run reads no file but those beside it, wherever in it they are named."""

from __future__ import annotations

import os
import time

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import AttributeProto, SparseTensorProto, TensorProto, helper, numpy_helper

from graphc.emit import read
from graphc.emit.read import open_model, self_contained
from graphc.errors import WeightsError
from graphc.runtime import Session

NUMBERS = np.array([1, 2, 3, 4], np.float32)
ADD = helper.make_node("Add", ["x", "w"], ["y"])


def outside(location: str = "secret", name: str = "w", kind: int = TensorProto.FLOAT) -> TensorProto:
    tensor = TensorProto(name=name, dims=[4], data_type=kind, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def sparse(values: TensorProto, indices: TensorProto) -> SparseTensorProto:
    return SparseTensorProto(values=values, indices=indices, dims=[4])


def constant(**attribute: object) -> onnx.NodeProto:
    node = helper.make_node("Constant", [], ["w"])
    node.attribute.append(AttributeProto(**attribute))  # type: ignore[arg-type]
    return node


def branch(tensor: TensorProto) -> onnx.NodeProto:
    """An If whose branches hold the tensor, in an If of their own."""
    held = helper.make_node("Constant", [], ["v"], value=tensor)
    result = helper.make_tensor_value_info("v", TensorProto.FLOAT, [4])
    inner = helper.make_graph([held], "inner", [], [result])
    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    middle = helper.make_node("If", ["yes"], ["v"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([yes, middle], "outer", [], [result])
    return helper.make_node("If", ["condition"], ["w"], then_branch=outer, else_branch=outer)


def made(*nodes: onnx.NodeProto, tensors: tuple[TensorProto, ...] = ()) -> onnx.ModelProto:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph(list(nodes), "g", ports[:1], ports[1:], list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def with_function(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    model = made(helper.make_node("F", ["x"], ["y"], domain="d"))
    model.opset_import.append(helper.make_opsetid("d", 1))
    body = [*nodes, helper.make_node("Add", ["a", "w"], ["b"])]
    model.functions.append(helper.make_function("d", "F", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    return model


def with_condition(node: onnx.NodeProto) -> onnx.ModelProto:
    return made(node, ADD, tensors=(numpy_helper.from_array(np.array(True), "condition"),))


def with_sparse_initializer() -> onnx.ModelProto:
    model = made(ADD)
    model.graph.sparse_initializer.append(sparse(outside(), numpy_helper.from_array(np.arange(4))))
    return model


def with_training() -> onnx.ModelProto:
    model = made(ADD, tensors=(numpy_helper.from_array(NUMBERS, "w"),))
    model.training_info.add().algorithm.initializer.append(outside(name="t"))
    return model


INDICES = numpy_helper.from_array(np.arange(4), "i")
SPARSE = AttributeProto.SPARSE_TENSOR
PLACES = {
    "initializer": lambda: made(ADD, tensors=(outside(),)),
    "attribute": lambda: made(helper.make_node("Constant", [], ["w"], value=outside()), ADD),
    "list of tensors": lambda: made(constant(name="ts", type=AttributeProto.TENSORS, tensors=[outside()]), ADD),
    "sparse values": lambda: made(
        constant(name="sparse_value", type=SPARSE, sparse_tensor=sparse(outside(), INDICES)), ADD
    ),
    "sparse indices": lambda: made(
        constant(
            name="sparse_value",
            type=SPARSE,
            sparse_tensor=sparse(numpy_helper.from_array(NUMBERS), outside(kind=TensorProto.INT64)),
        ),
        ADD,
    ),
    "list of sparse tensors": lambda: made(
        constant(name="ss", type=AttributeProto.SPARSE_TENSORS, sparse_tensors=[sparse(outside(), INDICES)]), ADD
    ),
    "sparse initializer": with_sparse_initializer,
    "subgraph": lambda: with_condition(branch(outside())),
    "function": lambda: with_function(helper.make_node("Constant", [], ["w"], value=outside())),
    "subgraph of a function": lambda: with_function(
        helper.make_node("Constant", [], ["condition"], value=numpy_helper.from_array(np.array(True))),
        branch(outside()),
    ),
    "training": with_training,
}


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("place", PLACES)
def test_no_link_is_read_wherever_it_is_named(tmp_path, place, link):
    (tmp_path / "elsewhere").write_bytes(bytes(32))
    link(tmp_path / "elsewhere", tmp_path / "secret")
    path = tmp_path / "net.onnx"
    path.write_bytes(PLACES[place]().SerializeToString())
    for opened in (open_model, self_contained, Session):
        with pytest.raises(WeightsError, match=r"expected a plain file|data outside of the graph"):
            opened(path)


@pytest.mark.parametrize("place", [place for place in PLACES if "function" in place or place == "training"])
def test_data_of_functions_and_of_training_are_in_the_model(tmp_path, place):
    (tmp_path / "secret").write_bytes(NUMBERS.tobytes())
    path = tmp_path / "net.onnx"
    path.write_bytes(PLACES[place]().SerializeToString())
    with pytest.raises(WeightsError, match="external data outside of the graph"):
        Session(path)


@pytest.mark.parametrize("place", ["initializer", "attribute", "subgraph"])
def test_data_beside_the_model_are_used(tmp_path, place, monkeypatch):
    (tmp_path / "secret").write_bytes(NUMBERS.tobytes())
    path = tmp_path / "net.onnx"
    path.write_bytes(PLACES[place]().SerializeToString())
    inside = self_contained(path)
    assert isinstance(inside, bytes)
    assert b"secret" not in inside
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").unlink()  # the bytes alone are enough, for onnxruntime itself too
    session = onnxruntime.InferenceSession(inside, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": NUMBERS})[0].tolist() == [2, 4, 6, 8]


def test_tensors_share_a_file(tmp_path):
    first, second = outside(), outside(name="v")
    second.external_data.add(key="offset", value="16")
    model = made(helper.make_node("Add", ["x", "w"], ["s"]), helper.make_node("Add", ["s", "v"], ["y"]))
    model.graph.initializer.extend([first, second])
    (tmp_path / "secret").write_bytes(NUMBERS.tobytes() + (10 * NUMBERS).tobytes())
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert Session(tmp_path / "net.onnx").run({"x": NUMBERS})["y"].tolist() == [12, 24, 36, 48]


def test_a_model_larger_than_a_protobuf_is_given_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "secret").write_bytes(NUMBERS.tobytes())
    path = tmp_path / "net.onnx"
    path.write_bytes(PLACES["initializer"]().SerializeToString())
    monkeypatch.setattr(read, "LARGEST", path.stat().st_size + 15)
    assert self_contained(path) == str(path)
    assert Session(path).run({"x": NUMBERS})["y"].tolist() == [2, 4, 6, 8]


def test_a_model_without_external_data_is_given_as_it_is(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(made(ADD, tensors=(numpy_helper.from_array(NUMBERS, "w"),)).SerializeToString())
    assert self_contained(path) == path.read_bytes()


def test_what_this_onnx_does_not_know_is_not_given_to_a_runtime(tmp_path):
    data = made(ADD, tensors=(numpy_helper.from_array(NUMBERS, "w"),)).SerializeToString()
    (tmp_path / "net.onnx").write_bytes(data + b"\xc2\x3e\x07unknown")  # field 1000
    assert self_contained(tmp_path / "net.onnx") == data


@pytest.mark.parametrize("field", ["raw_data", "float_data", "int64_data"])
def test_data_beside_external_data_are_refused(tmp_path, field):
    tensor = outside()
    if field == "raw_data":
        tensor.raw_data = b""  # runtimes that see the field do not look further
    else:
        getattr(tensor, field).append(1)
    (tmp_path / "secret").write_bytes(NUMBERS.tobytes())
    (tmp_path / "net.onnx").write_bytes(made(ADD, tensors=(tensor,)).SerializeToString())
    with pytest.raises(WeightsError, match="its data are in more than one place"):
        Session(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"secret", "expected keys and values in UTF-8"),
        (b"location", "expected keys and values in UTF-8"),
        (b"w", "found names that are not UTF-8"),
        (b"Add", "found names that are not UTF-8"),
    ],
)
def test_texts_that_are_not_utf8(tmp_path, text, message):
    (tmp_path / "secret").write_bytes(NUMBERS.tobytes())
    model = made(ADD, tensors=(outside(),)).SerializeToString()
    (tmp_path / "net.onnx").write_bytes(model.replace(text, b"\xff" * len(text)))
    with pytest.raises(WeightsError, match=message):
        Session(tmp_path / "net.onnx")


@pytest.mark.posix
def test_a_pipe_for_a_model_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "net.onnx")
    start = time.monotonic()
    with pytest.raises(WeightsError, match="expected a file, found a device or a pipe"):
        Session(tmp_path / "net.onnx")
    assert time.monotonic() - start < 5


def test_a_model_that_claims_more_than_a_protobuf_may_have_is_not_read(tmp_path):
    with (tmp_path / "net.onnx").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(WeightsError, match="the file has 1,099,511,627,776 bytes, the limit is 2,147,483,647"):
        Session(tmp_path / "net.onnx")
