"""The emitted model: names, sizes, metadata, order of the bytes, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from graphc import files
from graphc.emit.model import OPSETS, OnnxModel, emit, write_model
from graphc.errors import MachineError, SpecError
from graphc.graph import Plan
from graphc.initializers import initial_values
from graphc.runtime import Session
from tests.passes.specs import plan_of

NET = """
    inputs: {image: [N, 8, 10, 3]}
    layers:
      - conv2d: {name: conv1, filters: 8, kernel: 3, normalizer: batch_norm, activation: relu}
      - max_pool2d: {name: pool1, kernel: 2, stride: 2}
      - dropout: 0.5
      - flatten
      - fully_connected: {name: fc, units: 5}
    outputs: {logits: fc}
"""


def model_of(text: str, **options) -> OnnxModel:
    plan = plan_of(text)
    return emit(plan, initial_values(plan.variables, 0), **options)


def run(model: OnnxModel, plan: Plan, **sizes: int) -> dict[str, np.ndarray]:
    """All outputs for random inputs; `sizes` for symbols."""
    rng = np.random.default_rng(0)
    session = Session(model.serialize())
    feeds = {
        port.name: rng.standard_normal([sizes.get(size, size) for size in port.shape], np.float32)
        for port in session.inputs
    }
    return session.run(feeds)


def dims(info: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]


def test_names_come_from_the_spec():
    graph = model_of(NET).proto().graph
    assert [(node.op_type, node.name, node.output[0]) for node in graph.node] == [
        ("Transpose", "image/Transpose", "image/Transpose"),
        ("Conv", "conv1", "conv1"),
        ("Relu", "conv1/Relu", "conv1/Relu"),
        ("MaxPool", "pool1", "pool1"),
        ("Flatten", "flatten", "flatten"),
        ("Gemm", "fc", "logits"),
    ]
    assert [tensor.name for tensor in graph.initializer] == [
        "net/conv1/weights",
        "net/conv1/biases",
        "net/fc/weights",
        "net/fc/biases",
    ]
    assert graph.node[1].doc_string == "conv1 net.yaml:5"
    assert all(tensor.raw_data and not tensor.float_data for tensor in graph.initializer)


def test_a_layer_of_several_nodes_names_the_first_and_the_result():
    graph = model_of("layers: [{gelu: {name: g}}, {relu: {name: r}}]").proto().graph
    names = [node.name for node in graph.node[1:]]
    assert names[0] == "g"
    assert all(name.startswith("g/") for name in names[1:-1])
    assert graph.node[-2].output[0] == "g"
    assert graph.node[-1].input[0] == "g"
    assert len({node.output[0] for node in graph.node}) == len(graph.node)


def test_layouts_of_the_input():
    nhwc, nchw = (model_of(NET, layout=layout).proto().graph for layout in ("nhwc", "nchw"))
    assert dims(nhwc.input[0]) == ["N", 8, 10, 3]
    assert dims(nchw.input[0]) == ["N", 3, 8, 10]
    assert [node.op_type for node in nchw.node] == [node.op_type for node in nhwc.node][1:]


def test_an_input_that_is_only_flattened_needs_no_transpose():
    graph = model_of("layers: [flatten, {softmax: {name: s}}]").proto().graph
    assert [node.op_type for node in graph.node] == ["Flatten", "Softmax"]


def test_symbolic_sizes_are_formulas():
    graph = (
        model_of("""
        inputs: {image: [N, H, W, 3]}
        layers:
          - conv2d: {name: c, filters: 4, kernel: 3, stride: 2, padding: same_fixed}
          - relu: {name: r}
        """)
        .proto()
        .graph
    )
    assert dims(graph.input[0]) == ["N", "H", "W", 3]
    assert dims(graph.output[0]) == ["N", 4, "(H + 1)//2", "(W + 1)//2"]
    assert [dims(info) for info in graph.value_info if info.name == "c"] == [["N", 4, "(H + 1)//2", "(W + 1)//2"]]


def test_metadata_say_where_the_model_comes_from():
    model = model_of(NET, metadata={"graphc.spec": "name: net", "graphc.seed": "3"}).proto()
    facts = {each.key: each.value for each in model.metadata_props}
    assert facts["graphc.spec"] == "name: net"
    assert facts["graphc.layout"] == "nhwc"
    points = json.loads(facts["graphc.end_points"])
    assert points == {"net/conv1": "conv1/Relu", "net/pool1": "pool1", "net/fc": "logits"}
    assert set(points.values()) <= {node.output[0] for node in model.graph.node}
    assert (model.producer_name, model.ir_version) == ("graphc", 8)


def test_bytes_are_protobufs_own_and_the_same_every_time():
    first, second = model_of(NET), model_of(NET)
    assert first.serialize() == second.serialize()
    assert first.serialize() == first.proto().SerializeToString(deterministic=True)


ELSEWHERE = {
    "a": {"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
    "b": {"PYTHONHASHSEED": "2", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Tokyo"},
    "c": {"PYTHONHASHSEED": "3", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def test_bytes_do_not_depend_on_hash_seed_folder_locale_or_line_ends(tmp_path):
    """Nor on the encoding of the spec's text."""
    body = "layers: [{conv2d: {name: c, filters: 4, kernel: 3}}, {gelu: {name: g}}]\n"
    spec = f"graphc: 1\nname: net\n# café\ninputs: {{image: [N, 8, 8, 3]}}\n{body}"
    written = {"a": spec.encode(), "b": spec.replace("\n", "\r\n").encode("utf-16"), "c": spec.encode("utf-8-sig")}
    for folder, settings in ELSEWHERE.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.yaml").write_bytes(written[folder])
        command = [sys.executable, "-m", "graphc", "compile", str(tmp_path / folder / "net.yaml"), "-o", "net.onnx"]
        environment = {**os.environ, **settings}
        subprocess.run(command, cwd=tmp_path / folder, env=environment, check=True, capture_output=True)
    first, *others = ((tmp_path / folder / "net.onnx").read_bytes() for folder in ELSEWHERE)
    assert all(other == first for other in others)


