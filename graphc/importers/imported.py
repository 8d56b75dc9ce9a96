"""What an import gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.types import Array


@dataclass(frozen=True, slots=True)
class Imported:
    """A spec, its variables, and what there is to say."""

    text: str
    variables: Mapping[str, Array]
    """By full name; none where the file has none."""
    said: tuple[str, ...]
