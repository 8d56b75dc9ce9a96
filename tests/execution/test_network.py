"""The walk over a plan: wiring, sums where paths meet, sharing, freezing, freeing."""

from __future__ import annotations

import time
import weakref
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from graphc.errors import Place
from graphc.execution.fusion import fuse
from graphc.execution.network import Network, evaluate
from graphc.execution.plan import ExecutionPlan
from graphc.graph import GraphInput, LayerGraph, Node, Plan
from graphc.initializers import Initializer, initial_values
from graphc.kernels import dense
from graphc.kernels.factored_gradient import FactoredGradient
from graphc.layers.activation import Relu
from graphc.layers.base import Layer
from graphc.layers.batch_norm import BatchNorm
from graphc.layers.conv import Conv2d
from graphc.layers.elementwise_merge import Add
from graphc.layers.fully_connected import FullyConnected
from graphc.layers.pool import MaxPool2d
from graphc.layers.reshape import Flatten
from graphc.passes.expand import expand
from graphc.passes.plan import plan
from graphc.spec.model import read_spec
from graphc.types import Gradients, Step
from graphc.variables import ParamSpec
from tests.parallel.faults import plant_watch

HERE = Place("net.yaml", 1, 1)
LENET = Path(__file__).parents[2] / "specs/lenet.yaml"


class Scale(Layer):
    """factor * x, counting its applications in `seen`."""

    kind: ClassVar[str] = "scale"
    family: ClassVar[str] = "test"

    def declare_params(self, *inputs):
        one = Initializer()
        return {"factor": ParamSpec((), one), "seen": ParamSpec((), one, trainable=False)}

    def forward(self, context, params, *inputs):
        (x,), factor = inputs, params["factor"]

        def backward(dy):
            dx = dy * factor if context.input_gradient else None
            return Gradients((dx,), {"factor": np.sum(dy * x)})

        return Step(x * factor, backward, {"seen": params["seen"] + 1})


class Plus(Layer):
    kind: ClassVar[str] = "plus"
    family: ClassVar[str] = "test"
    inputs_at_most: ClassVar[int | None] = None

    def forward(self, context, params, *inputs):
        return Step(sum(inputs), lambda dy: Gradients((dy,) * len(inputs)))


class PlusSum(Layer):
    """x + its sums over the last axis, which depends on how numbers lie in memory."""

    kind: ClassVar[str] = "plus_sum"
    family: ClassVar[str] = "test"

    def forward(self, context, params, *inputs):
        (x,) = inputs
        return Step(x + x.sum(-1, keepdims=True), lambda dy: Gradients((dy + dy.sum(-1, keepdims=True),)))


class Noise(Layer):
    kind: ClassVar[str] = "noise"
    family: ClassVar[str] = "test"

    def forward(self, context, params, *inputs):
        mask = context.random().random(inputs[0].shape)
        return Step(inputs[0] * mask, lambda dy: Gradients((dy * mask,)))


def net(*nodes: tuple[str, Layer, tuple[str, ...]], outputs=None, share=None, shape=(3,)) -> Plan:
    made = [Node(name, layer, inputs, HERE, (share or {}).get(name, name)) for name, layer, inputs in nodes]
    return plan(
        LayerGraph("net", "N", (GraphInput("x", shape, HERE),), tuple(made), outputs or {"y": nodes[-1][0]}, {})
    )


def params_of(planned: Plan, value: float = 2.0) -> dict[str, np.ndarray]:
    return {name: np.float64(value) if spec.trainable else np.float64(0) for name, spec in planned.variables.items()}


X = np.arange(6.0).reshape(2, 3)


def test_gradients_add_up_where_paths_meet():
    planned = net(("a", Scale(), ("x",)), ("b", Scale(), ("a",)), ("sum", Plus(), ("a", "b", "a")))
    run = Network(planned).forward(params_of(planned), {"x": X}, training=True)
    np.testing.assert_array_equal(run.outputs["y"], 2 * X + 4 * X + 2 * X)
    np.testing.assert_array_equal(run.value("sum"), run.outputs["y"])
    gradients = run.backward({"sum": np.ones_like(X)})
    assert gradients == {"net/a/factor": 4 * X.sum(), "net/b/factor": 2 * X.sum()}


def test_shared_variables_add_their_gradients_and_chain_their_updates():
    planned = net(("a", Scale(), ("x",)), ("b", Scale(), ("a",)), share={"b": "a"})
    run = Network(planned).forward(params_of(planned), {"x": X}, training=True)
    assert run.updates == {"net/a/seen": 2}
    assert run.backward({"b": np.ones_like(X)}) == {"net/a/factor": 2 * 2 * X.sum()}


