"""Texts as labels in order: which character is which label, and what a row of predictions reads as."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, model_validator

from graphc.errors import clipped
from graphc.lazy import np
from graphc.settings import Settings
from graphc.types import Array

PADDING = -1
"""Behind the last label of a target."""


class Alphabet(Settings):
    """The characters of texts, and the label that stands for none."""

    characters: str = ""
    """In the order of their labels; empty: labels have no characters."""
    blank: int = Field(default=0, ge=0)
    """The label between characters."""

    @model_validator(mode="after")
    def _fits(self) -> Alphabet:
        if self.characters and self.blank > len(self.characters):
            raise ValueError(f"expected a blank from 0 to {len(self.characters)}, found {self.blank}")
        return self

    def labels(self, text: str) -> list[int]:
        """The label of each character; a ValueError names one that is not there."""
        found = []
        for character in text:
            place = self.characters.find(character)
            if place < 0:
                known = clipped(self.characters)
                raise ValueError(f"expected characters of the alphabet {known}, found {character!r} in {clipped(text)}")
            found.append(place + (place >= self.blank))
        return found

    def text(self, labels: Iterable[int]) -> str:
        """The characters of labels other than the blank."""
        return "".join(self.characters[label - (label > self.blank)] for label in labels)

    def read(self, prediction: Array) -> list[int]:
        """The labels of one prediction [L, K] as the highest of each step say: of equal ones in a row one, and no
        blanks."""
        if not len(prediction):
            return []
        best = prediction.argmax(axis=-1)
        first = np.concatenate([[True], best[1:] != best[:-1]])
        found: list[int] = best[first & (best != self.blank)].tolist()
        return found


def padded(rows: list[list[int]]) -> Array:
    """Labels in order, [N, S] of int64, with -1 behind those of shorter rows."""
    found = np.full((len(rows), max(map(len, rows), default=0)), PADDING, np.int64)
    for row, labels in enumerate(rows):
        found[row, : len(labels)] = labels
    return found
