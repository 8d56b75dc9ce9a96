"""The JSON Schema accepts every spec that there is, and sees a misspelt word."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from graphc.errors import Place, SpecError
from graphc.layers import CATALOGUE
from graphc.passes.arguments import check_argument
from graphc.spec.documents import KEYS
from graphc.spec.forms import FORMS
from graphc.spec.schema import json_schema
from graphc.spec.schema_terms import COMMON_KEYS
from graphc.spec.source import load_file, load_text
from graphc.spec.starter import STARTER
from graphc.spec.zoo import zoo_folder
from tests.random_specs import RandomSpec

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
BAD = ROOT / "tests" / "bad_specs"


def complete(text):
    """A spec of a part of one."""
    layers = "" if re.search("^layers:", text, re.MULTILINE) else "layers: []\n"
    return f"graphc: 1\ninputs: {{image: [N, 8, 8, 3]}}\n{layers}{text}"


def test_the_schema_is_json_and_valid_itself():
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_it_knows_every_key_kind_and_argument():
    assert SCHEMA["properties"].keys() == set(KEYS)
    entries = SCHEMA["$defs"]["layer"]["properties"]
    assert entries.keys() == {*CATALOGUE, *FORMS}
    for kind, layer in CATALOGUE.items():
        assert entries[kind]["properties"].keys() == {*COMMON_KEYS, *layer.model_fields, *layer.accepts}
        arguments = SCHEMA["$defs"][f"arguments_of_{kind}"]["properties"]
        assert arguments.keys() == {*layer.model_fields, *layer.accepts}
    for kind, form in FORMS.items():
        assert entries[kind]["properties"].keys() == {*COMMON_KEYS, *form.keys}


def test_it_says_defaults_and_meanings():
    arguments = SCHEMA["$defs"]["arguments_of_conv2d"]["properties"]
    assert arguments["stride"]["default"] == [1, 1]
    assert arguments["weights_initializer"]["default"] == "xavier"
    assert arguments["trainable"]["default"] is True
    assert "default" not in arguments["filters"]
    assert arguments["filters"]["description"] == "Output channels. Required, here or in an arg_scope."
    for kind, layer in CATALOGUE.items():
        for name in layer.model_fields:
            told = SCHEMA["$defs"][f"arguments_of_{kind}"]["properties"][name]
            assert told["description"], f"{kind}.{name}"
            assert layer.model_fields[name].is_required() == ("default" not in told), f"{kind}.{name}"


@pytest.mark.parametrize("kind", CATALOGUE)
def test_a_kind_is_described_by_whole_sentences(kind):
    said = SCHEMA["$defs"][f"arguments_of_{kind}"]["description"]
    assert said.split() == CATALOGUE[kind].__doc__.split()
    assert all(paragraph.endswith((".", "…")) for paragraph in said.split("\n\n"))


@pytest.mark.parametrize("path", sorted(zoo_folder().rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_spec_of_the_zoo_is_valid(path):
    VALIDATOR.validate(load_file(path))


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/*.yaml")), ids=lambda path: path.name)
def test_every_spec_of_the_examples_is_valid(path):
    tree = load_file(path)
    if "recipe" not in tree:
        VALIDATOR.validate(tree)


def test_every_form_of_the_language_is_valid():
    VALIDATOR.validate(load_file(ROOT / "tests" / "passes" / "golden" / "every_form.yaml"))


@pytest.mark.parametrize("seed", range(20))
def test_random_specs_are_valid(seed):
    VALIDATOR.validate(load_text(RandomSpec(seed).text, "net.yaml"))


def test_the_starter_is_valid():
    VALIDATOR.validate(load_text(STARTER, "net.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "layers: [conv2d: {filters: '${a}', kernel: ['${a}', 3], when: '${b}', weights_regularizer: none}]",
        "layers: [flatten, max_pool2d: [2, 2], fully_connected: 10, softmax: null, my_block: {x: 1}]",
        "layers: [conv2d: {activation: {leaky_relu: {alpha: 1}}, weights_regularizer: {l2: '${d}'}}]",
        "layers: [repeat: {times: '${n}', index: i, layer: {conv2d: {filters: 3}}}]",
        "layers: [branches: {paths: {a: [], b: [relu]}, merge: {concat: {axis: height}}}]",
        "layers: [branches: {paths: {a: {when: '${x}', layers: []}, b: []}, merge: multiply, activation: my_block}]",
        "layers: [{concat: channels}, {scale: '${x}'}, {reshape: [[4, -1]]}, '${kind}']",
        "arg_scope: {'conv2d, my_block': {kernel: 3}, conv2d: {padding: [[0, 1], [2, 3]]}}\nlayers: []",
        "arg_scope: [base, {conv2d: {kernel: 3}}]\nlayers: [group: {arg_scope: none, as: x, layers: []}]",
        "blocks: {b: {params: [x, {y: null}], inputs: [a], arg_scope: {}, layers: [relu]}}",
        "expect: {params: '<= 5e6', macs: 3, receptive_field: {a: 3, b: null}}",
    ],
)
def test_what_the_language_allows_is_valid(text):
    VALIDATOR.validate(load_text(complete(text), "a.yaml"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("layers: []\nlayrs: []", "layrs"),
        ("layers: [conv2d: {fitlers: 3}]", "fitlers"),
        ("layers: [conv2d: {filters: true}]", "True"),
        ("layers: [conv2d: {filters: '3'}]", "'3'"),
        ("layers: [conv2d: {filters: -3}]", "-3"),
        ("layers: [conv2d: {padding: smae}]", "smae"),
        ("layers: [conv2d: {activation: {leaky_relu: {alhpa: 3}}}]", "alhpa"),
        ("layers: [conv2d: {weights_regularizer: {l3: 1}}]", "l3"),
        ("layers: [repeat: {times: 2, layer: relu, tims: 2}]", "tims"),
        ("layers: [repeat: {layer: relu}]", "'times' is a required property"),
        ("layers: [repeat: {times: 2}]", "'layers' is a required property"),
        ("layers: [repeat: {times: 2, layer: relu, layers: [relu]}]", "should not be valid"),
        ("layers: [stack: {layer: conv2d}]", "'args' is a required property"),
        ("layers: [conv2d: [3, 3, 1, 1]]", "[3, 3, 1, 1]"),
        ("layers: [conv2d: [x, 3]]", "'x'"),
        ("layers: [dropout: true]", "True"),
        ("layers: [flatten: 3]", "3"),
        ("layers: [conv2d: {name: a b, filters: 3}]", "'a b'"),
        ("layers: [branches: {paths: {a: [], b: []}, merge: softmax}]", "softmax"),
        ("blocks: {conv2d: {layers: []}}", "conv2d"),
        ("layers: [{relu: null, elu: null}]", "relu"),
        ("layers: {relu: null}", "relu"),
        ("arg_scope: {conv2d: {kernal: 3}}", "kernal"),
        ("blocks: {b: {layers: [], parms: []}}", "parms"),
        ("blocks: {b: {params: []}}", "'layers' is a required property"),
        ("expect: {parms: 3}", "parms"),
    ],
)
def test_what_is_misspelt_is_not(text, word):
    error = jsonschema.exceptions.best_match(VALIDATOR.iter_errors(load_text(complete(text), "a.yaml")))
    assert error is not None
    assert word in error.message


@pytest.mark.parametrize(
    "name",
    [
        "argument_misspelt", "block_key_misspelt", "block_named_like_a_kind", "initializer_misspelt",
        "input_without_sizes", "key_misspelt", "layer_with_two_kinds", "layers_not_a_list", "name_with_slash",
        "no_layers", "padding_unknown", "positional_too_many", "repeat_key_misspelt", "repeat_negative",
        "scope_argument_misspelt", "scope_value_wrong", "several_errors", "size_negative", "size_zero",
        "stack_without_args", "top_level_list", "type_boolean_for_number", "type_fraction_for_integer",
        "type_text_for_number", "type_yaml_1_1_boolean", "value_negative", "version_missing", "version_unknown",
    ],
)  # fmt: skip
def test_bad_specs_of_which_a_schema_can_know_are_refused(name):
    assert not VALIDATOR.is_valid(load_file(BAD / f"{name}.yaml"))


VALUES = [
    None, True, False, 0, -1, 1, 3, 2.5, -0.5, 0.25, 10**10, "text", "same", "valid", "none", "relu", "nearest",
    "height", "pixels", "xavier", "zeros", "constant", [], [1], [1, 2], [1, 2, 3], [0, 0], [-1, 2], [1.5, 2], ["a"],
    [True, True], [[1, 2]], [[1, 2], [3, 4]], [[0, 0], [0, 0]], [[1, 2], 3], {}, {"l2": 0.1}, {"l1": 0, "l2": 1},
    {"l3": 1}, {"l2": -1}, {"l2": "0.1"}, {"l2": True}, {"constant": 1}, {"constant": {"value": 2}}, {"constant": {}},
    {"constant": [1, [2]]}, {"normal": 0.1}, {"normal": [0.1, 0.2, 0.3]}, {"normal": {"stddev": 0.1}},
    {"normal": {"stddev": "0.1"}}, {"normal": {"std": 0.1}}, {"normal": None}, {"he": {"uniform": True}},
    {"he": {"uniform": 1}}, {"he": 3},
    {"variance_scaling": {"mode": "fan_in"}}, {"variance_scaling": {"mode": "fan"}}, {"zeros": {}, "ones": {}},
]  # fmt: skip


@pytest.mark.parametrize("kind", CATALOGUE)
def test_schema_and_loader_say_the_same_of_every_argument(kind):
    verdicts = set()
    for name in CATALOGUE[kind].model_fields:
        schema = {"$ref": f"#/$defs/arguments_of_{kind}/properties/{name}", "$defs": SCHEMA["$defs"]}
        validator = jsonschema.Draft202012Validator(schema)
        for value in VALUES:
            try:
                check_argument(CATALOGUE[kind], name, value, Place("net.yaml"))
                taken = True
            except SpecError as error:
                taken = "nested lists of different lengths" in error.message  # no schema can know that
            assert validator.is_valid(value) == taken, (name, value)
            verdicts.add(taken)
    assert verdicts == ({True, False} if CATALOGUE[kind].model_fields else set())
