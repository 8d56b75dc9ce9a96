"""What would take long, or much memory, is bounded: patterns, arguments, names, hints, endless activations."""

from __future__ import annotations

import cProfile
import gc
import itertools
import pstats
import time
from fnmatch import fnmatchcase

import pytest

from graphc.cli.options import collect_seldom
from graphc.errors import SpecError, did_you_mean
from graphc.graph import LayerGraph
from graphc.passes.expand import expand
from graphc.passes.lints import lints
from graphc.passes.plan import plan
from graphc.patterns import within_groups
from graphc.spec.model import read_spec_text

HEAD = "graphc: 1\ninputs: {x: [N, 8, 8, 4]}\n"
MOMENT = 20.0
"""Seconds: many times what it takes on a busy machine, and far less than without the bound."""


def graph(text: str) -> LayerGraph:
    return expand(read_spec_text(HEAD + text))


@pytest.fixture(autouse=True)
def in_a_moment():
    start = time.process_time()
    yield
    assert time.process_time() - start < MOMENT


@pytest.mark.parametrize("pattern", ["*", "?", "*a", "a*", "*a*b", "a?*b", "**", "*ab*ab*", "?*?", "a.b", "*aab"])
def test_patterns_fit_what_fnmatch_fits(pattern):
    for length in range(7):
        for letters in itertools.product("ab.", repeat=length):
            name = "".join(letters)
            assert bool(within_groups(pattern).fullmatch(name)) == fnmatchcase(name, pattern), name


@pytest.mark.parametrize("pattern", ["*/b", "a*/b*", "?/?", "*/*", "*a/*b*a", "*/?a*b"])
def test_wildcards_stay_within_a_group(pattern):
    for length in range(7):
        for letters in itertools.product("ab/", repeat=length):
            name = "".join(letters)
            steps, parts = name.split("/"), pattern.split("/")
            expected = len(steps) == len(parts) and all(map(fnmatchcase, steps, parts))
            assert bool(within_groups(pattern).fullmatch(name)) == expected, name


def test_a_pattern_of_many_wildcards_is_answered_at_once():
    with pytest.raises(SpecError, match="no named layer or group matches"):
        graph(f"layers:\n  - relu: {{name: {'a' * 60}}}\nend_points: ['{'*a' * 20}b']\n")


def test_many_patterns_for_many_names_are_refused():
    patterns = ", ".join(f"'*{i}'" for i in range(6000))
    with pytest.raises(SpecError, match=r"expected at most 1,999 patterns for 2,001 names, found 6,000"):
        graph(f"layers:\n  - repeat: {{name: r, times: 2000, layer: relu}}\nend_points: [{patterns}]\n")


def test_a_long_pattern_is_refused():
    with pytest.raises(SpecError, match="a pattern has at most 1,000 characters, got 1,001"):
        graph(f"layers: [relu: {{name: a}}]\nend_points: ['*{'a' * 1000}']\n")


def test_a_large_value_is_counted_once_however_often_it_is_used():
    doubled = "".join(f"  {b}: [{', '.join(['${' + a + '}'] * 9)}]\n" for a, b in itertools.pairwise("abcde"))
    doubled = doubled.replace("${", "'${").replace("}", "}'")
    text = f"vars:\n  a: [1, 1, 1, 1, 1, 1, 1, 1, 1]\n{doubled}blocks: {{u: {{params: [p], layers: [relu]}}}}\n"
    assert len(graph(f"{text}layers:\n  - repeat: {{times: 2000, layer: {{u: {{p: '${{e}}'}}}}}}\n").nodes) == 2000


def test_its_size_is_still_bounded():
    tripled = "".join(
        f"  {b}: ['${{{a}}}', '${{{a}}}', '${{{a}}}']\n" for a, b in itertools.pairwise("abcdefghijklmnop")
    )
    with pytest.raises(SpecError, match="more than 100,000 parts"):
        graph(f"vars:\n  a: [1]\n{tripled}layers: [relu]\n")


def test_large_arguments_with_expressions_are_bounded_over_all_repetitions():
    values = ", ".join(["'${i}'"] * 50_000)
    with pytest.raises(SpecError, match=r"expected at most 2,000,000 arguments after expansion"):
        graph(
            "blocks: {u: {params: [p], layers: [relu]}}\n"
            f"layers:\n  - repeat: {{times: 2000, index: i, layer: {{u: {{p: [{values}]}}}}}}\n"
        )


def test_default_names_are_found_at_once_where_many_are_taken():
    named = "".join(f"  - relu: {{name: relu_{i}}}\n" for i in range(1, 6000))
    names = [node.name for node in graph(f"layers:\n{named}{'  - relu' + chr(10)}" + "  - relu\n" * 6000).nodes]
    assert len(set(names)) == len(names)
    assert names[5999:6001] == ["relu", "relu_6000"]
    assert names[-1] == "relu_11999"


def test_hints_among_many_long_names():
    named = "".join(f"  - relu: {{name: l{'x' * 150}{i:06d}}}\n" for i in range(20_000))
    wrong = "".join(f"  - add: {{inputs: [l{'x' * 149}y{i}, x]}}\n" for i in range(25))
    with pytest.raises(SpecError, match="no layer, group or input is named"):
        graph(f"layers:\n{named}{wrong}")