@pytest.mark.parametrize("opset", OPSETS)
def test_opset_and_ir_version_are_what_was_asked(opset):
    model = model_of(NET, opset=opset, ir_version=10)
    proto = model.proto()
    assert (proto.opset_import[0].version, proto.ir_version) == (opset, 10)
    plan = plan_of(NET)
    expected = run(model_of(NET), plan, N=2)["logits"]
    assert run(model, plan, N=2)["logits"] == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 12}, "opset 12 is not supported: expected 13 to 21"),
        ({"opset": 99}, "opset 99 is not supported"),
        ({"opset": 19, "ir_version": 8}, "opset 19 needs an IR version of 9 to"),
        ({"ir_version": 7}, "opset 17 needs an IR version of 8 to"),
        ({"ir_version": 999}, "got 999"),
    ],
)
def test_versions_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(SpecError, match="G322") as error:
        model_of(NET, **options)
    assert message in str(error.value)


def test_a_kind_that_an_opset_lacks_is_refused_at_its_line():
    with pytest.raises(SpecError) as error:
        model_of("layers:\n  - layer_norm: {name: ln}\n", opset=16)
    assert "net.yaml:5" in str(error.value)
    assert "ln: ONNX's LayerNormalization needs opset 17, and 16 was asked for" in str(error.value)


def test_shared_variables_are_written_once():
    proto = model_of("""
        inputs: {a: [N, 4], b: [N, 4]}
        layers:
          - fully_connected: {name: one, units: 3, inputs: a}
          - fully_connected: {name: two, units: 3, inputs: b, share: one}
          - add: {name: sum, inputs: [one, two]}
    """).proto()
    assert [tensor.name for tensor in proto.graph.initializer] == ["net/one/weights", "net/one/biases"]


def test_an_output_that_is_an_input_or_has_two_names():
    model = model_of("""
        inputs: {a: [N, 4]}
        layers:
          - dropout: {name: d, rate: 0.5}
          - relu: {name: r}
        outputs: {same: d, first: r, second: r}
    """)
    x = np.array([[-1, 2, -3, 4]], np.float32)
    found = Session(model.serialize()).run({"a": x})
    assert found["same"].tolist() == x.tolist()
    assert found["first"].tolist() == found["second"].tolist() == np.maximum(x, 0).tolist()


def test_an_output_may_have_the_name_of_another_layer():
    model = model_of("layers: [{relu: {name: a}}, {tanh: {name: b}}]\noutputs: {a: b}").proto()
    assert [node.output[0] for node in model.graph.node][1:] == ["a_2", "a"]


def test_layers_that_reach_no_output_are_left_out():
    graph = model_of("layers: [{relu: {name: a}}, {tanh: {name: b}}]\noutputs: {out: a}").proto().graph
    assert [node.op_type for node in graph.node] == ["Transpose", "Relu"]


