"""The layer and the source, held to what graphc holds its own to."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphc_snake.boards import Boards
from graphc_snake.snake import Snake

from graphc.testing import Case, check_layer, check_source


@pytest.mark.parametrize("shape", [(6, 5, 3), (7,), (9, 4)], ids=["image", "vector", "sequence"])
def test_snake(shape: tuple[int, ...]) -> None:
    check_layer(Case(Snake(), (shape,)))


def test_boards(tmp_path: Path) -> None:
    assert len(check_source(Boards(count=20), tmp_path)) == 20