def test_several_heads_and_a_head_without_gradient():
    planned = net(
        ("a", Scale(), ("x",)), ("b", Scale(), ("a",)), ("c", Scale(), ("a",)), outputs={"main": "b", "aux": "c"}
    )
    network = Network(planned)
    both = network.forward(params_of(planned), {"x": X}, training=True)
    assert set(both.outputs) == {"main", "aux"}
    assert both.backward({"b": np.ones_like(X), "c": np.ones_like(X)})["net/a/factor"] == 4 * X.sum()
    one = network.forward(params_of(planned), {"x": X}, training=True)
    assert one.backward({"b": np.ones_like(X)}) == {"net/a/factor": 2 * X.sum(), "net/b/factor": 2 * X.sum()}


def test_nothing_is_computed_towards_frozen_variables_and_images():
    planned = net(("a", Scale(), ("x",)), ("b", Scale(), ("a",)), ("c", Scale(), ("b",)))
    run = Network(planned, frozen=["net/a/factor"]).forward(params_of(planned), {"x": X}, training=True)
    assert set(run.backward({"c": np.ones_like(X)})) == {"net/b/factor", "net/c/factor"}


def test_values_are_dropped_after_their_last_reader():
    planned = net(("a", Plus(), ("x",)), ("b", Plus(), ("a", "x")), ("c", Plus(), ("b", "x")), ("d", Plus(), ("c",)))
    alive: list[int] = []
    seen: list[weakref.ref] = []

    class Watched(Plus):
        def forward(self, context, params, *inputs):
            step = super().forward(context, params, *inputs)
            alive.append(sum(ref() is not None for ref in seen))
            seen.append(weakref.ref(step.output))
            return step

    nodes = tuple(Node(each.node.name, Watched(), each.node.inputs, HERE, each.node.name) for each in planned.nodes)
    graph = LayerGraph("net", "N", planned.graph.inputs, nodes, {"y": "d"}, {})
    values = evaluate(plan(graph), {}, {"x": X[:1]})  # one example, one part
    assert alive == [0, 1, 1, 1]
    assert set(values) == {"d"}


def test_a_schedule_is_made_once_for_all_ranks():
    made = []

    def instrument(name, operation):
        made.append(name)
        time.sleep(0.01)  # for another rank to come by
        return operation

    planned = net(("a", Scale(), ("x",)), ("b", Scale(), ("a",)))
    network = Network(planned, threads=2)
    network.execution = ExecutionPlan(planned, instrument=instrument)
    for _ in range(2):
        network.forward(params_of(planned), {"x": X}, training=True)
    assert made == ["a", "b"]


def test_evaluate_keeps_what_is_asked_and_changes_nothing():
    planned = net(("a", Scale(), ("x",)), ("b", Scale(), ("a",)))
    values = evaluate(planned, params_of(planned), {"x": X}, keep=["a"])
    np.testing.assert_array_equal(values["a"], 2 * X)
    np.testing.assert_array_equal(values["b"], 4 * X)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_random_numbers_depend_on_seed_step_and_layer_only(threads):
    planned = net(("a", Noise(), ("x",)), ("b", Noise(), ("x",)), outputs={"a": "a", "b": "b"})
    network = Network(planned, threads=threads, seed=7)
    first = network.forward({}, {"x": X}, training=True, step=5).outputs
    again = Network(planned, seed=7).forward({}, {"x": X}, training=True, step=5).outputs
    later = network.forward({}, {"x": X}, training=True, step=6).outputs
    np.testing.assert_array_equal(first["a"], again["a"])
    assert not np.array_equal(first["a"], first["b"])
    assert not np.array_equal(first["a"], later["a"])


def small_plan(**arguments) -> Plan:
    bn = BatchNorm(scale=True, **arguments)
    return net(
        ("conv1", Conv2d(filters=8, kernel=3), ("x",)),
        ("bn1", bn, ("conv1",)),
        ("relu1", Relu(), ("bn1",)),
        ("pool", MaxPool2d(kernel=2), ("relu1",)),
        ("conv2", Conv2d(filters=8, kernel=3), ("pool",)),
        ("bn2", bn, ("conv2",)),
        ("sum", Add(), ("bn2", "pool")),
        ("relu2", Relu(), ("sum",)),
        ("vector", Flatten(), ("relu2",)),
        ("logits", FullyConnected(units=5), ("vector",)),
        shape=(8, 8, 3),
    )


