"""Names chosen by patterns, in a time that is bounded.

Behind a `*` the text up to the next one is looked for where it first occurs and nowhere else, which finds every match
that there is: the time for a name is bounded by its length times the pattern's.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

MAX_LENGTH = 1_000
"""Characters of a pattern."""
LETTERS = 1_000
"""Pairs of letters that are compared in the time of a name that does not fit from the first."""
MAX_COMPARISONS = 4_000_000
"""Of a list of patterns with the names that they choose from."""
WILDCARD = re.compile(r"[*?]")


def within_groups(pattern: str) -> re.Pattern[str]:
    """An expression for `fullmatch`: `*` stands for any text and `?` for one letter, neither for a `/`."""
    return _compiled(pattern)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = ("".join("[^/]" if each == "?" else re.escape(each) for each in part) for part in re.split(r"\*+", pattern))
    first, *others = parts
    looked_for = [f"(?>[^/]*?{part})" for part in others[:-1]]
    last = [f"[^/]*{part}" for part in others[-1:]]
    return re.compile("".join([first, *looked_for, *last]))


def too_much(patterns: Collection[str], names: Collection[str]) -> str:
    """A sentence where patterns and names are so many that comparing them would take long, else nothing."""
    if len(patterns) * len(names) > MAX_COMPARISONS:
        most = MAX_COMPARISONS // len(names)
        return f"expected at most {most:,} patterns for {len(names):,} names, found {len(patterns):,}"
    letters = sum(map(len, names))
    if sum(len(names) + len(each) * letters // LETTERS for each in patterns) <= MAX_COMPARISONS:
        return ""
    long = f" of {sum(map(len, patterns)):,} letters for {len(names):,} names of {letters:,}"
    return f"expected fewer or shorter patterns, found {len(patterns):,}{long}: to compare them would take long"
