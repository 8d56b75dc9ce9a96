"""The pages of the site, their code blocks and their links, as Markdown has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(?P<indent> *)(?P<marks>```+)(?P<language>\S*) *(?P<options>.*)$")
TITLE = re.compile(r'title="([^"]+)"')
COMMENT = re.compile(r"^<!-- (not run|before): (.*?) -->$")
LINK = re.compile(r"(?<!`)!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, with what the comment lines right above it say."""

    line: int
    language: str
    title: str
    """The file that it is: `title="net.yaml"` behind the language."""
    text: str
    before: tuple[str, ...] = ()
    """Commands that make what the block needs: `<!-- before: COMMAND -->`."""
    reason: str = ""
    """Why it is not run: `<!-- not run: REASON -->`."""


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        return list(_blocks(self.text.split("\n")))

    @cached_property
    def prose(self) -> str:
        """The text without its blocks."""
        kept, inside = [], ""
        for line in self.text.split("\n"):
            fence = FENCE.match(line)
            if inside:
                inside = "" if line.strip() == inside else inside
            elif fence:
                inside = fence["marks"]
            else:
                kept.append(line)
        return "\n".join(kept)

    @cached_property
    def links(self) -> list[str]:
        """Where its links and pictures lead, within the site."""
        found = LINK.findall(re.sub(r"`[^`\n]*`", "``", self.prose))
        return [target for target in found if not re.match(r"[a-z]+:", target)]

    @cached_property
    def anchors(self) -> set[str]:
        """What its headings are called in links, as GitHub and the site make it."""
        heads = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        return {anchor(head) for head in heads}


def anchor(head: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", head.strip().lower())
    return kept.replace(" ", "-")


def _blocks(lines: list[str]) -> Iterator[Block]:
    before: list[str] = []
    reason = ""
    at = 0
    while at < len(lines):
        line = lines[at]
        comment, fence = COMMENT.match(line.strip()), FENCE.match(line)
        if comment:
            if comment[1] == "before":
                before.append(comment[2])
            else:
                reason = comment[2]
        elif fence:
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == fence["marks"])
            width = len(fence["indent"])
            text = "\n".join(each[width:] for each in lines[at + 1 : end])
            title = TITLE.search(fence["options"])
            yield Block(at + 1, fence["language"], title[1] if title else "", text, tuple(before), reason)
            at = end
        if line.strip() and not comment:
            before, reason = [], ""
        at += 1


def pages() -> list[Page]:
    """Every page of the site."""
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    for pattern in ("docs/**/*.md", "examples/**/*.md", "specs/*.md", "benchmarks/*.md"):
        found += sorted(ROOT.glob(pattern))
    return [Page(path) for path in found]
