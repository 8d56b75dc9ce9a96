"""Where an error of a layer's rules is."""

from __future__ import annotations

from typing import Any

from graphc.errors import RuleError, SpecError
from graphc.graph import Node


class at_layer:  # noqa: N801  (used as a statement)
    """Errors of a layer's rules with its name and place."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, RuleError):
            raise SpecError(error.code, f"{self._node.name}: {error.message}", self._node.place) from None
