"""Texts of strangers, opened in an editor: what they cost, odd characters, odd names of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.errors import SpecError
from graphc.lsp.actions import actions
from graphc.lsp.completion import complete
from graphc.lsp.diagnostics import diagnostics
from graphc.lsp.documents import Documents
from graphc.lsp.hints import hints
from graphc.lsp.hover import hover
from graphc.lsp.navigation import applied, definition, references, rename
from graphc.lsp.symbols import symbols
from graphc.lsp.text import Text, from_utf16, to_utf16
from graphc.lsp.types import Edit, HintChoice, Position, Span
from tests.lsp.session import HEAD, Session

WHOLE = Span(Position(0, 0), Position(2**31 - 1, 0))


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "layers: [" + "relu, " * 4_000 + "relu]\n",
        HEAD + "layers:\n" + "  - relu\n" * 4_000,
        HEAD + "layers: [" + "{relu: {name: 😋}}, " * 2_000 + "relu]\n",
        "graphc: 1\n" + "\n" * 200_000 + "}\n",
        HEAD + "layers:\n  - conv2d: {filters: 8, use_bias: no" + " " * 100_000 + "x}\n",
        HEAD + "layers:\n  - conv2d: {inputs: " + "a/" * 50_000 + "}\n",
        HEAD + "vars: {a: '" + "${" * 50_000 + "'}\n",
        HEAD
        + "blocks:\n"
        + "".join(f"  b{number}: {{params: [q], layers: [relu]}}\n" for number in range(1000))
        + "layers:\n"
        + "  - relu: {name: 'a${a+b+c+d}'}\n" * 1_000,
    ],
    ids=["one line", "lines", "faces", "blank lines", "blanks", "a path", "unclosed", "blocks"],
)
def test_what_a_text_costs(tmp_path: Path, text: str) -> None:
    from tests.costs import little

    documents = Documents()
    with little():
        document = documents.put(tmp_path / "net.yaml", text, 1)
        analysis = documents.analyze(document)
        told = diagnostics(analysis)
        hints(analysis, HintChoice(params=True))
        symbols(document.read())
        for position in (Position(2, 12), Position(len(document.text.lines) - 2, 12)):
            hover(document, position)
            definition(documents, document, position)
            references(documents, document, position, defined=True)
        actions(document, told, WHOLE)


def test_hints_of_a_line_are_few(session: Session) -> None:
    entries = ", ".join(f"fully_connected: {{units: {number}}}" for number in range(1, 30))
    document, _ = session.open(f"{HEAD}layers: [flatten, {entries}]\n")
    assert document.analysis is not None
    (hint,) = hints(document.analysis, HintChoice())
    assert hint.text == "3072; 1; 2; 3; 4; 5; 6; 7; …"


def test_half_a_surrogate_pair_is_a_column(session: Session) -> None:
    line = "a\udc80😋b"
    assert [to_utf16(line, column) for column in range(5)] == [0, 1, 2, 4, 5]
    assert [from_utf16(line, units) for units in range(7)] == [0, 1, 2, 2, 3, 4, 4]
    document, _ = session.open(f"{HEAD}vars: {{a: '{line}'}}\nlayers: [relu]\n")
    assert document.analysis is not None
    assert document.analysis.errors


def test_changes_are_where_the_protocol_says() -> None:
    lsp = pytest.importorskip("lsprotocol.types")
    from graphc.lsp.convert import changed

    def change(line: int, start: int, end: int, text: str) -> object:
        span = lsp.Range(lsp.Position(line, start), lsp.Position(line, end))
        return lsp.TextDocumentContentChangePartial(range=span, text=text)

    text = Text("# one\u2028\x85\x0cline\r\nb: 😋2\rc: 3\n")
    assert changed(text, [change(1, 5, 6, "4"), change(2, 3, 4, "5"), change(3, 0, 0, "d")]) == (
        "# one\u2028\x85\x0cline\r\nb: 😋4\rc: 5\nd"
    )
    assert changed(text, [lsp.TextDocumentContentChangeWholeDocument(text="new"), change(9, 9, 9, "er")]) == "newer"


def test_edits_know_every_line_end() -> None:
    span = Span(Position(2, 0), Position(2, 1))
    assert applied("a\rb\r\nc\n", [Edit(Path("x"), span, "d")]) == "a\rb\r\nd\n"


@pytest.mark.parametrize("name", ["/", "..", "a" * 5_000, "a\\0b", "/root/x/y", "zoo/", ""])
def test_odd_names_of_files(session: Session, name: str) -> None:
    document, position = session.open(f'graphc: 1\nextends: "|{name}"\nlayers: [relu]\n')
    assert definition(session.documents, document, position) == []
    with pytest.raises(SpecError):
        rename(session.documents, document, position, "other")


@pytest.mark.parametrize("params", ["5", "[5]", "[[a]]", "a", "{a: 1}", "[null, {}]"])
def test_parameters_of_another_type(session: Session, params: str) -> None:
    text = f"{HEAD}blocks: {{b: {{params: {params}, layers: [relu: {{name: 'x${{|}}'}}]}}}}\nlayers: [b]\n"
    document, position = session.open(text)
    symbols(document.read())
    complete(document, position)
    references(session.documents, document, position, defined=True)


def test_odd_addresses() -> None:
    pytest.importorskip("lsprotocol")
    from graphc.lsp.convert import path_of

    assert path_of("file://[/x").is_absolute()
