"""Every form of the language keeps the same promises: its keys, its documentation, its bound, its expansion."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from graphc.errors import Place, SpecError
from graphc.passes.bounds import check_bounds
from graphc.passes.expand import expand
from graphc.report.vocabulary import spec_words
from graphc.spec.documents import merge_document
from graphc.spec.file_forms import FILE_FORMS
from graphc.spec.forms import FORMS
from graphc.spec.forms.block import KEYS as BLOCK_KEYS
from graphc.spec.model import ModelSpec, read_spec_text
from graphc.spec.schema import json_schema
from graphc.spec.schema_terms import COMMON_KEYS
from tests.random_specs import RandomSpec

SCHEMA = json_schema()
HEAD = "graphc: 1\nname: net\ninputs: {x: [N, 8, 8, 4]}\n"
KINDS = [*FORMS, "block"]
EVERY_KEY = {
    "group": "group: {name: g, inputs: x, when: true, layers: [relu], arg_scope: {relu: {}}, as: here}",
    "repeat": "repeat: {name: r, inputs: x, when: true, times: 2, layers: [relu], each: e, index: i, arg_scope: {}}",
    "stack": "stack: {name: s, inputs: x, when: true, layer: batch_norm, args: [{}, {}], each: e, arg_scope: {}}",
    "branches": "branches: {name: b, inputs: x, when: true, paths: {a: [], c: [relu]}, merge: add, activation: relu, "
    "arg_scope: {relu: {}}}",
    "residual": "residual: {inputs: x, name: r, when: 1, layers: [elu], shortcut: [], merge: add, activation: elu, "
    "arg_scope: {}}",
    "block": "unit: {name: u, inputs: x, when: true, width: 4}",
}
"""An entry with every key that the form has, but `share` and what excludes another."""
APART = {"repeat": {"layer"}}
UNIT = """blocks:
  unit: {params: [width, {size: 1}], inputs: [a], arg_scope: {conv2d: {kernel: "${size}"}}, layers: [conv2d: 4]}
