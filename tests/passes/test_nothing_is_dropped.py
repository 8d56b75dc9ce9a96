"""What a spec says and no layer would hear is an error."""

from __future__ import annotations

import pytest

from graphc.compiler import plan_model
from graphc.errors import SpecError
from graphc.spec.model import read_spec_text

HEAD = "graphc: 1\nname: net\ninputs: {a: [N, 8, 8, 3], b: [N, 8, 8, 3]}\n"
CONV = "conv2d: {name: c, filters: 3, kernel: 1}"
SEVERAL = {
    "group": "group: {inputs: [a, b], layers: [relu]}",
    "residual": "residual: {inputs: [a, b], layers: [relu]}",
    "repeat": "repeat: {inputs: [a, b], times: 2, layer: relu}",
    "stack": "stack: {inputs: [a, b], layer: {conv2d: {kernel: 1}}, args: [3]}",
    "branches": "branches: {inputs: [a, b], paths: {p: [relu], q: [tanh]}}",
}


def plan(text: str) -> None:
    plan_model(read_spec_text(HEAD + text, "net.yaml"))


@pytest.mark.parametrize("form", SEVERAL)
def test_a_form_reads_one_input(form: str) -> None:
    with pytest.raises(SpecError, match=rf"^net.yaml:4:\d+: error\[G126\]: {form} takes 1 input, got 2"):
        plan(f"layers: [{SEVERAL[form]}]\n")


def test_a_block_without_inputs_reads_one() -> None:
    with pytest.raises(SpecError, match="block k reads 1 input, as it says no `inputs`, got 2"):
        plan("blocks: {k: {layers: [relu]}}\nlayers: [k: {inputs: [a, b]}]\n")


@pytest.mark.parametrize(
    "form", ["group: {share: g, %s}", "residual: {share: g, %s}", "branches: {share: g, paths: {p: [%s]}}"]
)
def test_what_shares_has_a_name(form: str) -> None:
    written = form % (CONV if "paths" in form else f"layers: [{CONV}]")
    with pytest.raises(SpecError, match="share: expected a name on the"):
        plan(f"layers: [group: {{name: g, inputs: a, layers: [{CONV}]}}, {written}]\n")


@pytest.mark.parametrize(
    "layers",
    [
        "conv2d: {name: p, filters: 3, kernel: 1, inputs: a}, branches: {paths: {p: [tanh], q: [relu]}}",
        "branches: {inputs: a, paths: {p: [tanh], q: [relu]}}, branches: {paths: {p: [tanh], r: [relu]}}",
        "branches: {inputs: a, paths: {p: [tanh], q: [relu]}}, conv2d: {name: p, filters: 3, kernel: 1}",
    ],
)
def test_a_path_is_called_as_nothing_else_is(layers: str) -> None:
    with pytest.raises(SpecError, match=r"error\[G124\]: the name 'p' is used twice"):
        plan(f"layers: [{layers}]\n")


@pytest.mark.parametrize(
    ("end_points", "sentence"),
    [
        ("[{e: r}, {e: t}]", "the end point 'e' is written twice"),
        ('[{"a\\nb": r}]', "name expects text"),
        ('[{"": r}]', "name expects text"),
        ('[{"../e": r}]', "name expects text"),
    ],
)
def test_an_end_point_has_a_name_of_its_own(end_points: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        plan(f"layers: [relu: {{name: r, inputs: a}}, tanh: {{name: t}}]\nend_points: {end_points}\n")


def test_an_end_point_may_be_asked_for_twice() -> None:
    plan('layers: [relu: {name: r, inputs: a}, tanh: {name: t}]\nend_points: [r, "*", {net/e: r}]\n')


@pytest.mark.parametrize(
    "text",
    [
        "arg_scopes: {none: {}}\nlayers: [relu: {inputs: a}]\n",
        "layers: [group: {as: none, inputs: a, layers: [relu]}]\n",
    ],
)
def test_no_scope_is_called_none(text: str) -> None:
    with pytest.raises(SpecError, match="a scope cannot be called none"):
        plan(text)


@pytest.mark.parametrize("bound", ["<= 1.2.3", "<= .", "<= _", "<= 1__0", "== 1e", "<"])
def test_a_bound_is_a_number(bound: str) -> None:
    with pytest.raises(SpecError, match="params expects a number or a bound"):
        plan(f'layers: [relu: {{inputs: a}}]\nexpect: {{params: "{bound}"}}\n')


@pytest.mark.parametrize("bound", ["<= 1_000.5", ">= .0", "== 0", "< 1e3", ">= -1"])
def test_as_people_write_it(bound: str) -> None:
    plan(f'layers: [relu: {{inputs: a}}]\nexpect: {{params: "{bound}"}}\n')


def conv(name: str, more: str = "") -> str:
    return f"conv2d: {{name: {name}, inputs: a, filters: 3, kernel: 1{more}}}"


def group(name: str, layer: str, more: str = "") -> str:
    return f"group: {{name: {name}, inputs: a, layers: [{layer}]{more}}}"


@pytest.mark.parametrize(
    "layers",
    [
        (conv("one"), conv("two", ", share: one"), conv("three", ", share: two")),
        (group("one", CONV), group("two", CONV, ", share: one"), conv("three", ", share: two/c")),
        (group("one", CONV), group("two", CONV, ", share: one"), group("three", CONV, ", share: two")),
        (
            group("one", group("in", CONV)),
            group("two", group("in", CONV), ", share: one"),
            group("three", CONV, ", share: two/in"),
        ),
    ],
)
def test_who_shares_with_one_that_shares_has_the_same_variables(layers: tuple[str, ...]) -> None:
    plan = plan_model(read_spec_text(f"{HEAD}layers: [{', '.join(layers)}]\n", "net.yaml"))
    assert len(plan.variables) == 2
    assert len(plan.nodes) == 3


@pytest.mark.parametrize(
    ("layers", "missing"),
    [
        ((group("g", CONV), group("h", conv("d"), ", share: g")), "g/d"),
        ((group("g", CONV), conv("d", ", share: g")), "g"),
        ((conv("c"), conv("d", ", share: c, normalizer: batch_norm")), "c/BatchNorm"),
    ],
)
def test_what_is_shared_is_there(layers: tuple[str, ...], missing: str) -> None:
    with pytest.raises(SpecError, match=rf"share: expected a layer '{missing}' whose variables it uses, found none"):
        plan(f"layers: [{', '.join(layers)}]\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("outputs: {}", "outputs expects names with their layers, got none"),
        ("outputs: {y: ~}", "output y expects the name of a layer, got null"),
        ("outputs: {y: [r]}", "output y expects the name of a layer, got "),
        ("end_points: [{y: true}]", "end point y expects the name of a layer, got true"),
        ("expect: {outputs: {r: ~}}", "outputs: r: expected null, got 8×8×3"),
    ],
)
def test_an_output_is_a_layer(text: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        plan(f"layers: [relu: {{name: r, inputs: a}}]\n{text}\n")
