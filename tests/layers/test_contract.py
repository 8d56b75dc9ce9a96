"""What every layer kind keeps, on the rows of `cases`: a kind without a row is a failure.

Values are judged by onnxruntime, gradients by finite differences in float64, reach by changing one pixel at a
time and looking which outputs change. Parameters and inputs are random; a wrong convention that all rules share
is not seen here but in the tests of each family.
"""

from __future__ import annotations

import itertools
import zlib
from importlib import import_module
from pkgutil import iter_modules
from random import Random

import numpy as np
import pytest

from graphc import layers
from graphc.dims import Formula, evaluate_shape, is_spatial
from graphc.errors import RuleError
from graphc.kernels.context import RunContext
from graphc.layers import CATALOGUE, FAMILIES, protocols
from graphc.layers.base import Layer
from graphc.layers.protocols import AbsorbsAffine, AbsorbsInput, Affine, SplitsAffine
from graphc.testing import Case, check_gradients, check_reach, check_shapes, check_values
from graphc.testing.case import initial_params, random_inputs
from tests.layers.cases import all_cases, all_samplers

CASES = all_cases()
SAMPLERS = all_samplers()
SAMPLES = 20
"""Configurations a kind in the gradient check, besides its rows."""

each_case = pytest.mark.parametrize("case", CASES, ids=str)


def rows(kind: str) -> list[Case]:
    return [case for case in CASES if case.layer.kind == kind]


def sampled(kind: str) -> list[Case]:
    """Twenty random configurations; of a kind that has no sampler, its rows again and again."""
    rng = Random(zlib.crc32(kind.encode()))
    if kind in SAMPLERS:
        return [SAMPLERS[kind](rng) for _ in range(SAMPLES)]
    return list(itertools.islice(itertools.cycle(rows(kind)), SAMPLES))


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_every_kind_has_a_case(kind):
    assert rows(kind), f"add a row for {kind} under tests/layers/cases"


@each_case
def test_forward_has_the_inferred_shape_and_the_inputs_dtype(case):
    check_shapes(case)


@each_case
def test_symbolic_shape_evaluates_to_the_static_one(case):
    sizes = {f"S{size}": size for shape in case.input_shapes if is_spatial(shape) for size in shape[:-1]}
    symbol = {1: 1} | {size: Formula.symbol(f"S{size}") for shape in case.input_shapes for size in shape if size > 1}
    symbolic = [
        (*(symbol[size] for size in shape[:-1]), shape[-1]) if is_spatial(shape) else shape
        for shape in case.input_shapes
    ]
    try:
        shape = case.layer.infer_shape(*symbolic)
    except RuleError as error:
        if error.code not in ("G205", "G207"):
            raise
        return  # the kind needs fixed sizes, and says so
    assert evaluate_shape(shape, sizes) == case.layer.infer_shape(*case.input_shapes)


