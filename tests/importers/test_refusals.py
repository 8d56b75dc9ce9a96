"""What cannot be said is said all at once, with where the spec could end; files of strangers are bounded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from graphc.errors import GraphcError, SpecError, WeightsError
from graphc.importers import freeze
from graphc.importers.onnx_import import Request, import_onnx, read_sizes
from graphc.spec.model import read_spec_text
from tests.importers.models import imported, number, whole, write_model


def test_every_node_is_listed_with_counts_and_where_to_end(tmp_path: Path) -> None:
    body = "a = Conv(x, w) b = Sin(a) c = Cos(a) d = Sin(x) e = Add(b, c) y = Add(e, d)"
    with pytest.raises(WeightsError) as raised:
        import_onnx(write_model(tmp_path, body, "N,4,8,6", w=[4, 4, 1, 1]))
    error = raised.value
    assert "3 nodes of 6 cannot be said as layers: Sin (2), Cos; 2 nodes behind them" in error.message
    assert len([note for note in error.notes if "no layer says what it does" in note]) == 3
    assert any("--until a (8×6×4)" in note for note in error.notes)


@pytest.mark.parametrize(
    ("body", "arrays", "told"),
    [
        ("y = Conv(x, x)", {}, "its weights are computed"),
        ("y = Conv(x, w)", {"w": [0, 4, 3, 3]}, "conv2d: filters should be greater than 0, found 0"),
        ("a = Transpose<perm=[1,0,2,3]>(x) b = Transpose<perm=[1,0,3,2]>(x) y = MatMul(a, b)", {},
         "multiplies along examples"),
        ("a = Reshape(x, s) y = Concat<axis=1>(a, a)", {"s": whole(-1, 6)}, "examples joined with other axes"),
        ("y = Concat<axis=0>(x, x)", {}, "joins batches"),
        ("y = Clip(x, low, high)", {"low": number(2), "high": number(1)}, "clips to 2 and 1"),
        ("y = Slice(x, s, e, a, t)", {"s": whole(3), "e": whole(0), "a": whole(2), "t": whole(-1)}, "step is -1"),
        ("y = Mul(x, b)", {"b": [8, 6]}, "expected one number a channel"),
        ("y = Softmax<axis=0>(x)", {}, "along the examples"),
        ("y = Identity(x)", {}, "it is an input"),
        ("y = Pow(x, x)", {}, "expected one number"),
        ("y = ReduceSum(x, a)", {"a": whole(0)}, "reduces along the batch"),
        ("y = Max(x, low)", {"low": [4, 1, 1]}, "it merges values with constants"),
        ("y = Dropout(x, r, t)", {"r": number(0.5), "t": np.asarray(True)}, "it drops numbers"),
        ("f = Flatten(x) y = Gemm(f, w, c)", {"w": [192, 3], "c": [3, 1]}, "expected one an output"),
    ],
)  # fmt: skip
def test_the_reason_is_said(tmp_path: Path, body: str, arrays: dict[str, object], told: str) -> None:
    with pytest.raises(WeightsError, match="cannot be said as layers") as raised:
        import_onnx(write_model(tmp_path, body, "1,4,8,6", **arrays))
    assert told in "\n".join(raised.value.notes)


def test_functions_of_the_file_are_put_in_place(tmp_path: Path) -> None:
    """In a process that has loaded nothing of onnx but what the importer does."""
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]> g (float[N,4,8,6] x) => (float[N,4,8,6] y)
        { a = own.Block(x) y = Sigmoid(a) } <domain: "own", opset_import: ["" : 17]> Block (x) => (y) { y = Relu(x) }"""
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    code = "import sys; from graphc.importers.onnx_import import import_onnx; print(import_onnx(sys.argv[1]).said)"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "2 nodes, 2 layers" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("a = HardSigmoid<alpha=0.16666667, beta=0.3>(x) y = Mul(x, a)", ["hard_sigmoid", "multiply"]),
        ("a = HardSigmoid<alpha=0.16666667>(x) y = Mul(x, a)", ["hard_swish"]),
    ],
)
def test_what_is_nearly_a_pattern_is_none(tmp_path: Path, body: str, kinds: list[str]) -> None:
    """Nobody compares here, so that the pattern itself has to see it."""
    assert imported(write_model(tmp_path, body), check=False) == kinds


def test_a_variance_along_other_axes_is_no_layer_norm(tmp_path: Path) -> None:
    body = "m = ReduceMean<axes=[1]>(x) d = Sub(x, m) q = Mul(d, d) v = ReduceMean<axes=[2,3]>(q)"
    body += " e = Add(v, eps) s = Sqrt(e) y = Div(d, s)"
    assert "layer_norm" not in imported(write_model(tmp_path, body, eps=number(1e-5)), check=False)


