"""Hints, hover, completion, navigation, renaming, symbols, actions: each on a text with a cursor."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.compiler import plan_spec
from graphc.errors import SpecError
from graphc.layers import CATALOGUE
from graphc.lsp.actions import actions
from graphc.lsp.completion import complete
from graphc.lsp.cursor import cursor_at
from graphc.lsp.diagnostics import diagnostics
from graphc.lsp.documents import Document
from graphc.lsp.hints import hints
from graphc.lsp.hover import hover
from graphc.lsp.navigation import definition, references, rename
from graphc.lsp.symbols import folds, symbols
from graphc.lsp.text import Text, from_utf16, to_utf16
from graphc.lsp.types import Action, Completion, HintChoice, Position, Span
from graphc.spec.forms import FORMS
from tests.lsp.session import HEAD, Session

ZOO = Path(__file__).parent.parent.parent / "specs"


# hints -----------------------------------------------------------------------------------------------------


def hinted(document: Document, **choice: bool) -> dict[str, str]:
    """The hint behind each line, by the line's text."""
    assert document.analysis is not None
    lines = document.text.lines
    return {lines[each.position.line].strip(): each.text for each in hints(document.analysis, HintChoice(**choice))}


def test_hints_are_the_plan(session: Session) -> None:
    plan = plan_spec("lenet")
    document = session.documents.put(ZOO / "lenet.yaml", (ZOO / "lenet.yaml").read_text(encoding="utf-8"), 1)
    session.documents.analyze(document)
    by_line = {each.position.line + 1: each.text for each in hints(document.analysis, HintChoice())}
    lines = {entry.place.line for entry in document.read().entries}
    shown = {each.node.place.line: each for each in plan.nodes if each.node.place.line in lines}
    assert len(shown) > 5
    for line, planned in shown.items():
        assert by_line[line].startswith("×".join(map(str, planned.shape)))


def test_hints_of_a_block_show_every_shape_and_its_use_the_sums(session: Session) -> None:
    document, _ = session.open(
        HEAD
        + """blocks:
  unit:
    params: [depth]
    layers:
      - conv2d: {filters: "${depth}", kernel: 3, stride: 2}
layers:
  - unit: {depth: 4}
  - unit: {depth: 8}
"""
    )
    found = hinted(document, receptive_field=True)
    assert found['- conv2d: {filters: "${depth}", kernel: 3, stride: 2}'] == "16×16×4 | 8×8×8, RF 7×7"
    assert found["- unit: {depth: 4}"] == "16×16×4, 112 params, 27.6 k MACs, RF 3×3"
    assert found["- unit: {depth: 8}"] == "8×8×8, 296 params, 18.4 k MACs, RF 7×7"


def test_by_choice_parameters_and_macs(session: Session) -> None:
    document, _ = session.open(HEAD + "layers:\n  - conv2d: {filters: 4, kernel: 1}  # a comment\n")
    assert hinted(document)["- conv2d: {filters: 4, kernel: 1}  # a comment"] == "32×32×4"
    found = hints(document.analysis, HintChoice(params=True, macs=True))
    assert found[0].text == "32×32×4, 16 params, 12.3 k MACs"
    assert found[0].position.column == len("  - conv2d: {filters: 4, kernel: 1}")
    assert HintChoice.of({"hints": {"params": True, "sums": False}}) == HintChoice(params=True, sums=False)


# completion ------------------------------------------------------------------------------------------------