"""


def spec_of(layers: str, blocks: str = UNIT) -> ModelSpec:
    return read_spec_text(f"{HEAD}{blocks}layers: [{layers}]\n", "net.yaml")


def body_of(kind: str) -> dict[str, Any]:
    return next(iter(spec_of(EVERY_KEY[kind]).layers[0].values()))


def test_the_table_has_every_form_once():
    assert {*FORMS, "block"} == set(EVERY_KEY)
    assert all(form.kind == kind for kind, form in FORMS.items())


@pytest.mark.parametrize("kind", FORMS)
def test_every_key_is_documented_in_the_schema_and_accepted(kind):
    form, schema = FORMS[kind], SCHEMA["$defs"]["layer"]["properties"][kind]
    assert set(schema["properties"]) == {*form.keys, *COMMON_KEYS}
    assert set(form.required) | form.inside <= set(form.keys)
    assert form.description.endswith(".")
    for key, each in form.keys.items():
        assert each.get("description") or "$ref" in each, key
    word = next(word for word in spec_words() if (word.name, word.vocabulary) == (kind, "composition"))
    assert word.meaning == form.description
    assert {row.name for row in word.settings} == set(form.keys)
    assert all(row.meaning for row in word.settings)
    assert set(body_of(kind)) == {*form.keys, *COMMON_KEYS} - {"share"} - APART.get(kind, set())
    assert expand(spec_of(EVERY_KEY[kind])).nodes


def test_every_key_of_a_block_is_documented_and_accepted():
    assert set(SCHEMA["$defs"]["block"]["properties"]) == set(BLOCK_KEYS)
    assert all(each.get("description") for each in BLOCK_KEYS.values())
    assert [node.name for node in expand(spec_of(EVERY_KEY["block"])).nodes] == ["u/conv2d"]


@pytest.mark.parametrize("kind", FORMS)
def test_a_required_key_is_missed(kind):
    for key in FORMS[kind].required:
        rest = ", ".join(f"{each}: []" for each in FORMS[kind].required if each != key)
        with pytest.raises(SpecError, match=f"{kind} needs .*{key}") as caught:
            expand(spec_of(f"{kind}: {{{rest}}}"))
        assert caught.value.code == "G113"


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_key_is_refused_at_its_place(kind):
    word = "unit" if kind == "block" else kind
    text = EVERY_KEY[kind].replace("when:", "wen: 1, when:")
    with pytest.raises(SpecError, match="'wen'") as caught:
        expand(spec_of(text))
    column = len("layers: [") + text.index("wen") + 1
    assert caught.value.code == "G111"
    assert caught.value.place == Place("net.yaml", 6, column), word


def least(spec: ModelSpec) -> int:
    """The smallest limit that the bound lets pass."""
    limit = 0
    while True:
        try:
            check_bounds(spec, limit)
        except SpecError:
            limit += 1
        else:
            return limit


@pytest.mark.parametrize("seed", range(8))
def test_the_bound_is_never_above_what_there_is(seed, monkeypatch):
    spec = read_spec_text(RandomSpec(seed).text, "net.yaml")
    bound = least(spec)
    assert bound >= len(spec.layers)
    monkeypatch.setattr("graphc.passes.expand.check_bounds", lambda *_: None)
    with pytest.raises(SpecError, match="layers after expansion, got more"):
        expand(spec, max_layers=bound - 1)


TWICE = {
    "group": "group: {layers: [NEXT, NEXT]}",
    "repeat": "repeat: {times: 2, layer: NEXT}",
    "stack": "stack: {layer: NEXT, args: [{}, {}]}",
    "branches": "branches: {paths: {a: [NEXT], b: {when: true, layers: [NEXT]}}}",
    "residual": "residual: {layers: [NEXT], shortcut: [NEXT]}",
    "block": "unit: {size: 1}, NEXT, NEXT",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_refuses_a_bomb_in_no_time(kind):
    blocks = [f"  b{i}: {{layers: [{TWICE[kind].replace('NEXT', f'b{i + 1}')}]}}\n" for i in range(30)]
    ends = "  b30: {layers: [relu]}\n  unit: {params: [size], layers: [relu]}\n"
    spec = spec_of("b0", f"blocks:\n{''.join(blocks)}{ends}")
    start = time.perf_counter()
    with pytest.raises(SpecError, match=r"got at least \d,\d{3},\d{3},\d{3}"):
        check_bounds(spec, 50_000)
    assert time.perf_counter() - start < 10  # without the bound it would take years


# what names other files ------------------------------------------------------------------------------------------

BASE = """vars: {a: 1}
inputs: {x: [N, 8, 8, 4]}
arg_scopes: {s: {relu: {}}}
arg_scope: {conv2d: {filters: 8}}
blocks: {own: {layers: [relu]}}
layers: [relu: {name: base}]
outputs: {o: base}
end_points: [base]
expect: {params: 0}
pretrained: {timm: {labels: imagenet_1000}}
name: base
scope: base
graphc: 1
"""


@pytest.mark.parametrize("key", FILE_FORMS)
def test_a_form_of_a_file_is_documented_and_takes_what_it_says(key, tmp_path: Path):
    form, schema = FILE_FORMS[key], SCHEMA["properties"][key]
    assert form.key == key
    assert schema == form.schema()
    assert form.description.endswith(".")
    word = next(word for word in spec_words() if (word.name, word.vocabulary) == (key, "key of a spec"))
    assert (word.meaning, word.example) == (form.description, form.example)
    assert merge_document(f"graphc: 1\n{form.example}\n", tmp_path / "net.yaml").texts.keys() > {"net.yaml"}
    (tmp_path / "base.yaml").write_text(BASE)
    merged = merge_document(f"{key}: base.yaml\n", tmp_path / "net.yaml").tree
    assert merged.keys() == set(form.taken)
    assert all(place.path.endswith("base.yaml") for place in merged.places.values())


@pytest.mark.parametrize("key", FILE_FORMS)
def test_a_form_of_a_file_lies_below_the_spec(key, tmp_path: Path):
    (tmp_path / "base.yaml").write_text(BASE)
    own = "vars: {a: 2, b: 3}\nlayers: [relu, elu]\n"
    spec = read_spec_text(f"graphc: 1\ninputs: {{x: [N, 4]}}\n{key}: [base.yaml]\n{own}", tmp_path / "net.yaml")
    assert spec.vars == {"a": 2, "b": 3}
    assert least(spec) == len(spec.layers) == 2
    assert set(spec.blocks) == {"own"}


@pytest.mark.parametrize("key", FILE_FORMS)
@pytest.mark.parametrize(
    ("written", "code"),
    [("3", "G151"), ("[{a: b}]", "G151"), ("../x.yaml", "G180"), ("none.yaml", "G181"), ("net.yaml", "G182")],
)
def test_a_form_of_a_file_refuses_what_is_no_path_at_its_place(key, written, code, tmp_path: Path):
    with pytest.raises(SpecError) as caught:
        merge_document(f"graphc: 1\n{key}: {written}\n", tmp_path / "net.yaml")
    assert caught.value.code == code
    assert caught.value.place is not None
    assert caught.value.place.line == 2


# blocks that use themselves ------------------------------------------------------------------------------------


def test_a_block_uses_itself_until_its_when_is_false():
    blocks = """blocks:
  inner: {params: [n], layers: [relu: {name: down}, inner: {n: "${n - 1}", when: "${n > 1}"}, elu: {name: up}]}
