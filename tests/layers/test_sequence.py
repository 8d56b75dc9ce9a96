"""Sequences: open lengths, the numbers of sinusoids, what lstm and gru are of each step, and PyTorch's layers."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.dims import Formula
from graphc.errors import Place, RuleError, SpecError
from graphc.graph import GraphInput, LayerGraph, Node
from graphc.kernels.context import RunContext
from graphc.layers.base import Layer
from graphc.layers.class_token import ClassToken
from graphc.layers.gru import Gru
from graphc.layers.lstm import Lstm
from graphc.layers.multi_head_attention import MultiHeadAttention
from graphc.layers.position_embedding import PositionEmbedding, sinusoids
from tests.layers.cases import Case
from tests.layers.one_layer import initial_params, random_inputs
from tests.passes.specs import plan_of

HERE = Place("case.yaml", 1, 1)
OPEN = [
    Lstm(units=4, bidirectional=True),
    Lstm(units=4, bidirectional=True, return_sequences=False),
    Gru(units=3),
    MultiHeadAttention(heads=2),
    ClassToken(),
]


@pytest.mark.parametrize("layer", OPEN, ids=lambda layer: layer.kind)
def test_a_model_of_open_length_computes_what_numpy_does(layer: Layer) -> None:
    ort = pytest.importorskip("onnxruntime")
    from graphc.emit.model import emit
    from graphc.passes.plan import plan

    case = Case(layer, ((7, 6),))
    inputs = (GraphInput("x", (Formula.symbol("L"), 6), HERE),)
    rng = np.random.default_rng(1)
    params = initial_params(case, rng, "float32")
    node = Node("layer", layer, ("x",), HERE, "layer")
    variables = {f"net/layer/{name}": value for name, value in params.items()}
    model = emit(plan(LayerGraph("net", "N", inputs, (node,), {"y": "layer"}, {})), variables)
    session = ort.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    for length in (1, 7):
        x = rng.standard_normal((2, length, 6)).astype(np.float32)
        (found,) = session.run(None, {"x": x})
        expected = layer.forward(RunContext(), params, x).output
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_two_sequences_of_open_lengths_meet_in_attention() -> None:
    plan = plan_of(
        "inputs: {x: [N, L, 6], memory: [N, M, 4]}\n"
        "layers: [multi_head_attention: {name: a, heads: 2, inputs: [x, memory]}]"
    )
    assert [str(size) for size in plan.shapes["a"]] == ["L", "6"]
    assert sum(node.param_count for node in plan.nodes) == 2 * 6 * 6 + 2 * 4 * 6 + 4 * 6


def test_learned_positions_need_a_fixed_length() -> None:
    with pytest.raises(SpecError, match="position_embedding needs fixed sizes, got L×4"):
        plan_of("inputs: {x: [N, L, 4]}\nlayers: [position_embedding]")


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (Lstm(units=2), ((4, 4, 3),), r"lstm expects a sequence \(length, channels\), got 4×4×3; reshape: "),
        (Gru(units=2), ((3,),), r"gru expects a sequence \(length, channels\), got 3"),
        (MultiHeadAttention(heads=4), ((5, 6),), "6 channels do not divide by heads=4, got 5×6; key_size says"),
        (PositionEmbedding(method="sinusoidal"), ((5, 3),), "an even number of channels, got 5×3"),
    ],
)
def test_what_does_not_fit_is_said(layer: Layer, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(RuleError, match=message):
        layer.infer_shape(*shapes)


def test_sinusoids_are_those_of_the_paper() -> None:
    found = sinusoids(3, 4)
    np.testing.assert_allclose(found[2], [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(found[0], [0, 1, 0, 1])


def test_the_forget_gate_starts_open() -> None:
    spec = Lstm(units=2).declare_params((5, 3))["biases"]
    np.testing.assert_array_equal(spec.initializer.draw(spec.shape, "biases", 0), [0, 0, 1, 1, 0, 0, 0, 0])


def test_macs_are_those_of_the_products() -> None:
    assert Lstm(units=5, bidirectional=True).count_macs((7, 3)) == 2 * 7 * (3 + 5) * 20
    assert MultiHeadAttention(heads=2).count_macs((7, 6)) == 4 * 7 * 6 * 6 + 2 * 7 * 7 * 6


def recurrent_of_torch(torch: object, layer: Lstm | Gru, params: dict[str, np.ndarray], channels: int) -> object:
    """PyTorch's module with the same variables: its gates lie in the same order, its matrices transposed."""
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[layer.kind]
    module = kind(channels, layer.units, batch_first=True, bidirectional=layer.bidirectional, bias=layer.bias).double()
    names = {"weights": "weight_ih_l0", "recurrent_weights": "weight_hh_l0"}
    if layer.bias:
        names |= {"biases": "bias_ih_l0", "recurrent_biases": "bias_hh_l0"}
    with torch.no_grad():
        for ours, theirs in names.items():
            for prefix, suffix in (("", ""), ("reverse_", "_reverse"))[: layer.directions]:
                getattr(module, theirs + suffix).copy_(torch.from_numpy(params[prefix + ours].T))
    return module