def proposed(session: Session, text: str, name: str = "net.yaml", *, known: str | None = None) -> list[Completion]:
    """The proposals at the cursor; `known` is the text that was analyzed before."""
    if known is not None:
        session.open(known, name)
    document, position = session.open(text, name, analyzed=known is None)
    return complete(document, position)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("layers:\n  - conv2d: {filters: 3, |}\n", ["kernel"], ["name", "share", "when"]),
        ("layers:\n  - conv2d:\n      stride: 2\n      |\n", ["filters", "kernel"], ["inputs"]),
        ("layers:\n  - conv2d: {ker|\n  - relu\n", ["filters", "kernel"], []),
        ("arg_scope:\n  conv2d, fully_connected: {act|}\nlayers: [relu]\n", [], ["activation"]),
    ],
)
def test_arguments_that_are_missing_come_first(session: Session, text: str, first: list[str], last: list[str]) -> None:
    labels = [each.label for each in proposed(session, HEAD + text)]
    assert labels[: len(first)] == first
    assert set(last) <= set(labels)
    assert "filters" not in labels or "filters: 3" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers:\n  - conv2d: {padding: |}\n", {"same", "valid", "same_fixed"}),
        ("layers:\n  - conv2d: {activation: re|}\n", {"relu", "none", "unit"}),
        ("layers:\n  - conv2d: {bias: |}\n", {"true", "false"}),
        ("layers:\n  - conv2d: {weights_initializer: |}\n", {"zeros", "variance_scaling"}),
        ("layers:\n  - conv2d: {name: a, filters: 1, kernel: 1}\n  - add: {inputs: [a, |]}\n", {"a", "image"}),
        ("layers:\n  - resize: {like: |}\n", {"image"}),
        ("arg_scopes: {mine: {conv2d: {kernel: 3}}}\narg_scope: |\nlayers: [relu]\n", {"mine"}),
        ("vars: {width: 4}\nlayers:\n  - conv2d: {filters: \"${wi|}\", kernel: 3}\n", {"width"}),
        ("extends: zoo/|\nlayers: [relu]\n", {"zoo/lenet"}),
        ("include: [zoo/|]\nlayers: [relu]\n", {"zoo/blocks/c2f"}),
        ("layers: [relu]\nexpect: {|}\n", {"params", "macs", "receptive_field"}),
        ("layers: [relu: {name: a}]\nexpect: {stride: {|}}\n", {"a"}),
        ("|\nlayers: [relu]\n", {"vars", "outputs", "extends"}),
        ("layers:\n  - repeat:\n      times: 2\n      |\n", {"layer", "layers"}),
        ("layers:\n  - branches: {paths: {a: [{conv2d: {fil|}}]}}\n", {"filters"}),
    ],
)  # fmt: skip
def test_what_may_be_written(session: Session, text: str, expected: set[str]) -> None:
    blocks = "blocks: {unit: {layers: [relu]}}\n"
    labels = {each.label for each in proposed(session, HEAD + blocks + text, known=HEAD + blocks + "layers: [relu]\n")}
    named = {"a", "mine"} & expected
    assert expected - named <= labels
    if named and "mine" not in named:
        assert named <= labels


def test_every_kind_is_proposed_and_its_snippet_is_valid(session: Session) -> None:
    found = {each.label: each for each in proposed(session, HEAD + "layers:\n  - |\n")}
    assert set(CATALOGUE) | set(FORMS) <= set(found)
    assert "squeeze_excitation" in found
    for label, each in found.items():
        text = each.text
        for number in range(9, 0, -1):
            text = text.replace(f"${{{number}}}", "1").replace(f"${number}", "")
        document, _ = session.open(HEAD + f"layers:\n  - {text}\n", "try.yaml")
        codes = {error.code for error in document.analysis.errors}
        assert not codes & {"G102", "G111", "G113", "G114"}, (label, text, document.analysis.errors)


def test_a_block_of_the_library_is_included(session: Session) -> None:
    document, position = session.open(HEAD + "layers:\n  - conv2d: [8, 3]\n  - squeeze_e|\n")
    (block,) = [each for each in complete(document, position) if each.label == "squeeze_excitation"]
    text = session.after(list(block.more), document.path)
    assert "include: [zoo/blocks/squeeze_excitation]" in text


