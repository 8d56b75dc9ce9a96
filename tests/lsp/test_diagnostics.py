"""What an editor shows is what `check` says: for every bad spec, for good ones, over several files, unsaved."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.compiler import lints, plan_spec
from graphc.errors import GraphcError, SpecErrors, once
from graphc.lsp.analysis import analyze
from graphc.lsp.diagnostics import diagnostics
from graphc.lsp.documents import Documents
from tests.lsp.session import HEAD, Session

BAD = sorted((Path(__file__).parent.parent / "bad_specs").glob("*.yaml"))
ROOT = Path(__file__).parent.parent.parent


def checked(path: Path) -> list[tuple[str, str, str]]:
    """(code, message with notes, place) of all that `check` says of a file."""
    try:
        plan = plan_spec(path)
    except GraphcError as error:
        each = error.errors if isinstance(error, SpecErrors) else [error]
        return [(one.code, "\n".join([one.message, *one.notes]), str(one.place)) for one in each]
    return [(warn.code, warn.message, str(warn.place)) for warn, _ in once([*plan.warnings, *lints(plan)])]


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("graphc: 1\nextends: zoo/lenet5\n", "graph: 1\nextends: zoo/lenet5\n", "G150"),
        ("graphc: 1\nextends: zoo/lenet5\n", "extends: zoo/lenet5\n", ""),
        ("graphc: 1\nextends: zoo/lenet5\n", '"\nextends: zoo/lenet5\n', "G102"),
        ("recipe: 1\nmodel: lenet5\n", "recip: 1\nmodel: lenet5\n", "G603"),
    ],
)
def test_what_was_a_spec_stays_one_while_its_first_line_is_edited(before: str, after: str, code: str, tmp_path: Path):
    session = Session(tmp_path)
    document, _ = session.open(before)
    kind = document.kind
    document, _ = session.open(after)
    assert document.kind == kind != "other"
    assert [each.code for each in session.documents.analyze(document).errors][:1] == ([code] if code else [])
    session.open("services: {web: 1}\n")
    assert document.kind == "other", "what has nothing of one is none any more"


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_spec_says_what_check_says(path: Path) -> None:
    data = path.read_bytes()
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError:
        pytest.skip("no editor opens it as text")
    analysis = analyze(content, path)
    if analysis.kind == "other":
        assert "graphc:" not in content
        return
    if analysis.kind == "fragment":
        return  # `check` wants layers of it; what includes it does not
    expected = checked(path)
    assert [(error.code, "\n".join([error.message, *error.notes]), str(error.place)) for error in analysis.errors] == [
        each for each in expected if analysis.errors
    ]
    assert len(diagnostics(analysis)) == len(expected)


@pytest.mark.parametrize("name", ["lenet", "resnet18", "googlenet", "yolov3_tiny", "unet"])
def test_a_good_spec_has_the_warnings_of_check(name: str) -> None:
    path = ROOT / "specs" / f"{name}.yaml"
    analysis = analyze(path.read_text(encoding="utf-8"), path)
    assert analysis.complete
    found = [(each.code, each.message.partition("\nlikewise")[0]) for each in diagnostics(analysis)]
    assert found == [(code, message) for code, message, _ in checked(path)]


def test_the_place_is_the_word(session: Session) -> None:
    document, _ = session.open(HEAD + "layers:\n  - conv2d: {filtrs: 3}\n")
    (told,) = diagnostics(document.analysis)
    assert told.code == "G111"
    assert document.text.cut(told.span) == "filtrs"


def test_other_yaml_is_none_of_ours(session: Session) -> None:
    document, _ = session.open("services:\n  web: {image: nginx}\n", "compose.yaml")
    assert document.kind == "other"
    assert diagnostics(document.analysis) == []


def test_an_unsaved_include_counts(session: Session) -> None:
    session.save("parts.yaml", "blocks: {unit: {layers: [relu]}}\n")
    session.open("blocks: {unit: {layers: [conv2d: 3]}}\n", "parts.yaml")
    document, _ = session.open(HEAD + "include: parts.yaml\nlayers: [unit]\n")
    (told,) = diagnostics(document.analysis)
    assert told.code == "G113"
    assert document.text.cut(told.span) == "parts.yaml"
    assert told.related[0][0].path == session.folder / "parts.yaml"
    session.open("blocks: {unit: {layers: [conv2d: [3, 3]]}}\n", "parts.yaml")
    assert not document.is_fresh, "the spec means something else now"
    assert diagnostics(session.documents.analyze(document)) == []


def test_a_broken_line_keeps_what_is_known(session: Session) -> None:
    document, _ = session.open(
        HEAD + "layers:\n  - conv2d: {name: a, filters: 4, kernel: 3}\n  - conv2d: {filters: [\n  - relu: {name: b}\n"
    )
    analysis = document.analysis
    assert analysis is not None
    assert [error.code for error in analysis.errors] == ["G102"]
    assert analysis.plan is not None
    assert {"a"} <= set(analysis.plan.by_name)


def test_a_wrong_layer_hides_only_what_reads_it(session: Session) -> None:
    layers = """layers:
  - conv2d: {name: a, filters: 4, kernel: 3}
  - conv2d: {name: b, filters: 4, kernl: 3}
  - relu: {name: c}
  - relu: {name: d, inputs: a}
  - fully_connected: {name: e, units: 3, inputs: d}
  - relu: {name: f}
"""
    document, _ = session.open(HEAD + layers)
    analysis = document.analysis
    assert analysis is not None
    assert analysis.plan is not None
    assert not analysis.complete
    assert list(analysis.plan.by_name) == ["a", "d"]
    assert analysis.plan.by_name["d"].shape == (32, 32, 4)


def test_recipes(session: Session) -> None:
    session.save("net.yaml", HEAD + "layers: [flatten, fully_connected: 3]\n")
    recipe = "recipe: 1\nmodel: net.yaml\ndata: {train: {digits: {}}}\noptimizr: adam\nlearning_rate: 0.1\nepochs: 1\n"
    document, _ = session.open(recipe, "recipe.yaml")
    assert document.kind == "recipe"
    found = {(each.code, document.text.cut(each.span)) for each in diagnostics(document.analysis)}
    assert ("G602", "optimizr") in found


def test_a_recipe_knows_the_unsaved_spec(session: Session) -> None:
    session.save("net.yaml", HEAD + "layers: [flatten, fully_connected: 3]\n")
    recipe = (
        "recipe: 1\nmodel: net.yaml\ndata: {train: {digits: {}}}\nloss: softmax_cross_entropy\n"
        "optimizer: adam\nlearning_rate: 0.1\nepochs: 1\nmetrics: [accuracy]\n"
    )
    document, _ = session.open(recipe, "recipe.yaml")
    assert [each.message for each in diagnostics(document.analysis) if each.is_error] == []
    other = Documents()
    other.put(session.folder / "net.yaml", HEAD + "layers: [flaten]\n", 1)
    analysis = other.analyze(other.put(session.folder / "recipe.yaml", recipe, 1))
    assert [error.code for error in analysis.errors] == ["G110"]
