"""A word of a spec or a recipe, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """An argument or a key."""

    name: str
    type: str
    default: str
    """`required` where there is none."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Word:
    """A kind, or a key with what may stand below it."""

    name: str
    vocabulary: str
    """layer, loss, …; or `key of data`."""
    meaning: str
    settings: tuple[Setting, ...]
    example: str
    note: str = ""
    path: str = ""
    """Of a key: where it stands, as `data.preprocess`."""
    own: Setting | None = None
    """Of a key: itself, where `settings` are what may stand below it."""

    @property
    def is_key(self) -> bool:
        return self.path != ""

    @property
    def row(self) -> Setting:
        return self.own or self.settings[0]
