"""A spec's parts: types, variables, blocks, and what it is when nothing is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graphc.errors import Place, SpecError, SpecErrors
from graphc.spec.forms.block import REQUIRED
from graphc.spec.model import read_spec, read_spec_text

SMALL = "graphc: 1\nlayers: [relu]\n"


def refusal(text: str, settings: object = ()) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read_spec_text(text, "a.yaml", settings)  # type: ignore[arg-type]
    return caught.value


def test_what_is_left_out_has_its_default():
    spec = read_spec_text(SMALL, "nets/small.yaml")
    assert spec.name == spec.scope == "small"
    assert spec.vars == spec.inputs == spec.arg_scopes == spec.blocks == spec.expect == {}
    assert spec.arg_scope is spec.outputs is spec.end_points is None
    assert spec.layers == ["relu"]
    assert spec.place == Place("nets/small.yaml", 1, 1)
    assert spec.source == SMALL


def test_variables_are_evaluated_in_any_order():
    spec = read_spec_text(SMALL + "vars: {c: '${a + b}', b: '${a * 2}', a: 3, t: 'x${c}', l: ['${a}', [1]]}")
    assert spec.vars == {"c": 9, "b": 6, "a": 3, "t": "x9", "l": [3, [1]]}
    assert list(spec.vars) == ["c", "b", "a", "t", "l"]


@pytest.mark.parametrize("settings", [["a=5", "b=0.5"], {"a": "5", "b": 0.5}])
def test_settings_win_and_are_read_as_yaml(settings):
    spec = read_spec_text(SMALL + "vars: {a: 1, b: 1, c: '${a * 2}'}", settings=settings)
    assert spec.vars == {"a": 5, "b": 0.5, "c": 10}
    assert spec.source.startswith("# --set a=5\n# --set b=0.5\ngraphc: 1")


@pytest.mark.parametrize(("text", "value"), [("no", "no"), ("1e-3", 0.001), ("null", None), ("[1, 2]", [1, 2])])
def test_a_setting_has_yamls_types(text, value):
    assert read_spec_text(SMALL + "vars: {a: 1}", settings=[f"a={text}"]).vars == {"a": value}


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("clases=3", "no variable 'clases' (did you mean 'classes'?)"),
        ("classes", "NAME=VALUE"),
        ("classes=", "found none"),
        ("classes={", "not YAML"),
        ("classes=.nan", "finite"),
        ("classes=${other}", "no variable 'other'"),
    ],
)
def test_a_wrong_setting_is_named(setting, part):
    error = refusal(SMALL + "vars: {classes: 10}", [setting])
    assert part in str(error)
    assert str(error).startswith("--set")


DOUBLING_TEXT = "vars: {v0: xxxxxxxx, " + ", ".join(f'v{i}: "${{v{i - 1}}}${{v{i - 1}}}"' for i in range(1, 41)) + "}"
DOUBLING_LIST = (
    "vars: {v0: [1, 2], " + ", ".join(f"v{i}: ['${{v{i - 1}}}', '${{v{i - 1}}}']" for i in range(1, 41)) + "}"
)


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("vars: {a: '${b}', b: '${c}', c: '${a}'}", "G171", "a -> b -> c -> a"),
        ("vars: {a: '${a + 1}'}", "G171", "a -> a"),
        ("vars: {a: '${A}', b: 1}", "G133", "no variable 'A'"),
        ("vars: {width: 1, a: '${wdith}'}", "G133", "did you mean 'width'"),
        ("vars: {max: 1}", "G170", "a word of the expressions"),
        ("vars: {if: 1}", "G170", "a word of the expressions"),
        ("vars: {a-b: 1}", "G170", "letters, digits and _"),
        ("vars: [a]", "G151", "expects a mapping, found a list"),
        (DOUBLING_TEXT, "G131", "grow beyond 10,000"),
        (DOUBLING_LIST, "G131", "100,000 parts"),
    ],
)
def test_variables_that_cannot_be(text, code, part):
    error = refusal(SMALL + text)
    assert error.code == code
    assert part in error.message
    assert error.place is not None
    assert error.place.line == 3


def test_a_long_chain_of_variables_is_no_deep_recursion():
    chain = ", ".join(f"v{i}: '${{v{i + 1}}}'" for i in range(5_000))
    assert read_spec_text(SMALL + f"vars: {{{chain}, v5000: 7}}").vars["v0"] == 7
    assert "…" in refusal(SMALL + f"vars: {{{chain}, v5000: '${{v0}}'}}").message


def test_variables_and_errors_are_counted():
    many = "".join(f"  v{i}: 1\n" for i in range(10_001))
    assert "at most 10,000 variables, found 10,001" in refusal(SMALL + "vars:\n" + many).message
    for text in ("".join(f"k{i}: 1\n" for i in range(50)), "blocks:\n" + many):
        error = refusal(SMALL + text)
        assert isinstance(error, SpecErrors)
        assert len(str(error).splitlines()) == 21
        assert str(error).splitlines()[-1] in ("  and 30 more errors", "  stopped after 20 errors, there may be more")


def test_blocks_have_parameters_inputs_and_layers():
    spec = read_spec_text(
        "graphc: 1\nlayers: [b: {depth: 3}]\nblocks:\n  b:\n    params: [depth, {stride: 1, rate: '${1 / 2}'}]\n"
        "    inputs: [x, y]\n    arg_scope: {conv2d: {kernel: 3}}\n    layers: [relu]\n  c: {inputs: x, layers: []}"
    )
    block = spec.blocks["b"]
    assert block.params == {"depth": REQUIRED, "stride": 1, "rate": "${1 / 2}"}
    assert list(block.params) == ["depth", "stride", "rate"]
    assert block.inputs == ("x", "y")
    assert block.arg_scope == {"conv2d": {"kernel": 3}}
    assert block.layers == ["relu"]
    assert block.place == Place("spec.yaml", 4, 3)
    assert spec.blocks["c"].inputs == ("x",)
    assert spec.blocks["c"].params == {}


@pytest.mark.parametrize(
    ("blocks", "part"),
    [
        ("{conv2d: {layers: []}}", "'conv2d' is a layer kind already"),
        ("{repeat: {layers: []}}", "'repeat' is a layer kind already"),
        ("{'a b': {layers: []}}", "without spaces"),
        ("{b: [relu]}", "expects a mapping with layers"),
        ("{b: {params: [x]}}", "needs layers"),
        ("{b: {layers: [], parms: [x]}}", "did you mean 'params'"),
        ("{b: {layers: [], params: {x: 1}}}", "expects a list such as"),
        ("{b: {layers: [], params: [1]}}", "a name or {name: default}, found 1"),
        ("{b: {layers: [], params: [x, x]}}", "'x' twice"),
        ("{b: {layers: [], params: [x, {x: 1}]}}", "'x' twice"),
        ("{b: {layers: [], params: [a b]}}", "letters, digits and _"),
        ("{b: {layers: [], inputs: [x, x]}}", "a name twice"),
        ("{b: {layers: [], inputs: [1]}}", "expects a list of names"),
        ("{b: {layers: [], inputs: []}}", "expects a list of names"),
        ("{b: {layers: {}}}", "layers expects a list"),
    ],
)
def test_blocks_that_cannot_be(blocks, part):
    error = refusal(SMALL + f"blocks: {blocks}")
    assert part in error.message
    assert error.place is not None
    assert error.place.line == 3


@pytest.mark.parametrize(
    ("text", "code", "part", "line"),
    [
        ("[graphc, 1]", "G150", "found a list", 1),
        ("graphc", "G150", "found text", 1),
        ("layers: []", "G152", "graphc: 1", 1),
        ("graphc: 2\nlayers: []", "G152", "version 1 of the language, found 2", 1),
        ("graphc: 1.0\nlayers: []", "G152", "found 1.0", 1),
        ("graphc: true\nlayers: []", "G152", "found true", 1),
        ("graphc: 1", "G153", "needs layers", 1),
        ("graphc: 1\nlayrs: []", "G150", "no key 'layrs' (did you mean 'layers'?)", 2),
        ("graphc: 1\nlayers: {conv2d: {}}", "G151", "layers expects a list, each item with a dash", 2),
        ("graphc: 1\nlayers: []\nname: a/b", "G151", "name expects", 3),
        ("graphc: 1\nlayers: []\nname: [a]", "G151", "name expects", 3),
        ("graphc: 1\nlayers: []\ninputs: [N, 3]", "G151", "inputs expects a mapping", 3),
        ("graphc: 1\nlayers: []\noutputs: fc8", "G151", "outputs expects a mapping, found 'fc8'", 3),
        ("graphc: 1\nlayers: []\nend_points: {a: b}", "G151", "end_points expects a list", 3),
        ("graphc: 1\nlayers: []\nexpect: {params: '${x}'}", "G133", "no variable 'x'", 3),
    ],
)
def test_parts_that_cannot_be(text, code, part, line):
    error = refusal(text)
    assert error.code == code
    assert part in error.message
    assert error.place is not None
    assert error.place.line == line


def test_several_errors_are_reported_together():
    error = refusal("graphc: 1\nlayers: 3\ninputs: 4\nblocks: {c: 2, d: {layer: []}}")
    assert isinstance(error, SpecErrors)
    assert [each.place.line for each in error.errors if each.place] == [3, 4, 4, 2]


def test_an_unknown_zoo_name_is_met_with_the_nearest():
    with pytest.raises(SpecError, match=r"no zoo spec 'alexnet_v3' \(did you mean 'alexnet_v2'\?\)"):
        read_spec("alexnet_v3")
    with pytest.raises(SpecError, match=r"the zoo has 'vgg_16'"):
        read_spec("nowhere/vgg_16.yaml")
    assert read_spec("vgg_16").name == "vgg_16"


def test_the_zoo_is_called_by_its_prefix_too_where_there_is_no_such_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("zoo/vgg_16", "zoo/vgg_16.yaml", Path("zoo/vgg_16")):
        assert read_spec(path).name == "vgg_16"
    for name, hint in {
        "zoo/vgg_61": r"there is no file zoo/vgg_61, and the zoo has no 'vgg_61' \(did you mean",
        "zoo/families/inception": "no 'families/inception'",
        "zoo/": "no ''",
    }.items():
        with pytest.raises(SpecError) as error:
            read_spec(name)
        assert re.search(hint, str(error.value))
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "vgg_16").write_text("graphc: 1\nname: mine\ninputs: {x: [N, 4]}\nlayers: [relu]\n")
    assert read_spec("zoo/vgg_16").name == "mine"