def test_recipes_have_keys_and_kinds(session: Session) -> None:
    recipe = "recipe: 1\nmodel: lenet\n"
    assert {"optimizer", "loss", "data"} <= {e.label for e in proposed(session, recipe + "|\n", "recipe.yaml")}
    assert {"adam", "sgd"} <= {e.label for e in proposed(session, recipe + "optimizer: |\n", "recipe.yaml")}
    text = recipe + "optimizer: {adam: {|}}\n"
    assert "beta1" in {each.label for each in proposed(session, text, "recipe.yaml")}
    text = recipe + "data:\n  train: {idx: {|}}\n"
    assert [each.label for each in proposed(session, text, "recipe.yaml")][:2] == ["images", "labels"]
    assert "lenet5" in {each.label for each in proposed(session, "recipe: 1\nmodel: |\n", "recipe.yaml")}


def test_json_and_no_comments(session: Session) -> None:
    text = '{"graphc": 1, "layers": [{"conv2d": {"filters": 3, "pad|"}}]}'
    (padding,) = [each for each in proposed(session, text, "net.json") if each.label == "padding"]
    assert padding.text == "padding"
    assert proposed(session, HEAD + "layers: [relu]  # con|\n") == []


def test_an_empty_file_offers_a_beginning(session: Session) -> None:
    assert [each.label for each in proposed(session, "|")] == ["graphc: 1", "recipe: 1"]


# hover -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers:\n  - con|v2d: [4, 3]\n", ["**conv2d**: layer", "| conv2d | 32×32×4 | 3×3, stride 1×1 |"]),
        (
            "arg_scope: {conv2d: {kernel: 3}}\nlayers:\n  - conv2d: {filters: 4, stri|de: 2}\n",
            ["**stride**", "here `[2, 2]`: written on the layer, at net.yaml:5:34"],
        ),
        ("arg_scope: {conv2d: {kernel: 3}}\nlayers: [con|v2d: 4]\n", ["| kernel | `[3, 3]` | the spec's arg_scope"]),
        ("layers:\n  - conv2d: {filters: 4, kernel: 3, activation: re|lu}\n", ["**relu**: layer"]),
        ("vars: {w: 4}\nlayers:\n  - conv2d: {filters: \"${2 * |w}\", kernel: 3}\n", ["`${2 * w}` is `8`"]),
        ("layers:\n  - relu: {name: a}\n  - relu: {inputs: |a}\n", ["| a | 32×32×3 |"]),
        ("lay|ers: [relu]\n", ["The network, top to bottom."]),
        ("layers: [relu]\nexpect: {par|ams: 0}\n", ["All variables."]),
    ],
)  # fmt: skip
def test_hover(session: Session, text: str, expected: list[str]) -> None:
    told = hover(*session.open(HEAD + text))
    assert told is not None
    for each in expected:
        assert each in told.text


def test_hover_of_a_recipe(session: Session) -> None:
    told = hover(*session.open("recipe: 1\nmodel: lenet\noptimizer: ad|am\n", "recipe.yaml"))
    assert told is not None
    assert "**adam**: optimizer" in told.text


# names -----------------------------------------------------------------------------------------------------

NAMED = """vars: {width: 4}
arg_scopes: {mine: {conv2d: {kernel: 3}}}
arg_scope: mine
blocks:
  unit:
    params: [depth]
    layers: [conv2d: {name: inner, filters: "${depth * width}"}]
layers:
  - repeat: {name: conv1, times: 2, layer: {unit: {depth: 1}}}
  - group:
      name: g
      layers:
        - relu: {name: r}
        - relu: {name: s, inputs: r}
  - add: {inputs: [g/r, conv1/conv1_2, g]}
outputs: {logits: g/s}
"""