def small_batch(dtype=np.float32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(16, 8, 8, 3)).astype(dtype), rng.normal(size=(16, 5)).astype(dtype)


def step_of(network: Network, params, images, dy) -> dict[str, np.ndarray]:
    run = network.forward(params, {"x": images}, training=True)
    return {"logits": run.outputs["y"], **run.backward({"logits": dy}), **run.updates}


@pytest.mark.parametrize("factored", [(), ("net/logits/weights",)], ids=["whole", "factored"])
def test_layers_leave_what_they_bring_to_a_meeting_as_it_is(factored, monkeypatch):
    """Batch norm, and a matrix that ranks share by rows."""
    plant_watch(monkeypatch)
    monkeypatch.setattr(dense, "SHARED_FROM", 0)
    planned, (images, dy) = small_plan(), small_batch()
    network = Network(planned, threads=3, shards=3, factored=factored)
    for _ in range(2):
        step_of(network, initial_values(planned.variables, 0), images, dy)


def test_bits_do_not_depend_on_the_number_of_threads():
    planned = small_plan()
    params, (images, dy) = initial_values(planned.variables, 0), small_batch()
    first = step_of(Network(planned, threads=1), params, images, dy)
    for threads in (2, 3, 4):
        found = step_of(Network(planned, threads=threads), params, images, dy)
        assert found.keys() == first.keys()
        for name, array in found.items():
            np.testing.assert_array_equal(array, first[name], err_msg=name)


@pytest.mark.posix
def test_bits_do_not_depend_on_processes():
    planned = small_plan()
    params, (images, dy) = initial_values(planned.variables, 0), small_batch()
    threads = Network(planned, shards=3)
    network = Network(planned, shards=3, threads=3, processes=True)
    placed = network.place(params)
    network.start()
    for given in (placed, params, {**placed, "net/bn1/beta": params["net/bn1/beta"]}):
        for count in (16, 3, 2, 1):
            expected = step_of(threads, params, images[:count], dy[:count])
            found = step_of(network, given, images[:count], dy[:count])
            assert found.keys() == expected.keys()
            for name, array in found.items():
                np.testing.assert_array_equal(array, expected[name], err_msg=f"{name} of {count}")
    placed["net/logits/biases"] += 1  # as an optimizer does
    np.testing.assert_allclose(
        network.forward(placed, {"x": images}, training=False).outputs["y"],
        threads.forward(params, {"x": images}, training=False).outputs["y"] + 1,
        rtol=1e-5,
    )
    network.close()


def test_shards_of_a_batch_are_one_batch_to_batch_norm():
    planned = small_plan()
    params = {name: array.astype(np.float64) for name, array in initial_values(planned.variables, 0).items()}
    images, dy = small_batch(np.float64)
    sharded = step_of(Network(planned, shards=5), params, images, dy)
    whole = step_of(Network(planned, shards=1), params, images, dy)
    for name, array in whole.items():
        np.testing.assert_allclose(sharded[name], array, rtol=0, atol=1e-12, err_msg=name)


def test_no_fresh_memory_after_the_first_steps():
    planned = small_plan()
    params, (images, dy) = initial_values(planned.variables, 0), small_batch()
    network = Network(planned, threads=1)
    held = []
    for _ in range(5):
        step_of(network, params, images, dy)
        held.append(network.execution.workspace.allocated)
    assert held[0] > 0
    assert held[1:] == [held[0]] * 4


def test_inference_keeps_the_values_asked_for_from_being_written_over():
    planned = small_plan()
    params, (images, _) = initial_values(planned.variables, 0), small_batch()
    every = [node.name for node in planned.graph.nodes]
    together = evaluate(planned, params, {"x": images}, keep=every)
    for name in every:
        alone = evaluate(planned, params, {"x": images}, keep=[name])
        np.testing.assert_array_equal(alone[name], together[name], err_msg=name)


@pytest.mark.parametrize("frozen", [False, True])
def test_layers_joined_in_one_are_the_same_bits(frozen):
    """ReLU with the pooling behind it, or with the batch norm or sum before it."""
    planned = small_plan(frozen=frozen)
    params, (images, dy) = initial_values(planned.variables, 0), small_batch()
    params = {name: array + np.float32(0.1) for name, array in params.items()}
    network = Network(planned)
    together = step_of(network, params, images, dy)
    for kept, joined in {
        (): {"bn1", "pool", "relu2"},
        ("relu1",): {"relu1", "pool", "relu2"},
        ("bn1",): {"bn1", "pool", "relu2"},
        ("bn1", "relu1", "sum"): {"bn1", "relu1", "pool", "sum", "relu2"},
    }.items():
        groups = fuse(planned.graph.nodes, set(kept))
        assert {group.output for group in groups} & {"bn1", "relu1", "pool", "sum", "relu2"} == joined
        apart = network.forward(params, {"x": images}, training=True, keep=kept)
        np.testing.assert_array_equal(apart.outputs["y"], together["logits"])
        for name, array in {**apart.updates, **apart.backward({"logits": dy})}.items():
            np.testing.assert_array_equal(together[name], array, err_msg=name)


