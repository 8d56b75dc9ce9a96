"""Models that somebody else made."""

from __future__ import annotations

import os

import pytest
from onnx import TensorProto, helper

from graphc.emit.read import open_model
from graphc.errors import WeightsError
from graphc.runtime import Session


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


def test_data_in_two_places_are_refused(tmp_path):
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    tensor.raw_data = bytes(8)
    (tmp_path / "net.onnx").write_bytes(model_with(tensor))
    with pytest.raises(WeightsError, match="its data are in more than one place"):
        open_model(tmp_path / "net.onnx")