@pytest.mark.parametrize(
    ("before", "name", "uses"),
    [
        ("vars: {", "width", 1),
        ("arg_scopes: {", "mine", 1),
        ("blocks:\n  ", "unit", 1),
        ("params: [", "depth", 2),
        ("name: ", "conv1", 2),
        ("- group:\n      name: ", "g", 3),
        ("- relu: {name: ", "r", 2),
        ("- relu: {name: ", "s", 1),
    ],
)
def test_definition_references_and_rename(session: Session, before: str, name: str, uses: int) -> None:
    at = NAMED.index(f"{before}{name}") + len(before)
    text = f"{HEAD}{NAMED[:at]}|{NAMED[at:]}"
    document, position = session.open(text)
    assert document.analysis is not None
    assert document.analysis.complete
    found = references(session.documents, document, position, defined=False)
    assert len(found) == uses
    for use in found:
        (defined,) = definition(session.documents, document, use.span.start)
        assert defined.span.start == position
    edits = rename(session.documents, document, position, "other_name")
    renamed = session.after(edits, document.path)
    again, _ = session.open(renamed)
    assert again.analysis is not None
    assert again.analysis.complete, again.analysis.errors
    assert renamed.count("other_name") == uses + 1 if name != "conv1" else 4


def test_rename_over_files(session: Session) -> None:
    session.save("parts.yaml", "blocks: {unit: {layers: [relu]}}\n")
    document, position = session.open(HEAD + "include: parts.yaml\nlayers: [u|nit]\n")
    edits = rename(session.documents, document, position, "part")
    assert {each.path.name for each in edits} == {"net.yaml", "parts.yaml"}
    assert "{part: {layers" in session.after(edits, session.folder / "parts.yaml")
    (defined,) = definition(session.documents, document, position)
    assert defined.path == session.folder / "parts.yaml"


@pytest.mark.parametrize(
    ("text", "new", "said"),
    [
        ("layers: [relu: {name: |a}, relu: {name: b}]\n", "b", "there would be an error"),
        ("layers: [relu: {name: |a}]\n", "a b", "name expects"),
        ("layers: [relu: {name: |a}]\n", "a#b", "would need quotes"),
        ("vars: {|w: 1}\nlayers: [relu]\n", "not a name", "letters, digits"),
        ("include: zoo/blocks/c2f\nlayers: [conv2d: [8, 3], c|2f: 8]\n", "mine", "comes with graphc"),
        ("layers: [re|lu]\n", "mine", "expected a layer"),
    ],
)
def test_what_cannot_be_renamed_says_why(session: Session, text: str, new: str, said: str) -> None:
    document, position = session.open(HEAD + text)
    with pytest.raises(SpecError, match=said):
        rename(session.documents, document, position, new)


def test_files_and_scopes_are_found(session: Session) -> None:
    session.save("base.yaml", "graphc: 1\n")
    document, position = session.open("graphc: 1\nextends: ba|se.yaml\n")
    assert definition(session.documents, document, position)[0].path == session.folder / "base.yaml"
    document, position = session.open("graphc: 1\nextends: zoo/le|net\n")
    assert definition(session.documents, document, position)[0].path.name == "lenet.yaml"
    text = HEAD + "arg_scope:\n  conv2d:\n    kernel: 3\nlayers:\n  - con|v2d: 4\n"
    document, position = session.open(text)
    (line,) = definition(session.documents, document, position)
    assert document.text.line(line.span.start.line).strip() == "kernel: 3"


# symbols and folding ---------------------------------------------------------------------------------------


def test_symbols_and_folds(session: Session) -> None:
    document, _ = session.open(HEAD + NAMED + "# a comment\n# of three\n# lines\n")
    found = {each.name: each for each in symbols(document.read())}
    assert [child.name for child in found["layers"].children] == ["conv1", "g", "add"]
    assert [child.name for child in found["layers"].children[1].children] == ["r", "s"]
    assert found["blocks"].children[0].detail == "depth"
    for each in found.values():
        assert each.span.start <= each.selection.start
        assert each.selection.end <= each.span.end
    lines = document.text.lines
    folded = {(lines[first].strip(), lines[last].strip()) for first, last, _ in folds(document.read())}
    assert ("- group:", "- relu: {name: s, inputs: r}") in folded
    assert ("# a comment", "# lines") in folded
    assert ("layers:", "- add: {inputs: [g/r, conv1/conv1_2, g]}") in folded


# actions ---------------------------------------------------------------------------------------------------


