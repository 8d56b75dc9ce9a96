"""The reference: everything that a spec, a recipe and a sweep can say, as pages of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from graphc.report.codes import errors_page
from graphc.report.library import library_words
from graphc.report.vocabulary import recipe_words, spec_words, sweep_words, title_of, vocabularies
from graphc.report.words import Setting, Word

MADE = "Made from the code by `python -m pytest tests/report/test_reference.py --update-golden`."
SPEC = f"""\
# Reference: specs

{MADE} How the parts work together is told in [specs/README.md](../specs/README.md); `graphc explain WORD` shows any
of this in a terminal, `graphc schema` writes it for an editor. Any value may be an expression, `${{…}}`. Layers have
[a page of their own](layers.md), and so have [the blocks that come with graphc](blocks.md).
"""
LAYERS = f"""\
# Reference: layers

{MADE} `graphc explain conv2d` shows one in a terminal. Any value may be an expression, `${{…}}`; what every layer takes
besides its arguments stands [with the keys of a layer](spec.md#keys-of-a-layer).
"""
BLOCKS = f"""\
# Reference: blocks that come with graphc

{MADE} They are used like layers after `include`, in any spec; `graphc explain blocks` lists them in a terminal.
"""
METRICS = f"""\
# Reference: metrics

{MADE} They stand under [`metrics` of a recipe](recipe.md#keys-of-a-recipe); how they count is told in
[examples/TRAINING.md](../examples/TRAINING.md).
"""
RECIPE = f"""\
# Reference: recipes

{MADE} How training goes is told in [examples/TRAINING.md](../examples/TRAINING.md); `graphc explain WORD` shows any
of this in a terminal, `graphc schema --recipe` writes it for an editor.
"""
SWEEP = f"""\
# Reference: sweeps

{MADE} How sweeps are made and read is told in [sweep.md](sweep.md); `graphc schema --sweep` writes this for an editor.
"""


HOMES = {"layer": "layers.md", "library block": "blocks.md", "metric": "metrics.md"}
"""What does not stand on the page of the words around it."""


def pages() -> dict[str, str]:
    """File name -> page."""
    spec, recipe = (*spec_words(), *library_words()), recipe_words()
    return {
        "spec.md": _page(SPEC, "spec.md", spec),
        "layers.md": _page(LAYERS, "layers.md", spec),
        "blocks.md": _page(BLOCKS, "blocks.md", spec),
        "recipe.md": _page(RECIPE, "recipe.md", recipe),
        "metrics.md": _page(METRICS, "metrics.md", recipe),
        "sweep_reference.md": _page(SWEEP, "sweep_reference.md", sweep_words()),
        "errors.md": errors_page(MADE),
    }


def _page(head: str, name: str, some: Sequence[Word]) -> str:
    """A page with those of the words that have it for their home; the others have pages of their own."""
    keys: dict[str, list[Word]] = {}
    for word in some:
        if word.is_key:
            keys.setdefault(word.vocabulary, []).append(word)
    groups = vocabularies(some)
    homes = {kind: HOMES.get(kind, "") for kind in groups}
    here = name if name in HOMES.values() else ""
    parts = [head]
    if not here:
        links = {kind: f"{home}#{_slug(kind)}" for kind, home in homes.items()}
        parts += [_keys(above, each, links) for above, each in keys.items()]
    parts += [_kinds(kind, each) for kind, each in groups.items() if homes[kind] == here]
    return "\n".join(parts)


def _keys(above: str, some: Sequence[Word], links: Mapping[str, str]) -> str:
    """A group of settings: one table, in which a choice among kinds leads to them."""
    title = f"Keys of {above.removeprefix('key of ')}" if above.startswith("key of ") else title_of(above)
    rows = [replace(word.row, type=_linked(word.row.type, links)) for word in some]
    return f"## {title}\n\n{_table(rows)}"


def _linked(type_: str, links: Mapping[str, str]) -> str:
    for kind, target in links.items():
        for noun in (title_of(kind).lower(), kind):
            if f" {type_}".endswith(f" {noun}"):
                return f"{type_.removesuffix(noun)}[{noun}]({target})"
    return type_


def _slug(kind: str) -> str:
    return title_of(kind).lower().replace(" ", "-")


def _kinds(vocabulary: str, some: Sequence[Word]) -> str:
    listed = ", ".join(f"[`{word.name}`](#{anchor(word)})" for word in some)
    return "\n".join([f"## {title_of(vocabulary)}\n\n{listed}\n", *map(_kind, some)])


def _kind(word: Word) -> str:
    parts = [f"### {word.name} ({word.vocabulary})", _text(word.meaning)]
    if word.note:
        parts.append(word.note)
    if word.settings:
        parts.append(_table(word.settings).rstrip("\n"))
    parts.append(f"```yaml\n{word.example}\n```")
    return "\n\n".join(parts) + "\n"


def anchor(word: Word) -> str:
    """What GitHub makes of a kind's heading."""
    return f"{word.name}-{word.vocabulary}".replace(" ", "-")


def _table(rows: Iterable[Setting]) -> str:
    lines = ["| | type | default | meaning |", "|---|---|---|---|"]
    lines += [f"| `{row.name}` | {_cell(row.type)} | {_code(row.default)} | {_cell(row.meaning)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _code(default: str) -> str:
    return default if default in ("required", "none") else f"`{default.replace('|', chr(92) + '|')}`"


def _cell(text: str) -> str:
    return " ".join(_text(text).split()).replace("|", "\\|")


def _text(text: str) -> str:
    """Docstrings as Markdown: a star is a star."""
    parts = text.split("`")  # what stands in backquotes stays as it is
    return "`".join(part if i % 2 else part.replace("*", "\\*").replace("<", "&lt;") for i, part in enumerate(parts))