def test_a_norm_of_no_axes(tmp_path: Path) -> None:
    path = write_model(tmp_path, "y = ReduceSumSquare<noop_with_empty_axes=1>(x)", opset=18)
    with pytest.raises(WeightsError, match="cannot be said") as raised:
        import_onnx(path, Request(check=False))
    assert "it has no axes" in raised.value.notes[0]


def test_shapes_that_are_spread_along_an_axis_as_before_opset_7(tmp_path: Path) -> None:
    path = write_model(tmp_path, "y = Add<axis=1, broadcast=1>(x, b)", "1,4,4,4", opset=6, b=[4])
    with pytest.raises(WeightsError, match=r"Add with an axis, as before opset 7, is not supported"):
        import_onnx(path, Request(check=False))


def test_what_a_file_says_of_itself_stays_within_a_comment(tmp_path: Path) -> None:
    path = write_model(tmp_path, "y = Relu(x)", "N,4,8,6")
    model = onnx.load(path)
    model.producer_name = "somebody\nvars: {a: 1}\x1b]0;b\x07"
    onnx.save(model, path)
    text = import_onnx(path).text
    assert "vars: {a: 1}" in text.splitlines()[0]
    assert "\x1b" not in text
    assert not read_spec_text(text).vars


def test_inputs_that_layers_cannot_take(tmp_path: Path) -> None:
    path = write_model(tmp_path, "y = Relu(x)", "N,1,2,3,4,5")
    with pytest.raises(WeightsError, match="cannot be said"):
        import_onnx(path)
    with pytest.raises(WeightsError, match=r"axis 1 has no size: give them: --input x=3x224x224"):
        import_onnx(write_model(tmp_path, "y = Relu(x)", "N,C,8,8"))


@pytest.mark.parametrize("option", ["224", "0x3", "ax3", "x", "1x1x1=", "9999999x1"])
def test_sizes_that_are_none(tmp_path: Path, option: str) -> None:
    path = write_model(tmp_path, "y = Relu(x)")
    with pytest.raises(GraphcError, match="--input"):
        import_onnx(path, Request(sizes=read_sizes([option])))


def test_an_unknown_node_is_an_error_with_a_hint(tmp_path: Path) -> None:
    path = write_model(tmp_path, "hidden = Relu(x) y = Sin(hidden)")
    with pytest.raises(SpecError, match="did you mean 'hidden'"):
        import_onnx(path, Request(until=("hiden",)))


def test_a_bomb_is_not_computed(tmp_path: Path) -> None:
    """A constant of 2**40 numbers, from a file of a few bytes."""
    path = write_model(tmp_path, "c = ConstantOfShape(s) y = Add(x, c)", s=whole(2**20, 2**20))
    with pytest.raises(WeightsError, match="cannot be said"):
        import_onnx(path)


def test_many_constants_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "a = Expand(o, s) b = Expand(o, s) c = Add(a, b) d = Add(x, c) y = Relu(d)"
    path = write_model(tmp_path, body, o=number(1), s=whole(4, 1, 1))
    import_onnx(path)
    monkeypatch.setattr(freeze, "MAX_COMPUTED", 20)
    monkeypatch.setattr(freeze, "MORE", 0)
    with pytest.raises(WeightsError, match="cannot be said"):
        import_onnx(path)


def test_too_many_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freeze, "MAX_NODES", 1)
    with pytest.raises(WeightsError, match="expected at most 1 nodes, found 2"):
        import_onnx(write_model(tmp_path, "a = Relu(x) y = Relu(a)"))


def test_control_flow_and_other_domains_are_named(tmp_path: Path) -> None:
    path = write_model(tmp_path, "a = Relu(x) y = Relu(a)")
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.other", 1))
    model.graph.node[1].domain, model.graph.node[1].op_type = "com.other", "Fused"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=r"com\.other\.Fused"):
        import_onnx(path)


def test_damaged_weights_are_an_error(tmp_path: Path) -> None:
    path = write_model(tmp_path, "y = Conv(x, w)", w=[4, 4, 1, 1])
    model = onnx.load(path)
    model.graph.initializer[0].raw_data = np.zeros(3, np.float32).tobytes()
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError):
        import_onnx(path)


def test_a_wrong_spec_is_never_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a handler be wrong, the comparison finds it."""
    from graphc.importers.operators import HANDLERS, activation

    monkeypatch.setitem(HANDLERS, "Tanh", activation.plain("sigmoid"))  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="other outputs than the file"):
        import_onnx(write_model(tmp_path, "y = Tanh(x)"))
