"""Patterns of names in settings: as long, and as many, as are compiled in a moment."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, Field

from graphc.patterns import MAX_LENGTH
from graphc.settings import ONE_OR_LIST

MOST_PATTERNS, MOST_LETTERS = 5_000, 100_000
"""Of a list of patterns, and characters of all of them."""
Patterned = TypeVar("Patterned", bound=Collection[str])


def few_letters(patterns: Patterned) -> Patterned:
    """The patterns as they are; a ValueError where they are too long together."""
    letters = sum(map(len, patterns))
    if letters > MOST_LETTERS:
        raise ValueError(f"expected patterns of at most {MOST_LETTERS:,} characters together, found {letters:,}")
    return patterns


Pattern: TypeAlias = Annotated[str, Field(max_length=MAX_LENGTH)]
Patterns: TypeAlias = Annotated[
    tuple[Pattern, ...], ONE_OR_LIST, Field(max_length=MOST_PATTERNS), AfterValidator(few_letters)
]
