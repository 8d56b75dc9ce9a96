"""onnxruntime behind `Session`: what it is given is checked, and it can be stopped."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
from onnx import TensorProto, helper, parser

from graphc import runtime
from graphc.emit.model import emit, write_model
from graphc.errors import MachineError, SpecError, WeightsError
from graphc.runtime import DeviceSession, Session
from tests.passes.specs import plan_of

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    path = tmp_path_factory.mktemp("model") / "net.onnx"
    plan = plan_of("inputs: {image: [N, 4, 5, 3]}\nlayers: [{relu: {name: r}}]\noutputs: {out: r}")
    write_model(emit(plan, {}), path)
    return Session(path, threads=1)


def test_ports_say_names_shapes_and_layout(session: Session):
    (image,), (out,) = session.inputs, session.outputs
    assert (image.name, image.dtype, image.shape, image.layout) == ("image", "float32", ("N", 4, 5, 3), "nhwc")
    assert (out.name, out.shape, out.layout) == ("out", ("N", 3, 4, 5), "nchw")


def test_run_gives_outputs_by_name(session: Session):
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 3), np.float32)
    assert np.array_equal(session.run({"image": x})["out"], np.maximum(x, 0).transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "expects the input 'image', found none"),
        ({"imag": np.zeros(1)}, "has no input 'imag' (did you mean 'image'?)"),
        ({"image": np.zeros((1, 4, 5, 3))}, "input image expects float32, found float64"),
        ({"image": np.zeros((4, 5, 3), "f4")}, "expects the shape [N, 4, 5, 3], found [4, 5, 3]"),
        ({"image": np.zeros((1, 4, 6, 3), "f4")}, "expects the shape [N, 4, 5, 3], found [1, 4, 6, 3]"),
        ({"image": np.zeros((0, 4, 5, 3), "f4")}, "expects the shape [N, 4, 5, 3], found [0, 4, 5, 3]"),
    ],
)
def test_what_does_not_fit_is_said(session: Session, feeds: dict[str, np.ndarray], message: str):
    with pytest.raises(SpecError) as error:
        session.run(feeds)
    assert message in str(error.value)


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(WeightsError, match=r"there is no file .*none\.onnx"):
        Session(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a protobuf")
    with pytest.raises(WeightsError, match=r"bad\.onnx: expected an ONNX model"):
        Session(tmp_path / "bad.onnx")


def test_a_name_that_is_no_text():
    model = endless()
    assert b"always" in model
    with pytest.raises(WeightsError, match="expected an ONNX model"):
        Session(model.replace(b"\x0a\x01x", b"\x0a\x01\xff").replace(b"\x12\x01x", b"\x12\x01\xff"))


def test_sequences_are_no_tensors():
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[N,3] x) => (seq(float[]) y)
        <int64[2] s = {1, 2}> { y = SplitToSequence<axis=1>(x, s) }"""
    session = Session(parser.parse_model(text).SerializeToString(), threads=1)
    with pytest.raises(SpecError, match=r"expected a tensor as the output y, found seq\(tensor\(float\)\)"):
        session.run({"x": np.zeros((1, 3), np.float32)})


def test_bytes_of_a_type_that_nobody_reads_are_no_numbers():
    """onnxruntime gives float8 as uint8: 56 for 1."""
    text = """<ir_version: 9, opset_import: ["" : 19]> g (float[N,3] x) => (float8e4m3fn[N,3] y)
        { y = Cast<to=17>(x) }"""
    session = Session(parser.parse_model(text).SerializeToString(), threads=1)
    with pytest.raises(SpecError, match=r"expected a tensor as the output y, found tensor\(float8e4m3fn\)"):
        session.run({"x": np.ones((1, 3), np.float32)})


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MachineError, match=r"needs the package onnxruntime: install graphc\[ort\]"):
        Session(b"")


def endless() -> bytes:
    """A loop that never ends."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]),
        ],
    )
    always = helper.make_tensor("always", TensorProto.BOOL, [], [True])
    graph = helper.make_graph(
        [helper.make_node("Loop", ["", "always", "x"], ["y"], body=body)],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [always],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def test_a_run_beyond_the_limit_is_ended():
    session = Session(endless(), threads=1, limit=0.2)
    with pytest.raises(MachineError, match=r"ran longer than the limit of 0\.2 s"):
        session.run({"x": np.zeros(1, "f4")})
    assert not any(each.name.startswith("graphc-run") and each.is_alive() for each in threading.enumerate())


def test_an_interrupt_ends_the_run(monkeypatch):
    session = Session(endless(), threads=1)
    join = threading.Thread.join

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        monkeypatch.setattr(threading.Thread, "join", join)
        time.sleep(0.1)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.run({"x": np.zeros(1, "f4")})
    assert not any(each.name.startswith("graphc-run") and each.is_alive() for each in threading.enumerate())


def test_the_product_that_is_tried_is_what_it_is_said_to_be():
    text = "g (uint8[M,K] a, int8[K,N] b) => (int32[M,N] y) { y = MatMulInteger(a, b) }"
    expected = parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}')
    assert expected.SerializeToString() == runtime.PRODUCT


@pytest.mark.parametrize("cut_off", [True, False])
def test_integers_are_exact_and_slower_only_where_sums_would_be_cut_off(monkeypatch, cut_off):
    given, start = [], Session._start
    monkeypatch.setattr(runtime, "cuts_sums_off", lambda: cut_off)
    monkeypatch.setattr(Session, "_start", lambda *args: given.append(args[-1]) or start(*args))
    session = Session(runtime.PRODUCT)
    assert [config.get(runtime.EXACT_INTEGERS) for config in given] == ["1" if cut_off else None]
    a, b = np.full((8, 16), 100, np.uint8), np.full((16, 8), 100, np.int8)
    assert np.all(session.run({"a": a, "b": b})["y"] == 16 * 100 * 100)


def test_steps_on_a_cpu_take_their_memory_piece_by_piece():
    for kind, planned in ((Session, True), (DeviceSession, False)):
        options = kind(runtime.PRODUCT)._session.get_session_options()
        assert options.enable_mem_pattern is planned


def test_a_build_without_blocks_has_none(monkeypatch):
    assert runtime.channel_block() in {0, 8, 16}
    without = runtime.BLOCKS.replace(b"ReorderInput", b"ReorderOther")
    monkeypatch.setattr(runtime, "BLOCKS", without)
    assert runtime.channel_block.__wrapped__() == 0
