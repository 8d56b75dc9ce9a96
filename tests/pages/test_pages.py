"""The pages: links lead somewhere, blocks can be run, and a few short ones are run; `.ci/docs` runs all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.pages import ROOT, Page, anchor, pages
from tests.pages.running import SHOWN, WrongError, compare, run_page, session

PAGES = pages()
RUN = {"sh", "console", "python", "yaml", "json", "toml"}
SHORT = ("docs/receptive_field.md",)
"""Those that the suite runs."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_every_link_and_anchor_leads_somewhere(page: Page) -> None:
    by_path = {each.path: each for each in PAGES}
    for link in page.links:
        target, _, part = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        assert path.is_file(), f"{page.name} links {link}: no such file (of a folder, name its README.md)"
        assert ROOT in path.parents
        if part:
            assert part in by_path[path].anchors, f"{page.name} links {link}: no such heading"


@each_page
def test_every_block_can_be_run_or_says_why_not(page: Page) -> None:
    for block in page.blocks:
        known = block.language in RUN | SHOWN or block.reason
        assert known, f"{page.name}:{block.line}: a block of {block.language or 'no language'} that nobody runs"


@pytest.mark.parametrize("name", SHORT)
def test_what_pages_show_is_what_happens(name: str, tmp_path: Path) -> None:
    assert run_page(Page(ROOT / name), tmp_path) > 0


def page_of(tmp_path: Path, text: str) -> Page:
    path = ROOT / "docs" / "unwritten.md"
    page = Page(path)
    page.__dict__["text"] = text
    return page


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```console\n$ echo two\none\n```", "prints"),
        ("```console\n$ false\n```", "ends with 1 in place of 0"),
        ("```console\n$ true  # exit 2\n```", "ends with 0 in place of 2"),
        ("```sh\nfalse\ntrue\n```", "ends with 1"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```", "prints"),
        ("```yaml\na: [\n```", "error|expected"),
        ("```yaml\ngraphc: 1\ninputs: {x: [N, 4]}\nlayers: [reluu]\n```", "reluu"),
        ("```ruby\nputs 1\n```", "nobody knows how to run"),
        ("<!-- before: false -->\n```sh\ntrue\n```", "false"),
    ],
)
def test_what_is_wrong_is_found(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(WrongError, match=told):
        run_page(page_of(tmp_path, text), tmp_path)


def test_what_is_right_is_taken(tmp_path: Path) -> None:
    text = """\
```yaml title="net.yaml"
a: 1
```

<!-- before: echo b > b.txt -->
```console
$ cat net.yaml b.txt
a: 1
b
$ seq 4
1
…
4
$ echo took 3 s; exit 2  # exit 2
took … s
```

<!-- not run: it would fail -->
```sh
false
```
"""
    assert run_page(page_of(tmp_path, text), tmp_path) == 2


def test_sessions_and_ellipses() -> None:
    assert list(session("$ a \\\n  b\nx\n$ c  # exit 2\n")) == [("a \\\n  b", 0, "x\n"), ("c  # exit 2", 2, "")]
    compare("a\nb\nc\n", "a\n…\n", "")
    compare("a 12 b\n", "a … b", "")
    with pytest.raises(WrongError):
        compare("a\nb\n", "a", "")


def test_anchors_are_those_of_github() -> None:
    heads = {"conv2d (layer)": "conv2d-layer", "1×1 & more": "11--more", "What it is, and why": "what-it-is-and-why"}
    for head, name in heads.items():
        assert anchor(head) == name
