"""Convolutions."""

from __future__ import annotations

from tests.layers.cases import Case

CASES: list[Case] = []