def test_a_near_name_is_found_among_many():
    names = [f"block{i // 10}/unit_{i % 10}/conv{letter}" for i in range(10_000) for letter in "ab"]
    assert did_you_mean("block1/unti_2/conva", names) == " (did you mean 'block1/unit_2/conva'?)"


def test_two_kinds_that_follow_each_other_without_end_are_an_error():
    scope = "conv2d: {filters: 4, kernel: 1, normalizer: depthwise_conv2d}"
    with pytest.raises(SpecError, match="would follow itself without end"):
        graph(f"arg_scope: {{{scope}, depthwise_conv2d: {{kernel: 1, activation: conv2d}}}}\nlayers: [conv2d]\n")


def test_what_follows_a_layer_of_its_own_kind_a_few_times_is_none():
    inside = "{conv2d: {activation: {conv2d: {activation: relu}}}}"
    text = f"arg_scope: {{conv2d: {{filters: 4, kernel: 1, activation: {inside}}}}}\nlayers: [conv2d]\n"
    assert [node.layer.kind for node in graph(text).nodes] == ["conv2d", "conv2d", "conv2d", "relu"]


def test_layers_behind_layers_count():
    scope = "{conv2d: {filters: 4, kernel: 1, normalizer: depthwise_conv2d, activation: depthwise_conv2d},"
    scope += " depthwise_conv2d: {kernel: 1, normalizer: layer_norm, activation: relu}}"
    text = f"arg_scope: {scope}\nlayers:\n  - repeat: {{times: 90, layer: conv2d}}\n"
    assert len(graph(text).nodes) == 7 * 90
    with pytest.raises(SpecError, match="expected at most 400 layers with normalizers and activations"):
        expand(read_spec_text(HEAD + text), max_layers=100)


def test_names_of_groups_inside_groups_are_bounded():
    inner = "relu"
    for _ in range(8):
        inner = f"group: {{name: {'n' * 180}, layers: [{inner}]}}"
    with pytest.raises(SpecError, match="expected at most 1,000 letters of a group's name, got 1,085"):
        graph(f"layers: [{inner}]\n")


def seconds_to_plan(layers: int) -> float:
    text = "".join(f"  - conv2d: {{name: c{number}, filters: 4, kernel: 3}}\n" for number in range(layers))
    start = time.process_time()
    planned = plan(graph(f"layers:\n{text}"))
    assert len(planned.nodes) == layers
    return time.process_time() - start


def test_planning_takes_a_time_in_proportion():
    """A thousand layers within two seconds of the processor; ten times as many took 12 times that on a quiet machine.

    A square would be a hundred times.
    """
    before = gc.get_threshold()
    collect_seldom()
    try:
        seconds_to_plan(10)
        thousand = min(seconds_to_plan(1000) for _ in range(3))
        assert thousand < 2
        assert seconds_to_plan(10_000) < 25 * max(thousand, 0.05)
    finally:
        gc.set_threshold(*before)


def test_ten_times_the_layers_are_ten_times_the_calls():
    """Of every function, also where a machine is too busy to measure time."""

    def calls(layers: int) -> dict[object, int]:
        layer = "{conv2d: {filters: 4, kernel: 3, normalizer: batch_norm, activation: relu}}"
        text = f"{HEAD}layers: [repeat: {{times: {layers}, layer: {layer}}}]\n"
        profile = cProfile.Profile()
        profile.enable()
        lints(plan(expand(read_spec_text(text, "net.yaml"))))
        profile.disable()
        return {key: each[1] for key, each in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]

    calls(2)
    few, many = calls(30), calls(300)
    grown = {key: (few.get(key, 1), count) for key, count in many.items() if count > 12 * max(few.get(key, 1), 20)}
    assert sum(few.values()) > 1000
    assert not grown


@pytest.mark.parametrize("argument", ["1e300", "-1e39", "1e-60"])
def test_numbers_that_float32_does_not_hold_are_refused(argument):
    with pytest.raises(SpecError, match=r"float32 holds, from 1e-45 to 3\.4e38, got") as caught:
        graph(f"layers:\n  - leaky_relu: {{alpha: {argument}}}\n")
    assert (caught.value.code, caught.value.place.line) == ("G112", 4)
    assert graph("layers:\n  - leaky_relu: {alpha: 1e-44}\n").nodes


def test_many_inputs_for_many_layers_are_refused():
    """What each layer sees of each input is kept: their product counts."""
    names = [f"i{number}" for number in range(2000)]
    inputs = ", ".join(f"{name}: [N, 8, 8, 3]" for name in names)
    layers = f"layers:\n  - add: {{inputs: [{', '.join(names)}]}}\n  - repeat: {{times: TIMES, layer: softplus}}\n"
    text = f"graphc: 1\ninputs: {{{inputs}}}\n{layers}"
    assert len(plan(expand(read_spec_text(text.replace("TIMES", "100")))).nodes) == 101
    with pytest.raises(SpecError, match=r"more than 500,000 receptive fields up to here: 2,000 inputs are too many"):
        plan(expand(read_spec_text(text.replace("TIMES", "2000"))))
