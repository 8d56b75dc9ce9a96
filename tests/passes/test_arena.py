"""Lifetimes of tensors and their places in one block, held to a simulation that writes and reads them."""

from __future__ import annotations

import random

import pytest

from graphc.compiler import plan_spec
from graphc.errors import SpecError
from graphc.passes.arena import Tensor, arena, height, lifetimes, live_bytes, owners, placed
from graphc.passes.expectations import check_expectations
from tests.passes.specs import plan_of

NETS = ("lenet5", "resnet20", "mobilenet_v1_025", "squeezenet1_1", "unet", "densenet121", "nasnet_mobile")

SMALL = {"unet": ["resolution=188"], "nasnet_mobile": ["resolution=96"], "densenet121": ["resolution=64"]}


def simulated(plan, found):
    """Run the layers on a block that remembers what was written where: the bytes that are touched."""
    owner, tensors = owners(plan), {each.name: each for each in found.tensors}
    block = [None] * found.size
    touched = 0

    def write(name, value):
        nonlocal touched
        place = tensors[owner[name]]
        block[place.offset : place.offset + place.bytes] = [value] * place.bytes
        touched = max(touched, place.offset + place.bytes)

    def read(name):
        place = tensors[owner[name]]
        values = set(block[place.offset : place.offset + place.bytes])
        assert values == {newest[owner[name]]}, f"{name} was written over"

    newest = {}
    for given in plan.graph.inputs:
        newest[given.name] = given.name
        write(given.name, given.name)
    for planned in plan.nodes:
        node = planned.node
        for name in node.inputs:
            read(name)
        if owner[node.name] != owner.get(node.inputs[0]) or node.layer.elementwise:
            newest[owner[node.name]] = node.name
            write(node.name, node.name)
    for name in plan.graph.outputs.values():
        read(name)
    return touched


@pytest.mark.parametrize("net", NETS)
def test_nothing_is_written_over_and_no_arrangement_needs_less(net):
    plan = plan_spec(net, SMALL.get(net, ()))
    found = arena(plan, 1)
    assert found.size == found.live == live_bytes(found.tensors)
    assert simulated(plan, found) == found.size


@pytest.mark.parametrize("seed", range(20))
def test_tensors_that_meet_do_not_overlap(seed):
    rng = random.Random(seed)
    tensors = []
    for number in range(60):
        first = rng.randrange(40)
        tensors.append(Tensor(str(number), rng.randrange(1, 100), first, first + rng.randrange(8)))
    found = placed(tensors, live_bytes(tensors))
    for one in found:
        for other in found:
            apart = one.offset + one.bytes <= other.offset or other.offset + other.bytes <= one.offset
            assert one is other or apart or not one.meets(other)
    assert live_bytes(tensors) <= height(found) <= 1.25 * live_bytes(tensors)


BRANCHES = """
inputs: {image: [N, 4, 4, 2]}
layers:
  - conv2d: {name: a, filters: 3, kernel: 1, activation: relu}
  - dropout: {name: d, rate: 0.5}
  - branches: {name: b, paths: {left: [conv2d: {name: c, filters: 1, kernel: 1}], right: [relu: {name: r}]}}
  - flatten
"""


def test_what_lies_in_the_memory_of_what_it_reads():
    owner = owners(plan_of(BRANCHES))
    assert owner["a/Relu"] == "a", "an activation writes over what it alone reads"
    assert owner["d"] == "a", "dropout does nothing in inference"
    assert owner["b/right/r"] == "b/right/r", "the other branch still reads what it reads"
    assert owner["flatten"] == owner["b/concat"], "flattening moves nothing"
    image = lifetimes(plan_of(BRANCHES))[0]
    assert (image.name, image.bytes, image.first, image.last) == ("image", 4 * 32, -1, 0)


def test_an_input_is_not_written_over_and_an_output_stays():
    plan = plan_of("""
        inputs: {x: [N, 5]}
        layers: [relu: {name: r}, fully_connected: {name: f, units: 2}]
        outputs: {r: r, f: f}
    """)
    assert [(each.name, each.first, each.last) for each in lifetimes(plan)] == [("x", -1, 0), ("r", 0, 2), ("f", 1, 2)]


def test_budgets_of_memory():
    text = BRANCHES + "expect: {memory: 400, arena: '<= 1'}\n"
    with pytest.raises(SpecError) as caught:
        check_expectations(plan_of(text))
    assert [each.message for each in caught.value.errors] == [
        "memory: expected 400, got 512",
        "arena: expected <= 1, got 512",
    ]


def test_open_sizes_have_no_places():
    with pytest.raises(SpecError, match=r"memory needs fixed sizes: image is H×W×3; set the resolution"):
        arena(plan_of("inputs: {image: [N, H, W, 3]}\nlayers: [relu]\n"))