@pytest.mark.posix
def test_bits_do_not_depend_on_processes_nor_on_the_order_of_axes_in_memory():
    planned = net(("a", Scale(), ("x",)), ("b", PlusSum(), ("a",)), shape=(4, 300))
    rng = np.random.default_rng(0)
    images, dy = (np.asfortranarray(rng.normal(size=(16, 4, 300)).astype(np.float32)) for _ in range(2))
    assert np.any(images.sum(-1) != images.copy("C").sum(-1))
    params = {name: np.float32(value) for name, value in params_of(planned).items()}
    found = []
    for processes in (False, True):
        network = Network(planned, 2, shards=2, processes=processes)
        network.start()
        run = network.forward(params, {"x": images}, training=True)
        assert run.outputs["y"].flags.c_contiguous
        found.append({"y": run.outputs["y"], **run.backward({"b": dy})})
        network.close()
    np.testing.assert_equal(found[1], found[0])


@pytest.mark.posix
@pytest.mark.parametrize("factors", [(), ("LeNet/fc3/weights",)])
def test_lenets_bits_do_not_depend_on_processes(factors):
    """Spectra, blocks, a matrix shared by rows: what a small net has none of."""
    planned = plan(expand(read_spec(LENET)))
    params = initial_values(planned.variables, 0)
    rng = np.random.default_rng(5)
    images, dy = rng.normal(size=(35, 28, 28, 1)).astype(np.float32), rng.normal(size=(35, 10)).astype(np.float32)
    found = []
    for threads, processes in ((1, False), (2, False), (2, True)):
        network = Network(planned, threads, shards=2, processes=processes, factored=factors)
        network.start()
        run = network.forward(params, {"image": images}, training=True)
        gradients = {name: np.array(gradient) for name, gradient in run.backward({"fc4": dy}).items()}
        found.append({"logits": run.outputs["logits"], **gradients})
        network.close()
    for other in found[1:]:
        for name, array in found[0].items():
            np.testing.assert_array_equal(other[name], array, err_msg=name)


def test_a_large_matrix_may_have_its_gradient_as_factors():
    planned = plan(expand(read_spec(LENET)))
    params = initial_values(planned.variables, 0)
    rng = np.random.default_rng(4)
    images, dy = rng.normal(size=(6, 28, 28, 1)).astype(np.float32), rng.normal(size=(6, 10)).astype(np.float32)
    found = []
    for factors in ((), ("LeNet/fc3/weights",)):
        run = Network(planned, factored=factors).forward(params, {"image": images}, training=True)
        found.append(run.backward({"fc4": dy}))
    assert [name for name, gradient in found[1].items() if isinstance(gradient, FactoredGradient)] == [*factors]
    for name, gradient in found[0].items():
        np.testing.assert_allclose(found[1][name], gradient, rtol=0, atol=1e-6 * np.abs(gradient).max(), err_msg=name)


def test_a_convolution_is_joined_with_the_pooling_behind_it():
    """Its ReLU between them or not, and not where somebody wants what is between."""
    planned = plan(expand(read_spec(LENET)))
    params = initial_values(planned.variables, 0)
    rng = np.random.default_rng(3)
    images, dy = rng.normal(size=(6, 28, 28, 1)).astype(np.float32), rng.normal(size=(6, 10)).astype(np.float32)
    network = Network(planned)
    nodes = [node.name for node in planned.graph.nodes]
    found = []
    for keep, left in (((), 8), (nodes, len(nodes))):
        assert len(fuse(planned.graph.nodes, {*planned.graph.outputs.values(), *keep})) == left
        run = network.forward(params, {"image": images}, training=True, keep=keep)
        found.append([run.outputs["logits"], run.backward({"fc4": dy})])
    (logits, together), (expected, apart) = found
    for name, ours, theirs in [("logits", logits, expected), *((name, together[name], apart[name]) for name in apart)]:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max(), err_msg=name)