@pytest.mark.parametrize("kind", [Lstm, Gru])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_are_those_of_torch(kind: type[Lstm | Gru], bidirectional: bool) -> None:
    torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
    layer = kind(units=5, bidirectional=bidirectional)
    case = Case(layer, ((7, 3),))
    rng = np.random.default_rng(3)
    params, (x,) = initial_params(case, rng), random_inputs(case, 4, rng)
    module = recurrent_of_torch(torch, layer, params, 3)
    theirs_x = torch.from_numpy(x).requires_grad_()
    theirs, _ = module(theirs_x)
    step = layer.forward(RunContext(training=True), params, x)
    np.testing.assert_allclose(step.output, theirs.detach().numpy(), rtol=0, atol=1e-12)

    dy = rng.standard_normal(step.output.shape)
    theirs.backward(torch.from_numpy(dy))
    gradients = step.backward(dy)
    np.testing.assert_allclose(gradients.inputs[0], theirs_x.grad.numpy(), rtol=0, atol=1e-12)
    for ours, name in (("weights", "weight_ih_l0"), ("recurrent_weights", "weight_hh_l0"), ("biases", "bias_ih_l0"),
                       ("recurrent_biases", "bias_hh_l0")):  # fmt: skip
        expected = getattr(module, name).grad.numpy().T
        np.testing.assert_allclose(gradients.params[ours], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("crossed", [False, True])
def test_attention_is_that_of_torch(crossed: bool) -> None:
    torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
    layer = MultiHeadAttention(heads=2)
    case = Case(layer, ((5, 6), (3, 4)) if crossed else ((5, 6),))
    rng = np.random.default_rng(4)
    params, inputs = initial_params(case, rng), random_inputs(case, 3, rng)
    module = torch.nn.MultiheadAttention(6, 2, batch_first=True, kdim=4, vdim=4).double() if crossed else (
        torch.nn.MultiheadAttention(6, 2, batch_first=True).double()
    )  # fmt: skip
    matrices = [torch.from_numpy(params[f"{part}_weights"].T) for part in ("query", "key", "value", "output")]
    with torch.no_grad():
        if crossed:
            for name, matrix in zip(("q", "k", "v"), matrices, strict=False):
                getattr(module, f"{name}_proj_weight").copy_(matrix)
        else:
            module.in_proj_weight.copy_(torch.cat(matrices[:3]))
        module.in_proj_bias.copy_(
            torch.from_numpy(np.concatenate([params[f"{part}_biases"] for part in ("query", "key", "value")]))
        )
        module.out_proj.weight.copy_(matrices[3])
        module.out_proj.bias.copy_(torch.from_numpy(params["output_biases"]))
    theirs_inputs = [torch.from_numpy(x).requires_grad_() for x in inputs]
    theirs, _ = module(theirs_inputs[0], theirs_inputs[-1], theirs_inputs[-1])
    step = layer.forward(RunContext(training=True), params, *inputs)
    np.testing.assert_allclose(step.output, theirs.detach().numpy(), rtol=0, atol=1e-12)

    dy = rng.standard_normal(step.output.shape)
    theirs.backward(torch.from_numpy(dy))
    gradients = step.backward(dy)
    for ours, other in zip(gradients.inputs, theirs_inputs, strict=True):
        np.testing.assert_allclose(ours, other.grad.numpy(), rtol=0, atol=1e-12)
    expected = module.out_proj.weight.grad.numpy().T
    np.testing.assert_allclose(gradients.params["output_weights"], expected, rtol=0, atol=1e-12)
    value = module.v_proj_weight.grad if crossed else module.in_proj_weight.grad[12:]
    np.testing.assert_allclose(gradients.params["value_weights"], value.numpy().T, rtol=0, atol=1e-12)


def test_dropped_attention_weights_are_as_many_as_asked_for() -> None:
    layer = MultiHeadAttention(heads=1, key_size=2, dropout=0.5)
    case = Case(layer, ((40, 2),))
    rng = np.random.default_rng(5)
    params, (x,) = initial_params(case, rng), random_inputs(case, 3, rng)
    context = RunContext(training=True)
    factors = layer._kept(context, x, x)
    assert set(np.unique(factors)) == {0, 2}
    assert abs((factors == 0).mean() - 0.5) < 0.03
    dropped, whole = (layer.forward(each, params, x).output for each in (context, RunContext()))
    assert not np.allclose(dropped, whole)
    again = layer.forward(context, params, x).output
    np.testing.assert_array_equal(dropped, again)