@each_case
def test_forward_leaves_its_inputs_alone_unless_told(case):
    rng = np.random.default_rng(2)
    inputs, params = random_inputs(case, 2, rng), initial_params(case, rng)
    before = [x.copy() for x in (*inputs, *params.values())]
    step = case.layer.forward(RunContext(training=True), params, *inputs)
    dy = rng.standard_normal(step.output.shape)
    kept = dy.copy()
    gradients = step.backward(dy)
    for array, copy in zip((*inputs, *params.values(), dy), (*before, kept), strict=True):
        np.testing.assert_array_equal(array, copy)

    over = case.layer.forward(RunContext(training=True, inplace=True), params, *(x.copy() for x in inputs))
    np.testing.assert_array_equal(over.output, case.layer.forward(RunContext(training=True), params, *inputs).output)
    for ours, theirs in zip(over.backward(dy).inputs, gradients.inputs, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@each_case
def test_an_output_given_away_is_not_read_again(case):
    rng = np.random.default_rng(6)
    inputs, params = random_inputs(case, 2, rng), initial_params(case, rng)
    context = RunContext(training=True)
    kept, lost = (case.layer.forward(context, params, *inputs) for _ in range(2))
    if not case.layer.donates_output:
        return
    assert not any(np.shares_memory(lost.output, x) for x in inputs)
    dy = rng.standard_normal(lost.output.shape)
    lost.output[...] = np.nan
    ours, theirs = lost.backward(dy), kept.backward(dy)
    for name in theirs.params:
        np.testing.assert_array_equal(ours.params[name], theirs.params[name])
    for mine, other in zip(ours.inputs, theirs.inputs, strict=True):
        np.testing.assert_array_equal(mine, other)


@each_case
def test_what_simplify_asks_is_answered_truly(case):
    """y = x*scale + offset where a layer says so, the same and absorbed by the layer before, and doing nothing."""
    layer = case.layer
    rng = np.random.default_rng(7)
    inputs, params = random_inputs(case, 2, rng), initial_params(case, rng)
    y = layer.forward(RunContext(), params, *inputs).output
    if layer.does_nothing(*case.input_shapes):
        np.testing.assert_array_equal(y, inputs[0])
    if isinstance(layer, Affine):
        affine = layer.as_affine(params)
        np.testing.assert_allclose(y, inputs[0] * affine[0] + affine[1], rtol=0, atol=1e-7)
    scale, offset = rng.standard_normal((2, y.shape[-1]))
    if isinstance(layer, AbsorbsAffine):
        before = {name: value.copy() for name, value in params.items()}
        absorbed = layer.absorb_affine(params, scale, offset)
        assert all(np.array_equal(params[name], before[name]) for name in before)
        over = layer.absorb_affine(before, scale, offset, overwrite=True)[1]
        assert all(np.array_equal(over[name], value) for name, value in absorbed[1].items())
        together = absorbed[0].forward(RunContext(), absorbed[1], *inputs).output
        np.testing.assert_allclose(together, y * scale + offset, rtol=0, atol=1e-12)
        assert set(absorbed[1]) == set(absorbed[0].declare_params(*case.input_shapes))
    if isinstance(layer, SplitsAffine):
        split = layer.split_affine(scale, offset, *case.input_shapes)
        moved = [x * factor + shift for x, (factor, shift) in zip(inputs, split, strict=True)]
        together = layer.forward(RunContext(), params, *moved).output
        np.testing.assert_allclose(together, y * scale + offset, rtol=0, atol=1e-12)


@each_case
def test_an_input_is_absorbed_exactly_or_not(case):
    layer = case.layer
    if not isinstance(layer, AbsorbsInput):
        return
    rng = np.random.default_rng(8)
    (x,), params = random_inputs(case, 2, rng), initial_params(case, rng)
    scale, offset = rng.standard_normal((2, x.shape[-1]))
    for shift in (offset, np.zeros_like(offset)):
        absorbed = layer.absorb_input(params, scale, shift, case.input_shapes[0])
        if absorbed is not None:
            ours = absorbed[0].forward(RunContext(), absorbed[1], x).output
            theirs = layer.forward(RunContext(), params, x * scale + shift).output
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_catalogue_says_what_the_classes_say(family):
    for kind in FAMILIES[family]:
        assert (CATALOGUE[kind].kind, CATALOGUE[kind].family) == (kind, family)


def test_every_kind_is_in_the_catalogue():
    for module in iter_modules(layers.__path__):
        for each in vars(import_module(f"graphc.layers.{module.name}")).values():
            if isinstance(each, type) and issubclass(each, Layer) and "kind" in vars(each):
                assert CATALOGUE[each.kind] is each


def test_who_can_do_what():
    """A method that is misspelt would be no error anywhere else."""
    found = {
        name: {kind for kind, layer in CATALOGUE.items() if _has(layer, protocol)}
        for name, protocol in vars(protocols).items()
        if getattr(protocol, "_is_protocol", False) and name not in ("Protocol", "TrainingBuilder", "EmitsTraining")
    }
    kinds = ("conv{}d", "depthwise_conv{}d", "separable_conv{}d", "conv{}d_transpose")
    convolutions = {kind.format(rank) for kind in kinds for rank in (1, 2, 3)}
    norms = {"group_norm", "instance_norm", "layer_norm"}
    assert found == {
        "Affine": {"batch_norm", "bias_add", "layer_scale", "scale"},
        "AbsorbsAffine": {*convolutions, "fully_connected"},
        "SplitsAffine": {"concat"},
        "AbsorbsInput": {"conv1d", "conv2d", "conv3d"},
        "DecodesBoxes": {"decode_deltas", "decode_distances"},
        "SuppressesBoxes": {"non_max_suppression"},
        "SumsWith": {kind for kind in convolutions if "transpose" not in kind},
        "Unpoolable": {"max_pool2d"},
        "LimitsBatch": {"batch_norm", *norms},
        "CollectsStatistics": {"batch_norm"},
    }


def _has(layer, protocol):
    return all(hasattr(layer, name) for name in vars(protocol) if not name.startswith("_"))


@each_case
def test_forward_is_what_onnxruntime_computes(case):
    check_values(case)


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_backward_is_the_derivative_of_forward(kind):
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    for case in [*rows(kind), *sampled(kind)]:
        check_gradients(case, rng)


@pytest.mark.parametrize("case", [case for case in CASES if case.has_reach], ids=str)
def test_reach_is_what_an_output_depends_on(case):
    check_reach(case)


@pytest.mark.parametrize("kind", sorted(SAMPLERS))
def test_random_configurations_have_the_values_and_the_reach_that_they_report(kind):
    for case in sampled(kind):
        check_values(case)
        if case.has_reach:
            check_reach(case)


@each_case
def test_input_gradient_is_left_out_where_nobody_asks(case):
    rng = np.random.default_rng(3)
    inputs, params = random_inputs(case, 2, rng), initial_params(case, rng)
    with_inputs = case.layer.forward(RunContext(training=True), params, *inputs)
    without = case.layer.forward(RunContext(training=True, input_gradient=False), params, *inputs)
    dy = rng.standard_normal(without.output.shape)
    ours, theirs = with_inputs.backward(dy).params, without.backward(dy).params
    assert set(ours) == set(theirs)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
