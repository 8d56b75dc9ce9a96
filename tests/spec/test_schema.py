"""The JSON Schema accepts every spec that there is, and sees a misspelt word."""

from __future__ import annotations

import json

import jsonschema
import pytest

from graphc.layers import CATALOGUE
from graphc.spec.documents import KEYS
from graphc.spec.schema import json_schema
from graphc.spec.source import load_file, load_text
from graphc.spec.starter import STARTER
from graphc.spec.zoo import zoo_folder

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_json_and_valid_itself():
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_it_knows_every_key_kind_and_argument():
    assert SCHEMA["properties"].keys() == set(KEYS)
    entries = SCHEMA["$defs"]["layer"]["anyOf"][1]["properties"]
    for kind, layer in CATALOGUE.items():
        assert kind in entries
        arguments = SCHEMA["$defs"][f"arguments_of_{kind}"]["properties"]
        assert arguments.keys() == {*layer.model_fields, *layer.accepts}


@pytest.mark.parametrize("path", sorted(zoo_folder().rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_spec_of_the_zoo_is_valid(path):
    VALIDATOR.validate(load_file(path))


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
        "arg_scope: {'conv2d, my_block': {kernel: 3}, conv2d: {padding: [[0, 1], [2, 3]]}}\nlayers: []",
        "arg_scope: [base, {conv2d: {kernel: 3}}]\nlayers: [group: {arg_scope: none, as: x, layers: []}]",
        "blocks: {b: {params: [x, {y: null}], inputs: [a], arg_scope: {}, layers: [relu]}}",
        "expect: {params: '<= 5e6', macs: 3, receptive_field: {a: 3, b: null}}",
    ],
)
def test_what_the_language_allows_is_valid(text):
    VALIDATOR.validate(load_text(text, "a.yaml"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("layrs: []", "layrs"),
        ("graphc: 2", "1 was expected"),
        ("layers: [conv2d: {fitlers: 3}]", "fitlers"),
        ("layers: [conv2d: {filters: true}]", "True"),
        ("layers: [conv2d: {filters: '3'}]", "'3'"),
        ("layers: [conv2d: {filters: -3}]", "-3"),
        ("layers: [conv2d: {padding: smae}]", "smae"),
        ("layers: [conv2d: {activation: {leaky_relu: {alhpa: 3}}}]", "alhpa"),
        ("layers: [conv2d: {weights_regularizer: {l3: 1}}]", "l3"),
        ("layers: [repeat: {tims: 2}]", "tims"),
        ("layers: [{relu: null, elu: null}]", "relu"),
        ("layers: {relu: null}", "relu"),
        ("arg_scope: {conv2d: {kernal: 3}}", "kernal"),
        ("blocks: {b: {parms: []}}", "parms"),
        ("expect: {parms: 3}", "parms"),
    ],
)
def test_what_is_misspelt_is_not(text, word):
    error = jsonschema.exceptions.best_match(VALIDATOR.iter_errors(load_text(text, "a.yaml")))
    assert error is not None
    assert word in error.message