def offered(session: Session, text: str) -> tuple[Document, list[Action]]:
    document, _ = session.open(text)
    everywhere = Span(Position(0, 0), Position(999, 0))
    return document, actions(document, diagnostics(document.analysis), everywhere)


@pytest.mark.parametrize(
    "text",
    [
        "layers:\n  - conv2d: {filtrs: 3, kernel: 3}\n",
        "layers:\n  - cnv2d: [3, 3]\n",
        "layers:\n  - conv2d: {filters: 4, kernel: 3, activation: rellu}\n",
        "layers:\n  - relu: {name: first}\n  - add: {inputs: [frst, image]}\n",
        "layer: [relu]\n",
        "layers:\n  - conv2d: [8, 3]\n  - fully_connected: 10\n",
        "layers: [conv2d: [8, 3], fully_connected: 10]\n",
        "layers: [conv2d: [8, 3]]\nexpect: {params: 5}\n",
        'layers: [conv2d: [8, 3]]\nexpect: {macs: "<= 3"}\n',
        "layers: [conv2d: {name: a, filters: 8, kernel: 3}]\nexpect: {receptive_field: {a: 5}}\n",
        "layers: [conv2d: [8, 3]]\noutputs: {y: conv2d}\nexpect: {outputs: {conv2d: [3, 3, 3]}}\n",
        "layers:\n  - conv2d: [8, 3]\n  - squeeze_excitation: 8\n",
        "layers:\n  - relu: {name: a}\n  - max_pool2d: {name: b, kernel: 2}\n  - add: {inputs: [a, b]}\n",
        "layers:\n  - relu: {name: a}\n  - max_pool2d: {kernel: 2}\n  - resize: {name: b, scale: 4}\n"
        "  - add: {inputs: [a, b]}\n",
        "layers:\n  - conv2d: {filters: 3, kernel: 3, bias: 'yes'}\n",
        "include: zoo/blocks/c2\nlayers: [relu]\n",
        "arg_scope: {max_pool2d: 2}\nlayers: [max_pool2d: {}]\n",
    ],
)
def test_an_action_mends_the_error(session: Session, text: str) -> None:
    document, found = offered(session, HEAD + text)
    before = document.analysis
    assert before is not None
    assert before.errors
    preferred = [each for each in found if each.preferred]
    assert preferred, [str(error) for error in before.errors]
    mended, _ = session.open(session.after(preferred[0].edits, document.path))
    codes = [str(error) for error in mended.analysis.errors]
    assert len(codes) < len(before.errors) or not codes, (mended.text.content, codes)


def test_a_missing_argument_is_added(session: Session) -> None:
    document, found = offered(session, HEAD + "layers:\n  - conv2d: {filters: 3}\n")
    assert [each.title for each in found] == ["Add kernel"]
    assert "conv2d: {kernel: , filters: 3}" in session.after(found[0].edits, document.path)


# text ------------------------------------------------------------------------------------------------------


def test_columns_of_utf16() -> None:
    text = "a😋b×c"
    for column in range(len(text) + 1):
        assert from_utf16(text, to_utf16(text, column)) == column
    assert to_utf16(text, 2) == 3
    assert from_utf16(text, 99) == len(text)


def test_ends(session: Session) -> None:
    document, _ = session.open(HEAD + "layers:\n  - group:\n      layers:\n      - relu\n\n  # next\n  - elu\n")
    entries = {each.kind: each for each in document.read().entries}
    assert document.read().extent(entries["group"]).end.line == 5
    assert document.read().extent(entries["elu"]).end.line == 8


@pytest.mark.parametrize("text", ["", "\n", "|", "{", "- ", "a: [", "'", "a:\n\t- b", "${", "layers:\n  -", "\x00"])
def test_a_cursor_anywhere_raises_nothing(session: Session, text: str) -> None:
    content = Text(text)
    for number, line in enumerate(content.lines):
        for column in range(len(line) + 1):
            cursor_at(content, Position(number, column))
