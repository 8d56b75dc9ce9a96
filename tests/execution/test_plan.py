"""Schedules: what runs, what becomes of every value; tapes that go back once, or again and again."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import Place
from graphc.execution.plan import ExecutionPlan
from graphc.graph import GraphInput, LayerGraph, Node, Plan
from graphc.initializers import initial_values
from graphc.layers.activation import Relu
from graphc.layers.batch_norm import BatchNorm
from graphc.layers.conv import Conv2d
from graphc.layers.elementwise_merge import Add, Multiply
from graphc.layers.pool import AvgPool2d, MaxPool2d
from graphc.parallel.communicator import whole_batch
from graphc.passes.plan import plan
from graphc.report.timing import layer_times

HERE = Place("net.yaml", 1, 1)


def planned(inputs: tuple[str, ...], outputs: tuple[str, ...], *nodes) -> Plan:
    made = tuple(Node(name, layer, reads, HERE, name) for name, layer, reads in nodes)
    given = tuple(GraphInput(name, (6, 6, 2), HERE) for name in inputs)
    return plan(LayerGraph("net", "N", given, made, {name: name for name in outputs}, {}))


@pytest.fixture(scope="module")
def diamond() -> Plan:
    """x -> conv -> (mean, and with it product) -> act; `z` is read by nobody."""
    return planned(
        ("x", "z"),
        ("act",),
        ("conv", Conv2d(filters=2, kernel=3), ("x",)),
        ("bn", BatchNorm(), ("conv",)),
        ("mean", AvgPool2d(kernel=1), ("bn",)),
        ("product", Multiply(), ("bn", "mean")),
        ("sum", Add(), ("product", "x")),
        ("act", Relu(), ("sum",)),
    )


def test_a_value_is_held_up_to_its_last_reader(diamond):
    schedule = ExecutionPlan(diamond).schedule(frozenset({"act"}))
    reads = {step.output: step.last_reads for step in schedule.operations}
    assert reads == {
        "conv": (),  # the sum reads x, too
        "bn": ("conv",),
        "mean": (),
        "product": ("bn", "mean"),
        "act": ("product", "x"),  # with the sum in it
    }
    assert all(step.kept for step in schedule.operations)
    assert schedule.inputs == {"x"}


def test_what_is_asked_for_is_held_to_the_end(diamond):
    schedule = ExecutionPlan(diamond).schedule(frozenset({"conv", "x", "z", "sum"}))
    steps = {step.output: step for step in schedule.operations}
    assert steps["bn"].last_reads == ()
    assert steps["sum"].last_reads == ("product",)
    assert not steps["act"].kept  # nobody has asked for it
    assert schedule.inputs == {"x", "z"}


@pytest.mark.parametrize(
    ("wanted", "inplace"),
    [
        ({"act"}, {"relu"}),  # the convolution does not look at its output again, and nobody else does
        ({"act", "conv"}, set()),
    ],
)
def test_a_value_is_written_over_by_its_only_reader(wanted, inplace):
    net = planned(
        ("x",),
        ("act",),
        ("conv", Conv2d(filters=2, kernel=3), ("x",)),
        ("relu", Relu(), ("conv",)),
        ("act", Multiply(), ("relu", "relu")),
    )
    steps = ExecutionPlan(net).schedule(frozenset(wanted)).operations
    assert {step.output for step in steps if step.inplace} == inplace


def test_schedules_are_made_once(diamond):
    execution = ExecutionPlan(diamond)
    wanted = frozenset({"act"})
    assert execution.schedule(wanted) is execution.schedule(frozenset({"act"}))
    assert execution.schedule(wanted) is not execution.schedule(frozenset({"act", "bn"}))


def test_gradients_come_where_somebody_wants_them(diamond):
    weights = {"net/conv/weights", "net/conv/biases", "net/bn/beta"}
    for frozen, of_inputs, recorded in (
        ((), False, ["conv", "bn", "mean", "product", "act"]),
        (("net/conv/weights", "net/conv/biases"), False, ["bn", "mean", "product", "act"]),
        (weights, False, []),
        (weights, True, ["conv", "bn", "mean", "product", "act"]),
    ):
        execution = ExecutionPlan(diamond, frozen=frozen, input_gradients=of_inputs)
        steps = execution.schedule(frozenset({"act"})).operations
        assert [step.output for step in steps if step.recorded] == recorded
        first = next(step for step in steps if step.output == "conv")
        assert first.input_gradients == (of_inputs,)


def test_gradients_of_inputs_are_their_derivatives(diamond):
    rng = np.random.default_rng(0)
    params = {name: value.astype(np.float64) for name, value in initial_values(diamond.variables, 0).items()}
    inputs = {name: rng.normal(size=(2, 6, 6, 2)) for name in ("x", "z")}
    execution = ExecutionPlan(diamond, input_gradients=True)

    def output(x):
        tape = execution.run(frozenset({"act"}), whole_batch(), False, 0, params, {**inputs, "x": x})
        return float((tape.values["act"] * dy).sum())

    tape = execution.run(frozenset({"act"}), whole_batch(), False, 0, params, inputs, record=True)
    dy = rng.normal(size=tape.values["act"].shape)
    for _ in range(2):
        tape.backward({"act": dy}, retain=True)
        assert set(tape.input_gradients) == {"x"}
        x, delta = inputs["x"], 1e-6 * rng.normal(size=inputs["x"].shape)
        numeric = (output(x + delta) - output(x - delta)) / 2
        assert float((tape.input_gradients["x"] * delta).sum()) == pytest.approx(numeric, rel=1e-5)
    assert set(tape.backward({"act": dy})) == {"net/conv/weights", "net/conv/biases", "net/bn/beta"}
    assert tape.backward({"act": dy}) == {}


@pytest.mark.parametrize("of_inputs", [False, True])
def test_gradients_of_inputs_are_nothing_else(diamond, of_inputs):
    """What is given for a value above which nothing learns is not among them, for an input only where it is wanted."""
    params = initial_values(diamond.variables, 0)
    inputs = {name: np.ones((2, 6, 6, 2), np.float32) for name in ("x", "z")}
    dy = np.ones((2, 6, 6, 2), np.float32)
    execution = ExecutionPlan(diamond, frozen=diamond.variables, input_gradients=of_inputs)
    tape = execution.run(frozenset({"act", "x"}), whole_batch(), False, 0, params, inputs, record=True)
    tape.backward({"act": dy, "x": dy, "no layer's": dy})
    assert set(tape.input_gradients) == ({"x"} if of_inputs else set())


def test_without_a_record_there_is_no_way_back(diamond):
    params = initial_values(diamond.variables, 0)
    inputs = {name: np.ones((2, 6, 6, 2), np.float32) for name in ("x", "z")}
    tape = ExecutionPlan(diamond).run(frozenset({"act"}), whole_batch(), True, 0, params, inputs, record=False)
    assert set(tape.updates) == {"net/bn/moving_mean", "net/bn/moving_variance"}
    assert tape.backward({"act": np.ones((2, 6, 6, 2), np.float32)}) == {}


def test_every_layer_has_a_time_of_its_own():
    net = planned(
        ("x",),
        ("pool",),
        ("conv", Conv2d(filters=64, kernel=5), ("x",)),
        ("relu", Relu(), ("conv",)),
        ("pool", MaxPool2d(kernel=2), ("relu",)),
    )
    times = layer_times(net)
    assert list(times) == ["conv", "relu", "pool"]
    assert all(0 < time < 1000 for time in times.values())