"""
    nodes = [node.name for node in expand(spec_of("inner: {name: hg, n: 3}", blocks)).nodes]
    below = ["hg/inner/inner/down", "hg/inner/inner/up"]
    assert nodes == ["hg/down", "hg/inner/down", *below, "hg/inner/up", "hg/up"]


def test_a_path_with_a_when_ends_it_too():
    path = 'low: {when: "${n > 1}", layers: [inner: {n: "${n - 1}"}]}'
    blocks = f"blocks:\n  inner: {{params: [n], layers: [branches: {{paths: {{high: [relu], {path}}}}}]}}\n"
    names = [node.name for node in expand(spec_of("inner: {name: hg, n: 2}", blocks)).nodes]
    assert names == ["hg/high/relu", "hg/low/inner/high/relu", "hg/low/inner/concat", "hg/concat"]


def test_two_blocks_use_each_other_where_one_has_a_when():
    blocks = """blocks:
  ping: {params: [n], layers: [relu, pong: {n: "${n}"}]}
  pong: {params: [n], layers: [elu, ping: {n: "${n - 1}", when: "${n > 1}"}]}
"""
    kinds = [node.layer.kind for node in expand(spec_of("ping: 3", blocks)).nodes]
    assert kinds == ["relu", "elu"] * 3


def test_a_when_around_the_whole_use_is_no_end():
    blocks = "blocks:\n  unit: {layers: [relu, unit]}\n"
    with pytest.raises(SpecError, match="blocks may not use themselves: unit -> unit"):
        expand(spec_of("unit: {when: true}", blocks))


@pytest.mark.parametrize(("levels", "limit", "passes"), [(5, 126, True), (5, 125, False)])
def test_a_block_that_uses_itself_is_counted_with_its_values(levels, limit, passes):
    again = 'unit: {n: "${n - 1}", when: "${n > 0}"}'
    spec = spec_of(f"unit: {levels}", f"blocks:\n  unit: {{params: [n], layers: [{again}, relu, {again}]}}\n")
    if passes:
        check_bounds(spec, limit)
        assert len(expand(spec).nodes) == 63
    else:
        with pytest.raises(SpecError, match=f"at least {limit + 1}"):
            check_bounds(spec, limit)