def test_large_weights_go_to_a_file_of_their_own(tmp_path):
    path = tmp_path / "net.onnx"
    big = model_of(NET.replace("units: 5", "units: 50"))
    write_model(big, path, largest=4000)
    (data,) = (each for each in tmp_path.iterdir() if each.suffix == ".data")
    assert data.stat().st_size == 4 * (8 // 2) * (10 // 2) * 8 * 50
    onnx.checker.check_model(str(path), full_check=True)
    x = np.random.default_rng(0).standard_normal((2, 8, 10, 3), np.float32)
    inside = onnxruntime.InferenceSession(big.serialize()).run(None, {"image": x})
    beside = onnxruntime.InferenceSession(str(path)).run(None, {"image": x})
    assert np.array_equal(inside[0], beside[0])


def test_a_model_is_written_over_an_older_one_whose_data_stay_whole(tmp_path):
    path = tmp_path / "net.onnx"
    for units in (50, 60):
        write_model(model_of(NET.replace("units: 5", f"units: {units}")), path, largest=4000)
        proto = onnx.load(path)
        assert proto.graph.initializer[-2].dims == [units, 160]
        assert len(list(tmp_path.iterdir())) == 2
    write_model(model_of(NET), path)
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.posix
def test_a_pipe_where_a_model_was_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "net.onnx")
    (tmp_path / f"net.onnx.{'0' * 16}.data").write_bytes(b"")
    with pytest.raises(MachineError, match="it is a device or a pipe"):
        write_model(model_of(NET), tmp_path / "net.onnx")


def test_data_that_a_broken_model_names_stay(tmp_path):
    path, data = tmp_path / "net.onnx", tmp_path / f"net.onnx.{'0' * 16}.data"
    for text in (b"no model", b"\x3a\x12\x2a\x10\x6a\x0e\x0a\x08location\x12\x02\xff\xff"):
        path.write_bytes(text)
        data.write_bytes(b"kept")
        write_model(model_of(NET), path)
        onnx.checker.check_model(str(path))
        assert data.read_bytes() == b"kept"


def test_what_killed_processes_have_left_goes(tmp_path):
    """Data whose model was never written, and unfinished files; not those of others, nor of processes that are."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    path, dead = tmp_path / "net.onnx", int(gone.stdout)
    write_model(model_of(NET.replace("units: 5", "units: 50")), path, largest=4000)
    path.unlink()
    left = [f".net.onnx.{dead}.abcdefgh.tmp", f".net.onnx.{'0' * 16}.data.{dead}.abcdefgh.tmp"]
    others = [f".net.onnx.{os.getpid()}.abcdefgh.tmp", f".other.onnx.{dead}.abcdefgh.tmp", "net.onnx.data"]
    for name in (*left, *others):
        (tmp_path / name).write_bytes(b"x")
    write_model(model_of(NET), path)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["net.onnx", *others])


def test_data_of_a_model_that_cannot_be_written_go_again(tmp_path):
    (tmp_path / "net.onnx").mkdir()
    (tmp_path / "net.onnx" / "mine").write_bytes(b"")
    with pytest.raises(MachineError, match="cannot write"):
        write_model(model_of(NET.replace("units: 5", "units: 50")), tmp_path / "net.onnx", largest=4000)
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.posix
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_what_goes_wrong_behind_the_move_leaves_the_data_of_the_model_that_is_there(tmp_path, monkeypatch, error):
    path, sync = tmp_path / "net.onnx", files.sync_folder
    write_model(model_of(NET.replace("units: 5", "units: 50")), path, largest=4000)

    def fail(folder):
        if any(each.name == path.name and each.stat().st_ino != old for each in tmp_path.iterdir()):
            raise error
        sync(folder)

    old = path.stat().st_ino
    monkeypatch.setattr(files, "sync_folder", fail)
    with pytest.raises((MachineError, KeyboardInterrupt)):
        write_model(model_of(NET.replace("units: 5", "units: 60")), path, largest=4000)
    assert onnx.load(path).graph.initializer[-2].dims == [60, 160]
    monkeypatch.undo()
    write_model(model_of(NET.replace("units: 5", "units: 60")), path, largest=4000)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failed_write_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    write_model(model_of(NET), path)
    old = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MachineError, match="No space left on device"):
        write_model(model_of(NET.replace("units: 5", "units: 6")), path)
    assert path.read_bytes() == old
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]


def test_weights_that_lie_otherwise_in_memory_are_written_in_order():
    plan = plan_of("layers: [{conv2d: {name: c, filters: 70, kernel: [3, 2]}}]")
    params = initial_values(plan.variables, 0)
    (weights, _) = onnx_arrays(emit(plan, params))
    assert np.array_equal(weights, params["net/c/weights"].transpose(3, 2, 0, 1))
    doubled = {name: array.astype(">f8") for name, array in params.items()}
    assert emit(plan, doubled).serialize() == emit(plan, params).serialize()


def onnx_arrays(model: OnnxModel) -> list[np.ndarray]:
    return [onnx.numpy_helper.to_array(tensor) for tensor in model.proto().graph.initializer]
